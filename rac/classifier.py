"""The classifier: a base branch, a memory that is looked things up in, and their fusion."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from eval.predictions import Predictions
from rac.branches.base import CosineHead, Floats, Integers
from rac.branches.nearest import NearestRows, suits
from rac.branches.retrieval import RetrievalBranch
from rac.branches.text import Snippets, TextBranch, snippets
from rac.errors import InputError
from rac.fusion import Fusion
from rac.seen_images import SeenImages, read_seen_images
from rac.tables import Item
from rac.workers import single_threads
from retrieval_index import Batch, Memory, Metric, Neighbours
from retrieval_index.files import replace_file, sha256_file

CONFIG = "config.json"
TENSORS = "model.safetensors"
MEMORY = "memory"
IMAGES = "images.json"
_CHUNK_ROWS = 4096

_Part: TypeAlias = tuple[Floats, Floats, Floats, Floats, Integers, Floats | None]


class EmptyMemoryWarning(UserWarning):
    """The memory holds no row with a known class, so the base branch answers alone."""


class FusionConfig(BaseModel):
    """The numbers of a :class:`rac.fusion.Fusion`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    weights: tuple[float, float, float, float, float]
    centre: float
    spread: float = Field(gt=0)
    temperature: float = Field(gt=0)
    text: tuple[float, float] = (0.0, 0.0)

    def fusion(self) -> Fusion:
        """Give the fusion itself."""
        return Fusion(**self.model_dump())


class TextConfig(BaseModel):
    """The numbers of a :class:`rac.branches.text.TextBranch`; k and gamma are those of the votes.

    Attributes:
        dim: E, of the text vectors.
        temperature: of the similarities.
        scale: of the cosines.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dim: int = Field(ge=1)
    temperature: float = Field(gt=0)
    scale: float = Field(gt=0)


class ClassifierConfig(BaseModel):
    """What ``config.json`` of a model folder says; unknown keys are refused.

    Attributes:
        format_version: of the folder.
        classes: the C names, in the order of every score column.
        train_counts: training rows of each class.
        encoder: identity of the encoder whose features it takes.
        encoder_name: what that encoder is called on the command line, if anything.
        space: which of its outputs: ``trunk`` or ``embedding``.
        dim: D, of the features.
        k: neighbours that are heard.
        temperature: of their similarities.
        gamma: exponent of the class counts that votes are divided by.
        fusion: weights of both branches.
        fallback: weights of the base branch alone, for an empty memory.
        text: of the text branch; None where it is off, as in every folder of format version 1.
        metric_sha256: of the memory's fitted metric, which the base branch shares.
        tensors_sha256: of ``model.safetensors``; set when saving.
        images_sha256: of ``images.json``; set when saving, None where the images are not known.
        training: the settings it was trained with, as JSON values.
        metrics: figures from training and validation rows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1, 2] = 2
    classes: tuple[str, ...] = Field(min_length=2)
    train_counts: tuple[int, ...]
    encoder: str
    encoder_name: str | None = None
    space: str
    dim: int = Field(ge=1)
    k: int = Field(ge=1)
    temperature: float = Field(gt=0)
    gamma: float = Field(ge=0)
    fusion: FusionConfig
    fallback: FusionConfig
    text: TextConfig | None = None
    metric_sha256: str
    tensors_sha256: str | None = None
    images_sha256: str | None = None
    training: dict[str, str | int | float | bool | None] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _classes_fit(self) -> ClassifierConfig:
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.train_counts) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes but {len(self.train_counts)} counts")
        return self


