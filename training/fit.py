"""Training from arrays: what the command line and other programs share."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from rac.classifier import RacClassifier
from rac.text_vectors import TextVectors
from retrieval_index.evened import SHRINKAGE
from training.crossfit import LabelledFeatures, Views
from training.data import FeatureData, Space
from training.export import export_classifier
from training.folds import NEAR_DUPLICATE
from training.losses import LossName, Reweighting
from training.memory_rows import MemoryRows
from training.module import CosineHeads
from training.samplers import Sampling
from training.texts import TextMode

MONITOR = "val/macro"
PATIENCE = 5
CHECKPOINTS = "checkpoints"


def fit_classifier(
    features: npt.ArrayLike,
    labels: Sequence[str],
    ids: Sequence[str],
    texts: Sequence[str | None] | None = None,
    *,
    encoder: str,
    space: Space = "trunk",
    out: str | Path | None = None,
    seed: int = 0,
    encoder_name: str | None = None,
    sources: Sequence[str | None] | None = None,
    hashes: Sequence[str | None] | None = None,
    images_from: str | None = None,
    views: Views | None = None,
    text_vectors: TextVectors | None = None,
    text_branch: TextMode = "auto",
    validation: tuple[npt.ArrayLike, Sequence[str]] | None = None,
    validation_hashes: Sequence[str | None] | None = None,
    memory_rows: MemoryRows | None = None,
    folds: int = 4,
    near_duplicate: float = NEAR_DUPLICATE,
    power: float | None = None,
    shrinkage: float = SHRINKAGE,
    loss: LossName = "logit-adjusted",
    tau: float = 1.0,
    gamma: float = 2.0,
    margin: float = 0.5,
    reweight: Reweighting = "none",
    reweight_from_epoch: int = 0,
    sampling: Sampling = "instance",
    batch_size: int = 4096,
    learning_rate: float = 1e-3,
    epochs: int = 10,
    progress: bool = False,
) -> RacClassifier:
    """Train a classifier on features; the same seed gives the same bits on the CPU.

    Args:
        features: ``(N, D)`` finite raw features.
        labels: N class names, at least two different ones.
        ids: N unique ids, which name neighbours in predictions.
        texts: N snippets for the memory.
        encoder: identity of the encoder that gave the features.
        space: which of its outputs they are.
        out: folder to write the model to; nothing is written if None.
        seed: of folds, batches and Lightning.
        encoder_name: what the encoder is called on the command line.
        sources: N references of images for the memory.
        hashes: N SHA-256 of the images' bytes for the memory.
        images_from: the folder that relative references in ``sources`` start from.
        views: features of further views of the images (see :mod:`training.views`).
        text_vectors: labels and texts as the text tower reads them (see
            :func:`rac.text_vectors.read_texts`); without them there is no text branch.
        text_branch: whether it is heard; ``auto`` asks held-out rows.
        validation: features ``(M, D)`` and labels of validation rows; without them the training
            rows are cross-fitted throughout, and the probabilities are as sure as held-out
            training rows allow, which is a little too sure.
        validation_hashes: M SHA-256 of their images' bytes, so that a report on them is refused.
        memory_rows: training and validation rows for a memory of more than the training rows'
            features: of another encoder, or of validation rows too; needs ``validation``.
        folds: for cross-fitting, at least 2.
        near_duplicate: rows of a class with at least this raw cosine share a fold.
        power: exponent that evens the features; None chooses by their signs.
        shrinkage: least shrinkage of the within-class covariance, in [0, 1].
        loss: see :mod:`training.losses`.
        tau: strength of the logit adjustment, >= 0; heard by ``logit-adjusted``.
        gamma: how much less rows count for that are answered well, >= 0; heard by ``focal``.
        margin: of the rarest class, in cosines, >= 0; heard by ``ldam``.
        reweight: ``class-balanced`` weighs rows by the effective number of their class.
        reweight_from_epoch: the first epoch whose rows are weighed, from 0.
        sampling: how often rows are shown; see :mod:`training.samplers`.
        batch_size: rows of one training step; all rows where there are fewer.
        learning_rate: of the heads' directions, > 0.
        epochs: at most; training stops early when macro accuracy does.
        progress: whether Lightning shows its progress bar.

    Returns:
        The classifier; its memory lies in ``out`` if that is given, else in RAM.

    Raises:
        InputError: fewer than two classes, columns of different lengths, or a setting out of its
            range.
        MemoryFault: ids are not unique, or features are not finite.
    """
    rows = LabelledFeatures(
        np.asarray(features, dtype=np.float32),
        labels,
        ids,
        texts,
        sources,
        hashes,
        images_from=images_from,
        views=views,
        text_vectors=text_vectors,
    )
    kept = None
    if validation is not None:
        vectors = np.asarray(validation[0], dtype=np.float32)
        numbers = [str(row) for row in range(len(vectors))]
        kept = LabelledFeatures(vectors, validation[1], numbers, hashes=validation_hashes)
    data = FeatureData(
        rows,
        kept,
        memory_rows=memory_rows,
        encoder=encoder,
        space=space,
        encoder_name=encoder_name,
        folds=folds,
        near_duplicate=near_duplicate,
        power=power,
        shrinkage=shrinkage,
        batch_size=batch_size,
        sampling=sampling,
        text_branch=text_branch,
        seed=seed,
    )
    module = CosineHeads(
        loss=loss,
        tau=tau,
        gamma=gamma,
        margin=margin,
        reweight=reweight,
        reweight_from_epoch=reweight_from_epoch,
        learning_rate=learning_rate,
    )
    return train_heads(module, data, out=out, epochs=epochs, progress=progress)


def train_heads(
    module: CosineHeads,
    data: FeatureData,
    *,
    out: str | Path | None = None,
    epochs: int = 10,
    progress: bool = False,
) -> RacClassifier:
    """Train heads on a data module, as ``rac train fit`` does, and export the best epoch.

    Args:
        module: new.
        data: new; its seed is the seed of everything.
        out: folder to write the model to; nothing is written if None.
        epochs: at most; training stops early when macro accuracy does.
        progress: whether Lightning shows its progress bar.

    Raises:
        InputError: there are fewer than two classes, or the rows cannot be used.
        MemoryFault: ids are not unique, or features are not finite.
    """
    pl.seed_everything(data.seed, verbose=False)
    with tempfile.TemporaryDirectory(prefix="rac-fit-") as scratch, _quiet_lightning():
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=epochs,
            default_root_dir=scratch,
            callbacks=[best_checkpoint(), early_stopping()],
            logger=False,
            deterministic=True,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            enable_progress_bar=progress,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data)
        restore_best(trainer, module)
    settings = {"seed": data.seed, "epochs": trainer.current_epoch}
    return finish(module, data, out, settings)


def best_checkpoint() -> ModelCheckpoint:
    """Keep the epoch of the best macro accuracy."""
    return ModelCheckpoint(
        monitor=MONITOR, mode="max", filename="{epoch}", auto_insert_metric_name=True
    )


def last_checkpoint() -> ModelCheckpoint:
    """Keep the last epoch, to go on from; stands behind the best one, whose state it takes along.

    The best one's own ``save_last`` would write it in epochs that are better than all before only.
    """
    return ModelCheckpoint(filename="last", enable_version_counter=False)


def early_stopping() -> EarlyStopping:
    """Stop when macro accuracy has not risen for a few epochs."""
    return _Patience(monitor=MONITOR, mode="max", patience=PATIENCE, verbose=False)


def keep_checkpoints(trainer: pl.Trainer) -> None:
    """Keep checkpoints in ``checkpoints`` of the trainer's root folder, unless told another place.

    The best of the epochs before is remembered by its path, so the place must be the same when a
    fit is resumed.
    """
    folder = os.path.realpath(Path(trainer.default_root_dir) / CHECKPOINTS)
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = folder


def restore_best(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Put the weights of the best epoch back; the checkpoint is read without unpickling code."""
    checkpoint = trainer.checkpoint_callback
    best = checkpoint.best_model_path if isinstance(checkpoint, ModelCheckpoint) else ""
    if best:
        state = torch.load(best, map_location="cpu", weights_only=True)
        module.load_state_dict(state["state_dict"], strict=False)


def finish(
    module: CosineHeads,
    data: FeatureData,
    out: str | Path | None,
    settings: dict[str, int],
) -> RacClassifier:
    """Make the classifier of a trained module and write it to ``out``, where that is given."""
    training: dict[str, str | int | float | bool | None] = {
        **settings,
        **{name: value for name, value in module.hparams.items() if name != "out"},
        "folds": data.folds,
        "near_duplicate": data.near_duplicate,
        "power": data.fitted.metrics[0].power,
        "shrinkage": data.shrinkage,
        "text_branch": data.text_branch,
        "memorise_validation": data.memory_rows is not None
        and data.memory_rows.memorise_validation,
        "sampling": data.sampling,
        "batch_size": data.batch_size,
    }
    classifier = export_classifier(module, data, training=training)
    return classifier if out is None else RacClassifier.load(classifier.save(out))


class _Patience(EarlyStopping):
    """Early stopping that still has stopped when a fit is resumed behind its last epoch."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep Lightning from announcing devices, stops and its own deprecations."""
    loggers = [
        logging.getLogger(name)
        for name in ("pytorch_lightning.utilities.rank_zero", "lightning.pytorch")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
