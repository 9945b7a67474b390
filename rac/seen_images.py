"""The images that a model was made from, so that a report can look test images up among them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from eval.errors import ReportFault
from eval.image_sets import ImageSet, digests_of, image_set, image_set_from_json
from rac.documents import MEBIBYTE, read_json
from rac.errors import InputError
from retrieval_index import Memory
from retrieval_index.files import replace_file, sha256_file

_MOST_BYTES = 4096 * MEBIBYTE


@dataclass(frozen=True)
class SeenImages:
    """What a model has seen; None where it is not known.

    Attributes:
        training: the images that it was trained on.
        selection: the images that epochs, votes, fusion and temperature were chosen by; without
            digests and source where they were chosen by the training rows alone.
    """

    training: ImageSet | None = None
    selection: ImageSet | None = None

    def training_with(self, memory: Memory) -> ImageSet | None:
        """Give the images of training with those that are in the memory now."""
        hashes = memory.rows.column("content_hash").combine_chunks().drop_null()
        if self.training is not None:
            return self.training.joined(digests_of(hashes))
        return image_set(hashes.to_pylist()) if len(hashes) else None

    def write(self, path: Path) -> str:
        """Write a JSON file, whole or not at all, and give its SHA-256."""
        sets = {"training": self.training, "selection": self.selection}
        said = {name: None if one is None else one.as_json() for name, one in sets.items()}
        with replace_file(path) as draft:
            draft.write_text(json.dumps(said) + "\n", encoding="utf-8")
        return sha256_file(path)


def read_seen_images(path: Path, sha256: str) -> SeenImages:
    """Read what :meth:`SeenImages.write` wrote.

    Raises:
        InputError: it is another file, or none.
    """
    try:
        if sha256_file(path) != sha256:
            raise InputError(f"{path}: is not the file that the model's configuration vouches for")
        said = read_json(path, most_bytes=_MOST_BYTES)
        sets = {
            name: None if one is None else image_set_from_json(one) for name, one in said.items()
        }
        return SeenImages(**sets)
    except (OSError, ValueError, TypeError, AttributeError, ReportFault) as fault:
        if isinstance(fault, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({fault})") from fault