@dataclass(frozen=True)
class ClassifierOutput:
    """What the classifier says about N queries.

    Attributes:
        probabilities: ``(N, C)`` float32, fused and calibrated; rows add to one.
        base: ``(N, C)`` log-probabilities of the base branch.
        retrieval: ``(N, C)`` log vote shares; -inf everywhere where the memory is empty.
        neighbours: ``(N, k)`` rows of the memory.
        classes: the C names.
        train_counts: ``(C,)``.
        branches: ``fused``, or ``base`` where the memory had nothing to say.
        text: ``(N, C)`` log-probabilities of the text branch; None where it is off or the memory
            had nothing to say.
    """

    probabilities: Floats
    base: Floats
    retrieval: Floats
    neighbours: Neighbours
    classes: tuple[str, ...]
    train_counts: Integers
    branches: Literal["fused", "base"]
    text: Floats | None = None

    @property
    def predicted(self) -> list[str]:
        """N class names; of equally likely classes the first."""
        return [self.classes[index] for index in self.probabilities.argmax(axis=1)]

    @property
    def confidence(self) -> Floats:
        """``(N,)`` probability of the predicted class."""
        best: Floats = self.probabilities.max(axis=1)
        return best


class RacClassifier:
    """Retrieval-augmented classification of features.

    Attributes:
        config: what is written to ``config.json``.
        head: the base branch, in the metric of the memory.
        memory: rows with labels; labels that are no class of the model are not heard.
        seen: the images that it was trained on and chosen by.
        text: the text branch; None where it is off.
    """

    def __init__(
        self,
        config: ClassifierConfig,
        head: CosineHead,
        memory: Memory,
        seen: SeenImages = SeenImages(),  # noqa: B008  it is frozen
        *,
        text_names: Floats | None = None,
        text_prototypes: Floats | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            config: see the class.
            head: see the class.
            memory: see the class; its text vectors, if any, are the text branch's captions.
            seen: see the class.
            text_names: ``(C, E)`` unit norm, the embedded names of the classes, where ``config``
                has a text branch.
            text_prototypes: ``(C, E)`` unit norm, likewise: the average snippets of the classes.

        Raises:
            InputError: the memory's metric is not the one that the base branch was trained in, or
                the head or the text branch does not fit the classes or the memory.
            EncoderMismatch: the memory was made with another encoder or in another space.
        """
        memory.require(encoder=config.encoder, space=config.space)
        if metric_digest(memory.metric) != config.metric_sha256:
            raise InputError(
                f"{memory.folder or 'the memory'}: its metric is not the one that this model was "
                "trained in; a memory for it must be added to, not built anew"
            )
        if len(head.directions) != len(config.classes):
            raise InputError(
                f"the head knows {len(head.directions)} classes, the model {len(config.classes)}"
            )
        self.config = config
        self.head = head
        self.memory = memory
        self.seen = seen
        self.branch = RetrievalBranch(config.k, config.temperature, config.gamma)
        self.fusion = config.fusion.fusion()
        self.fallback = config.fallback.fusion()
        self.text: TextBranch | None = None
        if config.text is not None:
            self.text = _text_branch(config, config.text, memory, text_names, text_prototypes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The C class names."""
        return self.config.classes

    @cached_property
    def train_counts(self) -> Integers:
        """``(C,)`` training rows of each class."""
        return np.array(self.config.train_counts, dtype=np.int64)

    @cached_property
    def memory_classes(self) -> Integers:
        """``(M,)`` class of each row of the memory, -1 where it is none of the model's."""
        position = {name: index for index, name in enumerate(self.classes)}
        found = (-1 if label is None else position.get(label, -1) for label in self.memory.labels)
        return np.fromiter(found, dtype=np.int64, count=len(self.memory))

    @cached_property
    def memory_counts(self) -> Integers:
        """``(C,)`` rows of each class in the memory as it is now."""
        known = self.memory_classes[self.memory_classes >= 0]
        return np.bincount(known, minlength=len(self.classes)).astype(np.int64)

    @cached_property
    def _nearest(self) -> NearestRows | None:
        """The fast search of the memory; None where the memory's own is the one to take."""
        return NearestRows(self.memory) if suits(self.memory, self.config.k) else None

    def with_memory(self, memory: Memory) -> RacClassifier:
        """Give the same model over an edited memory; raises as the constructor does."""
        return RacClassifier(self.config, self.head, memory, self.seen, **self._text_tensors())

    @cached_property
    def _snippets(self) -> Snippets | None:
        """The snippets of the memory's rows; None where the text branch is off."""
        if self.text is None:
            return None
        captions = self.memory.text_vectors
        return Snippets(self.text, snippets(self.text.names, captions, self.memory_classes))

    def _text_tensors(self) -> dict[str, Floats]:
        if self.text is None:
            return {}
        return {"text_names": self.text.names, "text_prototypes": self.text.prototypes}

    def predict(self, features: npt.ArrayLike) -> ClassifierOutput:
        """Classify features; chunk by chunk, so that what is held besides the answer is bounded.

        Args:
            features: ``(N, D)`` finite, from the model's encoder and space; N may be 0.

        Returns:
            Both branches, the neighbours and the fused probabilities. Where the memory holds no
            row of a known class, the base branch answers alone: ``branches`` says ``base`` and an
            :class:`EmptyMemoryWarning` is given.

        Raises:
            BadVectors: not such an array, or of another dimension.
        """
        vectors = np.asarray(features, dtype=np.float32)
        alone = not self.memory_counts.any()
        if alone:
            warnings.warn(
                "the memory holds no row of a class of this model; the base branch answers alone",
                EmptyMemoryWarning,
                stacklevel=2,
            )
        quick = None if alone else self._nearest
        rows = _CHUNK_ROWS if quick is None else quick.chunk
        starts = range(0, len(vectors), rows) if len(vectors) else range(1)

        def work(start: int) -> _Part:
            return self._chunk(vectors[start : start + rows], alone)

        if quick is None or len(starts) == 1:
            parts = [work(start) for start in starts]
        else:
            # Threads within each operation would wait for each other some ten times a chunk.
            # The first chunk is done before, for what all of them share.
            parts = [work(starts[0])]
            with single_threads(quick.workers) as pool:
                parts += pool.map(work, starts[1:])
        probabilities, base, retrieval, scores, found = (
            np.concatenate(column) for column in zip(*(part[:5] for part in parts), strict=True)
        )
        told = [text for *_, text in parts if text is not None]
        return ClassifierOutput(
            probabilities=probabilities,
            base=base,
            retrieval=retrieval,
            neighbours=Neighbours(scores=scores, rows=found),
            classes=self.classes,
            train_counts=self.train_counts,
            branches="base" if alone else "fused",
            text=np.concatenate(told) if told else None,
        )

    def _chunk(self, vectors: Floats, alone: bool) -> _Part:
        k, quick = self.config.k, None if alone else self._nearest
        mapped = self.memory.metric.apply(vectors, single=quick is not None)
        base = self.head.log_probabilities(mapped)
        if alone:
            nothing = np.full((len(vectors), self.config.k), -np.inf, dtype=np.float32)
            said = self.fallback.log_probabilities(base, np.zeros_like(base), self.train_counts)
            silent = np.full_like(base, -np.inf)
            nobody = np.full(nothing.shape, -1, dtype=np.int64)
            return np.exp(said), base, silent, nothing, nobody, None
        near = quick.search(vectors, mapped, k) if quick else self.memory.search(vectors, k)
        classes = np.where(near.rows >= 0, self.memory_classes[near.rows], -1)
        retrieval = self.branch.log_probabilities(near.scores, classes, self.memory_counts)
        text = None
        if self.text is not None and self._snippets is not None:
            text = self.text.log_probabilities(
                near.scores, near.rows, classes, self.memory_counts, self._snippets
            )
        said = self.fusion.log_probabilities(base, retrieval, self.train_counts, text)
        return np.exp(said), base, retrieval, near.scores, near.rows, text

    def save(self, folder: str | Path) -> Path:
        """Write the model folder: configuration, tensors, ``memory/`` and ``images.json``.

        ``config.json`` is written last and vouches for the others, so that a folder whose writing
        was cut short is refused by ``load`` and never half believed.

        Returns:
            The folder.
        """
        from safetensors.numpy import save_file

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        home = target / MEMORY
        if self.memory.folder is None or self.memory.folder.resolve() != home.resolve():
            Memory.build(
                home,
                [Batch(self.memory.vectors, self.memory.rows, self.memory.text_vectors)],
                encoder=self.config.encoder,
                space=self.config.space,
                metric=self.memory.metric,
                encoder_name=self.config.encoder_name,
                images_from=self.memory.manifest.images_from,
            )
        tensors: dict[str, npt.NDArray[Any]] = {
            "directions": np.ascontiguousarray(self.head.directions, dtype=np.float32),
            "scale": np.array([self.head.scale], dtype=np.float64),
            **{name: np.ascontiguousarray(of) for name, of in self._text_tensors().items()},
        }
        with replace_file(target / TENSORS) as draft:
            save_file(tensors, draft)
        digests = {
            "tensors_sha256": sha256_file(target / TENSORS),
            "images_sha256": self.seen.write(target / IMAGES),
        }
        complete = self.config.model_copy(update=digests)
        with replace_file(target / CONFIG) as draft:
            draft.write_text(complete.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return target

    @classmethod
    def load(
        cls, folder: str | Path, *, encoder: str | None = None, space: str | None = None
    ) -> RacClassifier:
        """Open a model folder; nothing in it is unpickled.

        Args:
            folder: what ``save`` wrote.
            encoder: identity of the encoder that features will come from; None checks nothing.
            space: the output of it that they will come from; None checks nothing.

        Raises:
            InputError: it is not a model folder, it is damaged, or its memory is another model's.
            EncoderMismatch: it was trained with another encoder or in another space.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        home = Path(folder)
        try:
            text = (home / CONFIG).read_text(encoding="utf-8")
        except OSError:
            raise InputError(
                f"{home}: no {CONFIG} there; a model folder is what `rac train fit` prints"
            ) from None
        config = _read_config(text, home / CONFIG)
        try:
            whole = sha256_file(home / TENSORS) == config.tensors_sha256
            tensors = load_file(home / TENSORS) if whole else {}
        except (OSError, SafetensorError) as fault:
            raise InputError(f"{home / TENSORS}: cannot be read ({fault})") from fault
        of_text = set() if config.text is None else {"text_names", "text_prototypes"}
        if set(tensors) != {"directions", "scale"} | of_text:
            raise InputError(f"{home / TENSORS}: is not the file that {CONFIG} vouches for")
        memory = Memory.open(home / MEMORY)
        memory.require(encoder=encoder, space=space)
        head = CosineHead(tensors["directions"], float(tensors["scale"][0]))
        seen = SeenImages()
        if config.images_sha256 is not None:
            seen = read_seen_images(home / IMAGES, config.images_sha256)
        return cls(config, head, memory, seen, **{name: tensors[name] for name in of_text})


def _text_branch(
    config: ClassifierConfig,
    text: TextConfig,
    memory: Memory,
    names: Floats | None,
    prototypes: Floats | None,
) -> TextBranch:
    shape = (len(config.classes), text.dim)
    if names is None or prototypes is None or {names.shape, prototypes.shape} != {shape}:
        raise InputError(f"the text branch needs names and prototypes of shape {shape}")
    if memory.text_dim not in (None, text.dim):
        raise InputError(
            f"{memory.folder or 'the memory'}: its text vectors have {memory.text_dim} dimensions, "
            f"those of this model {text.dim}"
        )
    return TextBranch(names, prototypes, config.k, text.temperature, config.gamma, text.scale)


def metric_digest(metric: Metric) -> str:
    """Give a SHA-256 over the name and the numbers of a fitted metric."""
    digest = hashlib.sha256(metric.name.encode())
    for name, values in sorted(metric.arrays().items()):
        digest.update(f"{name}{values.dtype.str}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def to_predictions(
    output: ClassifierOutput,
    items: Sequence[Item],
    labels: Sequence[str | None] | None,
    name: str,
    *,
    model: RacClassifier | None = None,
    ok: npt.NDArray[np.bool_] | None = None,
    hashes: Sequence[str | None] | None = None,
    source: str | None = None,
    image_folder: Path | None = None,
    metadata: Mapping[str, object] | None = None,
) -> Predictions:
    """Put an output into the form that is written to a prediction file.

    Labels that are no class of the model stay in the file only if the model knows them: others
    become unknown, and their number is kept in the metadata.

    Args:
        output: of N queries.
        items: the N items.
        labels: their classes, None where unknown; None for no labels at all.
        name: of the run.
        model: the neighbours are rows of its memory, and it tells which images it has seen;
            without it both are left out.
        ok: ``(N,)`` whether the image could be read; predictions of others are left open.
        hashes: N SHA-256 of the images' bytes, by which a report finds images that the model has
            seen.
        source: the table of the items, as the user named it.
        image_folder: where relative references of its images start.
        metadata: more to say about the run.
    """
    fine = np.ones(len(items), dtype=np.bool_) if ok is None else ok
    known = set(output.classes)
    given = [None] * len(items) if labels is None else list(labels)
    strange = sorted({label for label in given if label is not None and label not in known})
    about: dict[str, object] = {"branches": output.branches, **(metadata or {})}
    if strange:
        about["labels_without_class"] = strange
    confidence = output.confidence.astype(np.float64)
    confidence[~fine] = np.nan
    cells: dict[str, list[list[str | None]]] = {"ids": [], "labels": [], "images": []}
    scores: list[list[float]] = []
    if model is not None:
        memory = model.memory
        columns: dict[str, Sequence[str | None]] = {
            "ids": memory.ids,
            "labels": memory.labels,
            "images": memory.sources,
        }
        for line, near in zip(output.neighbours.rows, output.neighbours.scores, strict=True):
            there = line >= 0
            scores.append([float(score) for score in near[there]])
            for key, column in columns.items():
                cells[key].append([column[row] for row in line[there]])
    predicted = output.predicted
    return Predictions(
        name=name,
        ids=[item.id for item in items],
        labels=[label if label in known else None for label in given],
        predictions=[label if good else None for label, good in zip(predicted, fine, strict=True)],
        classes=output.classes,
        confidence=confidence,
        train_counts=output.train_counts,
        scores=output.probabilities,
        base_scores=output.base,
        retrieval_scores=output.retrieval,
        neighbour_ids=cells["ids"] if model is not None else None,
        neighbour_labels=cells["labels"] if model is not None else None,
        neighbour_scores=scores if model is not None else None,
        neighbour_images=cells["images"] if model is not None else None,
        images=[item.image if isinstance(item.image, str) else None for item in items],
        image_folder=None if image_folder is None else str(image_folder.resolve()),
        neighbour_folder=None if model is None else model.memory.manifest.images_from,
        content_hashes=hashes,
        source=source,
        training=None if model is None else model.seen.training_with(model.memory),
        selection=None if model is None else model.seen.selection,
        metadata=about,
    )


def _read_config(text: str, path: Path) -> ClassifierConfig:
    try:
        version = json.loads(text).get("format_version")
        if version not in (1, 2):
            raise InputError(
                f"{path}: written in version {version} of the model format; this program reads "
                "versions 1 and 2. Train the model again, or use the release that wrote it"
            )
        return ClassifierConfig.model_validate_json(text)
    except (ValidationError, json.JSONDecodeError, AttributeError) as fault:
        raise InputError(f"{path}: not the configuration of a model ({fault})") from fault
