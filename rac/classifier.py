"""The classifier: a base branch, a memory that is looked things up in, and their fusion."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from eval.predictions import Predictions
from rac.branches.base import CosineHead, Floats, Integers
from rac.branches.nearest import NearestRows, suits
from rac.branches.retrieval import RetrievalBranch
from rac.branches.text import Snippets, TextBranch, snippets
from rac.errors import InputError
from rac.model_config import ClassifierConfig, TextConfig, read_config, write_config
from rac.seen_images import SeenImages, read_seen_images
from rac.tables import Item
from rac.workers import single_threads
from retrieval_index import (
    Batch,
    EncoderMismatch,
    EvenedMetric,
    Memory,
    MemoryFault,
    Metric,
    Neighbours,
)
from retrieval_index.files import replace_file, sha256_file

CONFIG = "config.json"
TENSORS = "model.safetensors"
MEMORY = "memory"
IMAGES = "images.json"
_CHUNK_ROWS = 4096
_BASE_METRIC = "base_metric."
#: Neighbours that a prediction file tells of a row: what a person may look at.
_MOST_TOLD = 30

_Part: TypeAlias = tuple[Floats, Floats, Floats, Floats, Integers, Floats | None]


class EmptyMemoryWarning(UserWarning):
    """The memory holds no row with a known class, so the base branch answers alone."""


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

    Base branch and memory mostly share an encoder. A memory may also be of an encoder of its own
    (``config.memory_encoder``), such as the frozen one beside a tuned base: it then knows what the
    base branch does not. Such a model takes two features of each image.

    Attributes:
        config: what is written to ``config.json``.
        head: the base branch, in ``base_metric``.
        base_metric: of the base branch; that of the memory where both share an encoder.
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
        base_metric: Metric | None = None,
        text_names: Floats | None = None,
        text_prototypes: Floats | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            config: see the class.
            head: see the class.
            memory: see the class; its text vectors, if any, are the text branch's captions.
            seen: see the class.
            base_metric: of the head, where ``config`` names an encoder for the memory.
            text_names: ``(C, E)`` unit norm, the embedded names of the classes, where ``config``
                has a text branch.
            text_prototypes: ``(C, E)`` unit norm, likewise: the average snippets of the classes.

        Raises:
            InputError: the memory's metric is not the one that the model was trained with, or the
                head or the text branch does not fit the classes or the memory.
            EncoderMismatch: the memory was made with another encoder or in another space.
            ValueError: ``base_metric`` is missing, or is not called for.
        """
        if (base_metric is None) != (config.memory_encoder is None):
            raise ValueError("a base metric is for a memory with an encoder of its own, and only")
        memory.require(encoder=config.of_memory().encoder, space=config.of_memory().space)
        if metric_digest(memory.metric) != config.metric_sha256:
            raise InputError(
                f"{memory.folder or 'the memory'}: its metric is not the one that this model was "
                "trained in; a memory for it must be added to, not built anew"
            )
        if len(head.directions) != len(config.classes):
            raise InputError(
                f"the head knows {len(head.directions)} classes, the model {len(config.classes)}"
            )
        for what, found, wanted in (
            ("memory", memory.manifest.dim, config.of_memory().dim),
            ("base branch", head.directions.shape[1], config.dim),
            ("base metric", (base_metric or memory.metric).dim, config.dim),
        ):
            # A metric that has learnt nothing takes features of any dimension.
            if found not in (wanted, None):
                raise InputError(
                    f"{memory.folder or 'the memory'}: the {what} is of {found} dimensions, and "
                    f"the model of {wanted}"
                )
        self.config = config
        self.head = head
        self.memory = memory
        self.base_metric = base_metric or memory.metric
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
        own = None if self.config.memory_encoder is None else self.base_metric
        return RacClassifier(
            self.config, self.head, memory, self.seen, base_metric=own, **self._text_tensors()
        )

    def require(
        self,
        *,
        encoder: str | None = None,
        space: str | None = None,
        memory_encoder: str | None = None,
        memory_space: str | None = None,
    ) -> None:
        """Refuse features of others than the model's encoders and spaces; None checks nothing.

        Args:
            encoder: identity of what gives the base branch's features, and the memory's where the
                model has one encoder.
            space: likewise, the output of it.
            memory_encoder: identity of what gives the memory's features, where it has its own.
            memory_space: likewise, the output of it.

        Raises:
            EncoderMismatch: says which differs.
            InputError: ``memory_encoder`` is given, and the model has one encoder only.
        """
        config = self.config
        if config.memory_encoder is None:
            if memory_encoder is not None:
                raise InputError(
                    "this model's memory is of the same encoder as its base branch; it takes no "
                    "features of another one"
                )
            self.memory.require(encoder=encoder, space=space)
            return
        self.memory.require(encoder=memory_encoder, space=memory_space)
        for what, wanted, given in (
            ("encoder", config.encoder, encoder),
            ("space", config.space, space),
        ):
            if given not in (None, wanted):
                named = f" ({config.encoder_name})" if config.encoder_name else ""
                raise EncoderMismatch(
                    f"the {what} differs: the base branch was trained on {wanted}{named}, the "
                    f"features at hand are of {given}. Use what it was trained on"
                )

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

    def predict(
        self, features: npt.ArrayLike, memory_features: npt.ArrayLike | None = None
    ) -> ClassifierOutput:
        """Classify features; chunk by chunk, so that what is held besides the answer is bounded.

        Args:
            features: ``(N, D)`` finite, from the model's encoder and space; N may be 0.
            memory_features: ``(N, D')`` likewise of the same images, from the memory's encoder and
                space, where that is another (``config.memory_encoder``).

        Returns:
            Both branches, the neighbours and the fused probabilities. Where the memory holds no
            row of a known class, the base branch answers alone: ``branches`` says ``base`` and an
            :class:`EmptyMemoryWarning` is given.

        Raises:
            BadVectors: not such an array, or of another dimension.
            InputError: ``memory_features`` is missing, or not called for, or has other rows.
        """
        vectors = np.asarray(features, dtype=np.float32)
        asked = self._asked(vectors, memory_features)
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
            part = slice(start, start + rows)
            return self._chunk(vectors[part], asked[part], alone)

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

    def _asked(self, vectors: Floats, memory_features: npt.ArrayLike | None) -> Floats:
        """Give what the memory is asked with."""
        own = self.config.memory_encoder
        if own is None and memory_features is not None:
            raise InputError("this model takes one feature vector of each image")
        if own is not None and memory_features is None:
            named = own.encoder_name or own.encoder
            raise InputError(
                f"this model's memory takes features of an encoder of its own, {named}, beside "
                f"those for the base branch (rac train: --data.memory_encoder {named})"
            )
        if memory_features is None:
            return vectors
        asked = np.asarray(memory_features, dtype=np.float32)
        if len(asked) != len(vectors):
            raise InputError(f"{len(vectors)} rows of features, {len(asked)} for the memory")
        return asked

    def _chunk(self, vectors: Floats, asked: Floats, alone: bool) -> _Part:
        """Classify rows by their features for the base branch, and those for the memory."""
        k, quick = self.config.k, None if alone else self._nearest
        mapped = self.base_metric.apply(vectors, single=quick is not None)
        base = self.head.log_probabilities(mapped)
        if alone:
            nothing = np.full((len(vectors), self.config.k), -np.inf, dtype=np.float32)
            said = self.fallback.log_probabilities(base, np.zeros_like(base), self.train_counts)
            silent = np.full_like(base, -np.inf)
            nobody = np.full(nothing.shape, -1, dtype=np.int64)
            return np.exp(said), base, silent, nothing, nobody, None
        if quick is None:
            near = self.memory.search(asked, k)
        else:
            if self.config.memory_encoder is not None:
                mapped = self.memory.metric.apply(asked, single=True)
            near = quick.search(asked, mapped, k)
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
            made = self.config.of_memory()
            Memory.build(
                home,
                [Batch(self.memory.vectors, self.memory.rows, self.memory.text_vectors)],
                encoder=made.encoder,
                space=made.space,
                metric=self.memory.metric,
                encoder_name=made.encoder_name,
                images_from=self.memory.manifest.images_from,
            )
        tensors: dict[str, npt.NDArray[Any]] = {
            "directions": self.head.directions.astype(np.float32, copy=False),
            "scale": np.array([self.head.scale], dtype=np.float64),
            **self._text_tensors(),
        }
        if self.config.memory_encoder is not None:
            learnt = self.base_metric.arrays()
            tensors.update({_BASE_METRIC + name: array for name, array in learnt.items()})
        # safetensors writes the memory under a strided array, which holds other numbers.
        stored = {name: np.asarray(array, order="C") for name, array in tensors.items()}
        with replace_file(target / TENSORS) as draft:
            save_file(stored, draft)
        digests = {
            "tensors_sha256": sha256_file(target / TENSORS),
            "images_sha256": self.seen.write(target / IMAGES),
        }
        with replace_file(target / CONFIG) as draft:
            write_config(self.config.model_copy(update=digests), draft)
        return target

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        encoder: str | None = None,
        space: str | None = None,
        memory_encoder: str | None = None,
        memory_space: str | None = None,
    ) -> RacClassifier:
        """Open a model folder; nothing in it is unpickled.

        Args:
            folder: what ``save`` wrote.
            encoder: identity of the encoder that features will come from; None checks nothing.
            space: the output of it that they will come from; None checks nothing.
            memory_encoder: likewise, of the memory's features where it has an encoder of its own.
            memory_space: likewise.

        Raises:
            InputError: it is not a model folder, it is damaged, or its memory is another model's.
            EncoderMismatch: it was trained with another encoder or in another space.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        home = Path(folder)
        config = read_config(home / CONFIG)
        try:
            whole = sha256_file(home / TENSORS) == config.tensors_sha256
            tensors = load_file(home / TENSORS) if whole else {}
        except (OSError, SafetensorError) as fault:
            raise InputError(f"{home / TENSORS}: cannot be read ({fault})") from fault
        of_metric = {
            name.removeprefix(_BASE_METRIC): tensors.pop(name)
            for name in list(tensors)
            if name.startswith(_BASE_METRIC)
        }
        of_text = set() if config.text is None else {"text_names", "text_prototypes"}
        fits = bool(of_metric) == (config.memory_encoder is not None)
        if not fits or set(tensors) != {"directions", "scale"} | of_text:
            raise InputError(f"{home / TENSORS}: is not the file that {CONFIG} vouches for")
        _check_tensors(tensors, config, home / TENSORS)
        memory = Memory.open(home / MEMORY)
        head = CosineHead(tensors["directions"], float(tensors["scale"][0]))
        seen = SeenImages()
        if config.images_sha256 is not None:
            seen = read_seen_images(home / IMAGES, config.images_sha256)
        loaded = cls(
            config,
            head,
            memory,
            seen,
            base_metric=_own_metric(of_metric, home / TENSORS),
            **{name: tensors[name] for name in of_text},
        )
        loaded.require(
            encoder=encoder,
            space=space,
            memory_encoder=memory_encoder,
            memory_space=memory_space,
        )
        return loaded


def _own_metric(arrays: dict[str, npt.NDArray[Any]], path: Path) -> EvenedMetric | None:
    try:
        return EvenedMetric.from_arrays(arrays) if arrays else None
    except MemoryFault as fault:
        raise InputError(f"{path}: the metric of the base branch is damaged: {fault}") from fault


def _check_tensors(
    tensors: Mapping[str, npt.NDArray[Any]], config: ClassifierConfig, path: Path
) -> None:
    """Refuse tensors of a model folder that no fit gives, before anything is made of them.

    Raises:
        InputError: a shape does not fit the configuration, or a number is none.
    """
    shapes: dict[str, tuple[int | None, ...]] = {
        "directions": (len(config.classes), None),
        "scale": (1,),
    }
    if config.text is not None:
        named = (len(config.classes), config.text.dim)
        shapes |= {"text_names": named, "text_prototypes": named}
    for name, shape in shapes.items():
        found = tensors[name]
        sides = zip(found.shape, shape, strict=False)
        if found.ndim != len(shape) or any(side not in (has, None) for has, side in sides):
            wanted = ", ".join("D" if side is None else str(side) for side in shape)
            raise InputError(
                f"{path}: {name} has the shape {found.shape}, and {CONFIG} asks for ({wanted})"
            )
        if found.dtype.kind != "f" or not np.isfinite(found).all():
            raise InputError(f"{path}: {name} holds numbers that are none")
    if tensors["scale"][0] <= 0:
        raise InputError(f"{path}: scale must be above 0, not {tensors['scale'][0]}")


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
        model: the neighbours are rows of its memory, of which the nearest are told, and it tells
            which images it has seen; without it both are left out.
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
        found = output.neighbours
        told = zip(found.rows[:, :_MOST_TOLD], found.scores[:, :_MOST_TOLD], strict=True)
        for line, near in told:
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
