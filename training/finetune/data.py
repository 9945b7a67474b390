"""The data module: images of tables, with what the encoder says of them before any training.

Letters of shapes: N rows, B rows of a batch, D dimensions of the features that the head sees, E of
the embedding, H x W pixels.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from rac.errors import InputError
from training.data import Batch, Space, TableData
from training.finetune.augment import Augmentation
from training.finetune.store import ImageStore, shrink, store_images
from training.folds import hold_out
from training.samplers import Sampling, epoch_sampler

if TYPE_CHECKING:
    from rac.tables import Item

MemoryOf = Literal["frozen", "tuned"]
"""Which encoder the memory is of: the one before the training, or the one behind it."""

#: The shorter side of what is kept, in sides of what is trained on: crops of it stay sharp.
_STORED_SIDES = 1.5
#: Fewer classes than this and there is nothing to tell apart.
_LEAST_CLASSES = 2


class Draw(NamedTuple):
    """One row as an epoch shows it."""

    epoch: int
    place: int
    row: int


@dataclass(frozen=True)
class LabelledImages:
    """Rows whose images could be read, with what is known of them.

    Attributes:
        store: N images.
        classes: ``(N,)`` class indices.
        features: ``(N, D)`` of the encoder before the training, as the head sees them.
        embeddings: ``(N, E)`` of it, unit norm.
    """

    store: ImageStore
    classes: npt.NDArray[np.int64]
    features: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Rows:
    items: list[Item]
    labels: list[str]
    features: npt.NDArray[np.float32]
    embeddings: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.items)

    def pick(self, rows: Iterable[int]) -> _Rows:
        kept = [int(row) for row in rows]
        return _Rows(
            [self.items[row] for row in kept],
            [self.labels[row] for row in kept],
            self.features[kept],
            self.embeddings[kept],
        )


class ImageData(pl.LightningDataModule):
    """Images of tables, read in worker processes; bad ones and rows without label drop out.

    Every image is decoded once, checked, shrunk and kept in one file of the run's folder, which is
    removed at the end. The features before the training come from the cache of embeddings.

    Args:
        train: table with the training rows, such as ``grocery-store:train`` or ``items.csv``.
        val: table with validation rows; without it a share of the training rows is held out.
        test: table for ``rac train test``.
        predict: table for ``rac train predict``.
        image: column with the images.
        label: column with the classes.
        text: column with captions.
        id: column with the items' ids.
        encoder: whose image tower is trained: ``mini``, MODEL/PRETRAINED of open_clip,
            hf-hub:ORG/NAME, or a local folder.
        space: what of it the head sees and the memory will hold: ``trunk`` or ``embedding``.
        memory: what embeds the memory: the ``tuned`` encoder, or the ``frozen`` one, as it was
            before the training. To that, other images are near than to the tuned one; every image
            is then embedded twice.
        memory_image_size: side in pixels at which the tuned encoder looks at whole pictures for the
            memory; null for just what the base branch sees. Larger than the encoder's own, it sees
            details that the base branch does not; every image is then embedded twice. Towers that
            take one size only refuse others.
        memorise_validation: whether the memory holds the validation rows too. Of the training rows
            the tuned encoder has learnt all that they could tell as neighbours.
        batch_size: rows of one training step.
        image_size: side of the training images in pixels; the encoder's own if null. Less is
            faster, and things come out as large in training as in testing, where the whole picture
            is looked at. Towers that take one size only refuse others.
        smallest_crop: share of a picture's area that a random crop keeps at least, in (0, 1].
        flip: whether half of the pictures are mirrored.
        jitter: by how much brightness, contrast and saturation change at most, in [0, 1].
        sampling: ``instance`` shows each row as often as the others; ``class-balanced``,
            ``square-root`` and ``progressive`` are those of :mod:`training.samplers`.
        held_out: share of the rows of each class that is held out where there is no ``val``, above
            0 and below 1; near-duplicates go together, and a class keeps a row to learn from.
        workers: processes that prepare training images; 0 for none beside the training's.
        embed_batch_size: images in one forward pass without training.
        max_bad: end when more than this share of the images is bad; never if null.
        seed: of batches, crops and what is held out.
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
        memory: MemoryOf = "tuned",
        memory_image_size: int | None = None,
        memorise_validation: bool = True,
        batch_size: int = 32,
        image_size: int | None = None,
        smallest_crop: float = 0.3,
        flip: bool = True,
        jitter: float = 0.2,
        sampling: Sampling = "instance",
        held_out: float = 0.1,
        workers: int = 1,
        embed_batch_size: int = 64,
        max_bad: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or embed_batch_size < 1 or workers < 0:
            raise InputError("batch sizes must be at least 1, and workers at least 0")
        if not 0 < held_out < 1:
            raise InputError(f"held_out must be above 0 and below 1, got {held_out}")
        for name, side in (("image_size", image_size), ("memory_image_size", memory_image_size)):
            if side is not None and side < 1:
                raise InputError(f"{name} must be at least 1, got {side}")
        if memory_image_size is not None and memory == "frozen":
            raise InputError("memory_image_size is for a memory of the tuned encoder, not frozen")
        self.frozen = TableData(
            train,
            val,
            image=image,
            label=label,
            text=text,
            id=id,
            encoder=encoder,
            embed_batch_size=embed_batch_size,
            max_bad=max_bad,
            seed=seed,
        )
        self.tables = {"train": train, "val": val, "test": test, "predict": predict}
        self.columns = {"image": image, "label": label, "text": text, "id": id}
        self.encoder_name = encoder
        self.space: Space = space
        self.memory: MemoryOf = memory
        self.memory_image_size = memory_image_size
        self.memorise_validation = memorise_validation
        self.batch_size, self.embed_batch_size = batch_size, embed_batch_size
        self.image_size = image_size
        self.sampling: Sampling = sampling
        self.held_out, self.workers, self.max_bad, self.seed = held_out, workers, max_bad, seed
        self._augmentation = partial(
            Augmentation, smallest_crop=smallest_crop, flip=flip, jitter=jitter
        )
        self._augmentation((1, 1))  # refuses what is out of range before anything is read
        self.names: tuple[str, ...] = ()
        self.training: LabelledImages | None = None
        self.validation: LabelledImages | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of training images."""
        if self.image_size is None:
            return self.frozen.encoder.image_size
        return self.image_size, self.image_size

    @property
    def rows(self) -> LabelledImages:
        """The training rows."""
        if self.training is None:
            raise RuntimeError("setup('fit') comes first")
        return self.training

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """``(C,)`` training rows of each class."""
        return np.bincount(self.rows.classes, minlength=len(self.names))

    @cached_property
    def identity(self) -> dict[str, str | int | float | bool | None]:
        """What a training depends on: a digest of the rows, and every setting of the data."""
        digest = hashlib.sha256(json.dumps([self.names, self.rows.classes.tolist()]).encode())
        digest.update(np.ascontiguousarray(self.rows.features).data)
        return {
            "training rows": digest.hexdigest(),
            "encoder": self.frozen.encoder.identity,
            "space": self.space,
            "batch_size": self.batch_size,
            "image_size": self.image_size,
            "sampling": self.sampling,
            "seed": self.seed,
            **self._augmentation.keywords,
        }

    def setup(self, stage: str) -> None:
        """Embed and keep the images, once, when training begins.

        Raises:
            InputError: no training table is named, or fewer than two classes can be read.
            JobFailed: the share of bad images passes ``max_bad``.
        """
        if stage != "fit" or self.training is not None:
            return
        known = self._known("fit")
        if self.tables["val"] is None:
            held = hold_out(known.features, known.labels, self.held_out, seed=self.seed)
            learnt, checked = known.pick(np.flatnonzero(~held)), known.pick(np.flatnonzero(held))
            base = self.frozen.opened["fit"].base
        else:
            learnt, checked = known, self._known("validate")
            base = self.frozen.opened["validate"].base
        self.names = tuple(sorted(set(learnt.labels)))
        if len(self.names) < _LEAST_CLASSES:
            raise InputError(
                f"{self.tables['train']}: a classifier needs at least two classes with images that "
                f"can be read; it has {len(self.names)}"
            )
        checked = checked.pick(
            [row for row, label in enumerate(checked.labels) if label in set(self.names)]
        )
        side = round(_STORED_SIDES * max(self.size))
        self.training = self._keep("train", learnt, self.frozen.opened["fit"].base, side)
        if not len(checked):
            raise InputError("no validation row has an image that can be read and a known class")
        self.validation = self._keep("val", checked, base, None)

    def teardown(self, stage: str) -> None:
        """Remove the kept images."""
        if stage == "fit":
            for images in (self.training, self.validation):
                if images is not None:
                    images.store.path.unlink(missing_ok=True)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of ``pixels (B, 3, H, W)`` uint8, ``classes (B,)``, ``embeddings (B, E)``."""
        epochs = self.trainer.max_epochs if self.trainer else None
        sampler = epoch_sampler(
            self.rows.classes,
            self.sampling,
            # However few the rows: an epoch shows as many as there are, one batch or more.
            batch_size=0,
            steps=1,
            epochs=epochs,
            seed=self.seed,
        )
        numbered = _Numbered(sampler)
        if self.trainer is not None:
            # Workers draw ahead as soon as there is an iterator, and Lightning makes the first one
            # before it sets the epoch; where a fit is resumed that is not the first.
            progress: Any = self.trainer.fit_loop.epoch_progress
            numbered.set_epoch(progress.current.processed)
        return DataLoader(
            TrainingImages(self.rows, self._augmentation(self.size), self.seed),
            batch_size=self.batch_size,
            sampler=numbered,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    @property
    def steps_per_epoch(self) -> int:
        """Training steps of an epoch, over all devices and accumulated batches."""
        together = self.batch_size
        if self.trainer is not None:
            together *= self.trainer.world_size * self.trainer.accumulate_grad_batches
        return math.ceil(len(self.rows.classes) / together)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches as in training, of validation images as the encoder sees them."""
        if self.validation is None:
            raise RuntimeError("setup('fit') comes first")
        return DataLoader(ValidationImages(self.validation), batch_size=self.embed_batch_size)

    def _known(self, stage: str) -> _Rows:
        features = self.frozen.embedded(stage)
        kept = [row for row, item in enumerate(features.items) if features.ok[row] and item.label]
        items = [features.items[row] for row in kept]
        return _Rows(
            items,
            [item.label or "" for item in items],
            features.space(self.space)[kept],
            features.embedding[kept],
        )

    def _keep(self, name: str, rows: _Rows, base: Path | None, side: int | None) -> LabelledImages:
        """Store images shrunk to ``side``, or as the encoder sees them if None."""
        encoder = self.frozen.encoder
        shape = (
            partial(shrink, side=side)
            if side is not None
            else lambda pixels: encoder.preprocess(pixels).transpose(1, 2, 0)
        )
        root = Path(self.trainer.default_root_dir) if self.trainer else Path()
        store, reasons = store_images(
            rows.items,
            base,
            root / f"images-{name}.bin",
            shape,
            target=encoder.decode_target if side is None else side,
            description=f"decoding {name}",
        )
        fine = rows.pick([row for row, reason in enumerate(reasons) if reason is None])
        position = {label: index for index, label in enumerate(self.names)}
        classes = np.array([position[label] for label in fine.labels], dtype=np.int64)
        return LabelledImages(store, classes, fine.features, fine.embeddings)


class TrainingImages(Dataset[Batch]):
    """Augmented images: what is drawn, from where and in which light depends on the draw alone."""

    def __init__(self, rows: LabelledImages, augmentation: Augmentation, seed: int) -> None:
        self._rows, self._augmentation, self._seed = rows, augmentation, seed

    def __len__(self) -> int:
        return len(self._rows.classes)

    def __getitem__(self, draw: Draw) -> Batch:
        pixels = self._rows.store.read(draw.row)
        changed = self._augmentation(pixels, (self._seed, draw.epoch, draw.place))
        return _batch(self._rows, draw.row, changed)


class ValidationImages(Dataset[Batch]):
    """Images as the encoder sees them."""

    def __init__(self, rows: LabelledImages) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows.classes)

    def __getitem__(self, row: int) -> Batch:
        pixels = torch.from_numpy(self._rows.store.read(row)).permute(2, 0, 1)
        return _batch(self._rows, row, pixels)


class _Numbered(Sampler[Draw]):
    """Tells of each row of another sampler where in which epoch it stands."""

    def __init__(self, rows: Sampler[int]) -> None:
        self._rows = rows
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; Lightning does so before each."""
        self._epoch = epoch
        self._rows.set_epoch(epoch)  # type: ignore[attr-defined]

    def __len__(self) -> int:
        return len(self._rows)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Draw]:
        return (Draw(self._epoch, place, row) for place, row in enumerate(self._rows))


def _batch(rows: LabelledImages, row: int, pixels: Tensor) -> Batch:
    return {
        "pixels": pixels,
        "classes": torch.tensor(rows.classes[row]),
        "embeddings": torch.from_numpy(rows.embeddings[row]),
    }
