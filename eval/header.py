"""What predictions say once for all rows: the run's name, its classes, and what it rests on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.arrays import Ints, as_indices
from eval.errors import ReportFault
from eval.image_sets import ImageSet, image_set_from_json

HEADER_KEY = b"rac.predictions"
HEADER_VERSION = 1


@dataclass(frozen=True, eq=False)
class RunHeader:
    """What is the same for every row of a run.

    Attributes:
        name: the run's name.
        classes: (C,) unique names, in the order of every score column.
        train_counts: (C,) training rows of each class, or None where unknown.
        image_folder: where relative image paths start.
        neighbour_folder: where those of neighbours start; None where it is the same folder.
        source: the table that the rows come from, as the user named it.
        training: the images that the model was trained on, or None where unknown.
        selection: the images that epochs, thresholds, k or weights were chosen by, or None where
            unknown; without digests and source where nothing was chosen on rows of its own.
        metadata: what the provenance section shows; JSON values.
    """

    name: str
    classes: tuple[str, ...]
    train_counts: Ints | None
    image_folder: str | None
    neighbour_folder: str | None
    source: str | None
    training: ImageSet | None
    selection: ImageSet | None
    metadata: Mapping[str, object]

    def as_bytes(self) -> bytes:
        """The header as it stands in a file's metadata.

        Raises:
            ReportFault: metadata is not JSON.
        """
        counts = self.train_counts
        said = {
            "version": HEADER_VERSION,
            "name": self.name,
            "classes": list(self.classes),
            "train_counts": None if counts is None else [int(count) for count in counts],
            "image_folder": self.image_folder,
            "neighbour_folder": self.neighbour_folder,
            "source": self.source,
            "training": None if self.training is None else self.training.as_json(),
            "selection": None if self.selection is None else self.selection.as_json(),
            "metadata": dict(self.metadata),
        }
        try:
            return json.dumps(said, allow_nan=False).encode()
        except (TypeError, ValueError) as fault:
            raise ReportFault(f"metadata of predictions must be JSON values: {fault}") from fault


def header_from_bytes(text: bytes, file: Path) -> RunHeader:
    """Read a header; what an older program did not write is unknown.

    Args:
        text: from :meth:`RunHeader.as_bytes`.
        file: where it stands, for the messages.

    Raises:
        ReportFault: another version of the format, or damaged.
    """
    try:
        said = json.loads(text)
        version = said["version"]
        if version != HEADER_VERSION:
            raise ReportFault(
                f"{file}: written in version {version} of the prediction format; this program "
                f"reads version {HEADER_VERSION}"
            )
        counts = said["train_counts"]
        return RunHeader(
            name=str(said["name"]),
            classes=tuple(said["classes"]),
            train_counts=None if counts is None else as_indices(counts, "train_counts"),
            image_folder=said.get("image_folder"),
            neighbour_folder=said.get("neighbour_folder"),
            source=said.get("source"),
            training=_images(said.get("training")),
            selection=_images(said.get("selection")),
            metadata=dict(said.get("metadata") or {}),
        )
    except RecursionError as fault:
        raise ReportFault(f"{file}: its rac.predictions metadata is nested too deeply") from fault
    except (KeyError, TypeError, AttributeError, ValueError) as fault:
        if isinstance(fault, ReportFault):
            raise
        raise ReportFault(f"{file}: its rac.predictions metadata is damaged ({fault!r})") from fault


def _images(said: Mapping[str, object] | None) -> ImageSet | None:
    return None if said is None else image_set_from_json(said)
