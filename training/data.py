"""The data module: from tables or arrays to features that the heads can be trained on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from rac.errors import InputError
from rac.text_vectors import read_texts
from retrieval_index.evened import SHRINKAGE
from training.crossfit import CrossFit, LabelledFeatures, Views, cross_fit
from training.folds import NEAR_DUPLICATE, hold_out
from training.memory_rows import MemoryRows
from training.samplers import Sampling, epoch_sampler
from training.texts import TextMode

if TYPE_CHECKING:
    from rac.embedding import Features
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from rac.tables import Item, Table

Batch = dict[str, torch.Tensor]
Space = Literal["trunk", "embedding"]

_PREDICT_ROWS = 4096
_SETTINGS = (
    "space",
    "folds",
    "near_duplicate",
    "power",
    "shrinkage",
    "batch_size",
    "steps_per_epoch",
    "sampling",
    "seed",
)


class FeatureData(pl.LightningDataModule):
    """Features that are in memory already.

    Args:
        rows: the training rows; may be None where :meth:`fit_rows` is overridden.
        validation: rows that were kept for validation; without them, every training row is judged
            by the head that was trained without its fold.
        encoder: identity of the encoder that gave the features.
        space: which of its outputs they are.
        encoder_name: what it is called on the command line.
        folds: for cross-fitting, at least 2.
        near_duplicate: rows of a class at least this near share a fold.
        power: exponent that evens the features; None chooses by their signs.
        shrinkage: least shrinkage of the within-class covariance, in [0, 1].
        batch_size: rows of one training step; all rows where there are fewer.
        steps_per_epoch: steps of an epoch where all rows fit in one batch.
        sampling: ``instance`` shows each row as often as the others; ``class-balanced``,
            ``square-root`` and ``progressive`` are those of :mod:`training.samplers`.
        text_branch: whether the neighbours' snippets are heard; ``auto`` asks held-out rows.
        memory_rows: the same rows in another encoder's features, for a memory of its own; None for
            a memory in the features that the heads see.
        seed: of folds and batches.
    """

    def __init__(
        self,
        rows: LabelledFeatures | None,
        validation: LabelledFeatures | None = None,
        *,
        memory_rows: MemoryRows | None = None,
        encoder: str = "",
        space: Space = "trunk",
        encoder_name: str | None = None,
        folds: int = 4,
        near_duplicate: float = NEAR_DUPLICATE,
        power: float | None = None,
        shrinkage: float = SHRINKAGE,
        batch_size: int = 4096,
        steps_per_epoch: int = 10,
        sampling: Sampling = "instance",
        text_branch: TextMode = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or steps_per_epoch < 1:
            raise InputError("batch_size and steps_per_epoch must be at least 1")
        self._rows = rows
        self._validation = validation
        self._memory_rows = memory_rows
        self.encoder_identity = encoder
        self.encoder_name = encoder_name
        self.space: Space = space
        self.folds = folds
        self.near_duplicate = near_duplicate
        self.power = power
        self.shrinkage = shrinkage
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.sampling: Sampling = sampling
        self.text_branch: TextMode = text_branch
        self.seed = seed
        self.fit_data: CrossFit | None = None
        self.validation: LabelledFeatures | None = None
        self.memory_rows: MemoryRows | None = None

    def fit_rows(self) -> tuple[LabelledFeatures, LabelledFeatures | None]:
        """Give training rows and validation rows."""
        if self._rows is None:
            raise InputError("there are no training rows")
        return self._rows, self._validation

    def fit_memory(self) -> MemoryRows | None:
        """Give the rows of :meth:`fit_rows` as the encoder of the memory alone sees them."""
        return self._memory_rows

    def setup(self, stage: str) -> None:
        """Fit the metrics, once, when training begins.

        Raises:
            InputError: see :meth:`fit_rows`; or the memory has an encoder of its own and no
                validation row of a known class to be fitted by.
        """
        if stage != "fit" or self.fit_data is not None:
            return
        rows, validation = self.fit_rows()
        self.fit_data = cross_fit(
            rows,
            folds=self.folds,
            near_duplicate=self.near_duplicate,
            seed=self.seed,
            power=self.power,
            shrinkage=self.shrinkage,
        )
        memory = self.fit_memory()
        if memory is not None:
            memory.require(rows, validation)
        if validation is not None:
            known = self.fit_data.index(validation.labels) >= 0
            validation = _subset(validation, known)
            if memory is not None:
                memory = replace(memory, validation=_subset(memory.validation, known))
                memory.require(rows, validation)
        self.validation = validation if validation is not None and len(validation) else None
        self.memory_rows = memory

    @property
    def fitted(self) -> CrossFit:
        """What ``setup`` made of the training rows."""
        if self.fit_data is None:
            raise RuntimeError("setup('fit') comes first")
        return self.fit_data

    @cached_property
    def identity(self) -> dict[str, str | int | float | None]:
        """What a training depends on: digests of the rows, and every setting of the data."""
        return {
            "training rows": _digest(self.fitted.rows),
            "validation rows": None if self.validation is None else _digest(self.validation),
            "encoder": self.encoder_identity,
            **{name: getattr(self, name) for name in _SETTINGS},
        }

    @property
    def asked_of_a_model(self) -> dict[str, str | None]:
        """Identities and spaces of the features, as :meth:`rac.classifier.RacClassifier.load` takes
        them.
        """
        return {"encoder": self.encoder_identity or None, "space": self.space}

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of ``vectors (H, B, D)``, ``classes (B,)`` and ``member (H, B)``."""
        data = self.fitted
        mapped = torch.from_numpy(data.mapped)
        classes = torch.from_numpy(data.classes)
        member = torch.from_numpy(data.member)

        def gather(rows: list[int]) -> Batch:
            index = torch.tensor(rows)
            if self.sampling == "instance" and len(rows) == len(classes):
                return {"vectors": mapped, "classes": classes, "member": member}
            return {
                "vectors": mapped[:, index],
                "classes": classes[index],
                "member": member[:, index],
            }

        sampler = epoch_sampler(
            data.classes,
            self.sampling,
            batch_size=self.batch_size,
            steps=self.steps_per_epoch,
            epochs=self.trainer.max_epochs if self.trainer else None,
            seed=self.seed,
        )
        return DataLoader(
            range(len(classes)),  # type: ignore[arg-type]
            batch_size=min(self.batch_size, len(classes)),
            sampler=sampler,
            collate_fn=gather,
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of ``vectors (B, D)``, ``classes (B,)`` and the one ``head (B,)`` that judges."""
        data = self.fitted
        if self.validation is not None:
            vectors = data.metrics[0].apply(self.validation.vectors)
            classes = data.index(self.validation.labels)
            heads = np.zeros(len(classes), dtype=np.int64)
        else:
            heads, classes = data.folds + 1, data.classes
            vectors = data.queries
        columns = [torch.from_numpy(column) for column in (vectors, classes, heads)]

        def gather(rows: list[int]) -> Batch:
            index = torch.tensor(rows)
            picked = (column[index] for column in columns)
            return dict(zip(("vectors", "classes", "heads"), picked, strict=True))

        return DataLoader(range(len(classes)), batch_size=_PREDICT_ROWS, collate_fn=gather)  # type: ignore[arg-type]


class TableData(FeatureData):
    """Tables of items with images, embedded once; embeddings known to the cache are taken from it.

    Args:
        train: table with the training rows, such as ``grocery-store-lt:train`` or ``items.csv``.
        val: table with validation rows; without it, training rows are cross-fitted.
        test: table for ``rac train test``.
        predict: table for ``rac train predict``.
        image: column with the images.
        label: column with the classes.
        text: column with captions.
        id: column with the items' ids.
        encoder: ``mini``, MODEL/PRETRAINED of open_clip, hf-hub:ORG/NAME, or a local folder.
        space: ``trunk`` or ``embedding``.
        memory_encoder: for a memory of its own, which may know what the base branch's encoder does
            not; the one of the base branch if null. Votes and fusion are then chosen by validation
            rows alone.
        memory_space: likewise, ``trunk`` or ``embedding``; as ``space`` if null.
        folds: for cross-fitting, at least 2.
        held_out: share of the rows of each class that is kept for validation where there is no
            ``val``, above 0 and below 1; none if null.
        memorise_validation: whether the memory holds the validation rows too; for a base branch
            whose encoder was trained on the training rows, these are what it does not know. Votes
            and fusion are then chosen by validation rows alone.
        near_duplicate: rows of a class with at least this raw cosine share a fold.
        power: exponent that evens the features; chosen by their signs if null.
        shrinkage: least shrinkage of the within-class covariance, in [0, 1].
        batch_size: rows of one training step; all rows where there are fewer.
        steps_per_epoch: steps of an epoch where all rows fit in one batch.
        embed_batch_size: images in one forward pass of the encoder.
        views_below: images of classes with at most this many training rows are looked at in further
            views (mirrored, closer, turned); 0 for one view of each. A memory with an encoder of
            its own has them for itself.
        max_bad: end when more than this share of the images is bad; never if null.
        sampling: ``instance`` shows each row as often as the others; ``class-balanced``,
            ``square-root`` and ``progressive`` are those of :mod:`training.samplers`.
        text_branch: whether the names and captions of neighbours are heard, through the encoder's
            text tower: ``on``, ``off``, or ``auto``, which asks held-out rows.
        seed: of folds and batches.
    """

    def __init__(
        self,
        train: str | None = None,
        val: str | None = None,
        test: str | None = None,
        predict: str | None = None,
        *,
        image: str | None = None,
        label: str | None = None,
        text: str | None = None,
        id: str | None = None,
        encoder: str = "mini",
        space: Space = "trunk",
        memory_encoder: str | None = None,
        memory_space: Space | None = None,
        folds: int = 4,
        held_out: float | None = None,
        memorise_validation: bool = False,
        near_duplicate: float = NEAR_DUPLICATE,
        power: float | None = None,
        shrinkage: float = SHRINKAGE,
        batch_size: int = 4096,
        steps_per_epoch: int = 10,
        embed_batch_size: int = 64,
        views_below: int = 100,
        max_bad: float | None = None,
        sampling: Sampling = "instance",
        text_branch: TextMode = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__(
            None,
            space=space,
            encoder_name=encoder,
            folds=folds,
            near_duplicate=near_duplicate,
            power=power,
            shrinkage=shrinkage,
            batch_size=batch_size,
            steps_per_epoch=steps_per_epoch,
            sampling=sampling,
            text_branch=text_branch,
            seed=seed,
        )
        if held_out is not None and not 0 < held_out < 1:
            raise InputError(f"held_out must be above 0 and below 1, got {held_out}")
        self.memory: TableData | None = None
        if memory_encoder is not None:
            self.memory = TableData(
                train,
                val,
                test,
                predict,
                image=image,
                label=label,
                text=text,
                id=id,
                encoder=memory_encoder,
                space=memory_space or space,
                embed_batch_size=embed_batch_size,
                views_below=views_below,
                text_branch="off",
            )
        self.held_out = held_out
        self.memorise_validation = memorise_validation
        self.tables = {"fit": train, "validate": val, "test": test, "predict": predict}
        self.columns = {"image": image, "label": label, "text": text, "id": id}
        self.embed_batch_size = embed_batch_size
        self.views_below = views_below if self.memory is None else 0
        self.max_bad = max_bad
        self.features: dict[str, Features] = {}
        self.opened: dict[str, Table] = {}
        self.limits: ImageLimits | None = None
        self.progress = True
        self._encoder: Encoder | None = None

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded when first asked for."""
        if self._encoder is None:
            from rac.encoders import load_encoder

            self._encoder = load_encoder(self.encoder_name or "mini")
            self.encoder_identity = self._encoder.identity
        return self._encoder

    def fit_rows(self) -> tuple[LabelledFeatures, LabelledFeatures | None]:
        """Embed the training and validation tables; bad images and rows without label drop out.

        Raises:
            InputError: no training table is named, or no row of it can be used.
            JobFailed: the share of bad images passes ``max_bad``.
        """
        return self._parted(self._rows_of)

    def fit_memory(self) -> MemoryRows | None:
        """Give the same rows by the memory's encoder, where it is to hold more than those."""
        if self.memory is None and not self.memorise_validation:
            return None
        by = self.memory or self
        rows, validation = self._parted(by._rows_of)
        return MemoryRows(
            rows,
            validation if validation is not None else _subset(rows, np.zeros(len(rows), np.bool_)),
            encoder=by.encoder.identity,
            encoder_name=by.encoder_name,
            space=by.space,
            memorise_validation=self.memorise_validation,
        )

    def embedded(self, stage: str) -> Features:
        """Embed the table of a stage (``fit``, ``validate``, ``test`` or ``predict``), once.

        Raises:
            InputError: no table is named for the stage.
            JobFailed: the share of bad images passes ``max_bad``.
        """
        # Lightning names stages by members of an enumeration, which print as such.
        stage = {name: name for name in self.tables}[stage]
        if stage not in self.features:
            source = self.tables[stage]
            option = {"fit": "train", "validate": "val"}.get(stage, stage)
            if source is None:
                raise InputError(f"no table to {stage} on; name one with --data.{option} TABLE")
            from rac.embedding import EmbeddingCache, collect_features, embed_table

            table = self.opened[stage] = self.open(stage, source)
            with EmbeddingCache(self.encoder) as cache:
                batches = embed_table(
                    table,
                    self.encoder,
                    batch_size=self.embed_batch_size,
                    max_bad=self.max_bad,
                    cache=cache,
                    limits=self.limits,
                    description=f"embedding {option}",
                    progress=self.progress,
                )
                found = collect_features(batches, self.encoder)
            self.features[stage] = found if self.memory is None else self._both(found, stage)
        return self.features[stage]

    def open(self, stage: str, source: str) -> Table:
        """Open the table of a stage.

        Raises:
            InputError: there is no such table, or a column is not there.
        """
        from rac.tables import open_table

        return open_table(source, **self.columns)

    @property
    def asked_of_a_model(self) -> dict[str, str | None]:
        """With those of the memory's encoder, where that is another."""
        own = super().asked_of_a_model
        if self.memory is None:
            return own
        # Loaded, it knows its identity.
        encoder = self.memory.encoder.identity
        return {**own, "memory_encoder": encoder, "memory_space": self.memory.space}

    def memory_features(self, stage: str) -> npt.NDArray[np.float32] | None:
        """Give the ``(N, D')`` features for the memory of a stage's rows, if it has an encoder."""
        return None if self.memory is None else self.memory.embedded(stage).space(self.memory.space)

    def _both(self, found: Features, stage: str) -> Features:
        """Count an image as readable where both encoders have seen it."""
        assert self.memory is not None  # noqa: S101
        other = self.memory.embedded(stage)
        reasons = [one or two for one, two in zip(found.reasons, other.reasons, strict=True)]
        return replace(found, ok=found.ok & other.ok, reasons=reasons)

    def _parted(
        self, rows_of: Callable[[str, list[int]], LabelledFeatures]
    ) -> tuple[LabelledFeatures, LabelledFeatures | None]:
        """Give training and validation rows, as ``rows_of`` a stage and places in it gives them."""
        known = self._known("fit")
        if not known:
            raise InputError(
                f"{self.tables['fit']}: no row has both a label and an image that can be read"
            )
        if self.tables["validate"] is not None:
            return rows_of("fit", known), rows_of("validate", self._known("validate"))
        if self.held_out is None:
            return rows_of("fit", known), None
        held = self._held(known)
        parts = [
            [row for row, out in zip(known, held, strict=True) if out == is_out]
            for is_out in (False, True)
        ]
        return rows_of("fit", parts[0]), rows_of("fit", parts[1])

    def _held(self, known: list[int]) -> npt.NDArray[np.bool_]:
        """``(N,)`` which rows are held out; told apart as the memory's encoder sees them."""
        by = self.memory or self
        features = by.embedded("fit")
        labels = [features.items[row].label or "" for row in known]
        vectors = features.space(by.space)[known]
        return hold_out(vectors, labels, self.held_out or 0.0, seed=self.seed)

    def _known(self, stage: str) -> list[int]:
        """Rows with a label, and an image that can be read."""
        features = self.embedded(stage)
        return [row for row, item in enumerate(features.items) if features.ok[row] and item.label]

    def _rows_of(self, stage: str, kept: list[int]) -> LabelledFeatures:
        features, table = self.embedded(stage), self.opened[stage]
        items = [features.items[row] for row in kept]
        labels, texts = [item.label or "" for item in items], [item.text for item in items]
        hears_text = stage == "fit" and self.text_branch != "off" and self.memory is None
        return LabelledFeatures(
            vectors=features.space(self.space)[kept],
            labels=labels,
            ids=[item.id for item in items],
            texts=texts,
            sources=[_reference(item.image) for item in items],
            hashes=[features.hashes[row] for row in kept],
            table=table.source,
            images_from=None if table.base is None else str(table.base.resolve()),
            views=self._views(items) if stage == "fit" else None,
            text_vectors=read_texts(self.encoder, labels, texts) if hears_text else None,
        )

    def _views(self, items: list[Item]) -> Views | None:
        from rac.embedding.views import embed_views, rows_of_small_classes

        found = embed_views(
            items,
            rows_of_small_classes([item.label or "" for item in items], self.views_below),
            self.opened["fit"].base,
            self.encoder,
            batch_size=self.embed_batch_size,
            limits=self.limits,
            progress=self.progress,
        )
        if found is None:
            return None
        features, rows = found
        return Views(features.space(self.space)[features.ok], rows[features.ok])

    def setup(self, stage: str) -> None:
        """Embed what the stage needs."""
        super().setup(stage)
        if stage in ("validate", "test", "predict"):
            self.embedded(stage)

    def val_dataloader(self) -> DataLoader[Any]:
        """While training as :class:`FeatureData`; on its own, raw features of the table."""
        return super().val_dataloader() if self.fit_data is not None else self._raw("validate")

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of ``features (B, D)`` raw and the ``rows (B,)`` of the table they are; with
        ``memory_features (B, D')`` where the memory has an encoder of its own.
        """
        return self._raw("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """As :meth:`test_dataloader`, of the table to predict."""
        return self._raw("predict")

    def _raw(self, stage: str) -> DataLoader[Any]:
        columns = {"features": self.embedded(stage).space(self.space)}
        for_memory = self.memory_features(stage)
        if for_memory is not None:
            columns["memory_features"] = for_memory
        tensors = {name: torch.from_numpy(column) for name, column in columns.items()}
        vectors = tensors["features"]

        def gather(rows: list[int]) -> Batch:
            index = torch.tensor(rows)
            return {**{name: column[index] for name, column in tensors.items()}, "rows": index}

        return DataLoader(range(len(vectors)), batch_size=_PREDICT_ROWS, collate_fn=gather)  # type: ignore[arg-type]


def _digest(rows: LabelledFeatures) -> str:
    """Give the SHA-256 of features and labels, those of further views among them."""
    digest = hashlib.sha256(json.dumps(list(rows.labels)).encode())
    digest.update(np.ascontiguousarray(rows.vectors).data)
    if rows.views is not None:
        digest.update(np.ascontiguousarray(rows.views.vectors).data)
    return digest.hexdigest()


def _reference(image: str | bytes | Path | None) -> str | None:
    return image if isinstance(image, str) else None


def _subset(rows: LabelledFeatures, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> LabelledFeatures:
    index = [int(row) for row in np.flatnonzero(kept)]

    def pick(column: Any) -> Any:
        return None if column is None else [column[row] for row in index]

    return replace(
        rows,
        vectors=rows.vectors[kept],
        labels=pick(rows.labels),
        ids=pick(rows.ids),
        texts=pick(rows.texts),
        sources=pick(rows.sources),
        hashes=pick(rows.hashes),
        text_vectors=None,
    )
