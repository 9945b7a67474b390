"""Training in scikit-learn's manner."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from rac.api.faults import as_input_errors
from rac.api.given import ColumnNames, Data, named_encoder, take
from rac.api.model import Model
from rac.api.predictions import PredictionResult
from rac.encoders.base import FloatArray
from rac.errors import InputError
from rac.tables import Table
from rac.tables.frame_table import FrameTable, frame_kind

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from training.losses import LossName
    from training.samplers import Sampling
    from training.texts import TextMode

_LABEL = "label"


class BadImagesWarning(UserWarning):
    """Some images could not be read, and nothing was predicted for them."""


class Classifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier of images for long-tailed classes: a trained head and a memory, fused.

    It trains what ``rac train fit`` trains, to the same bits, and follows scikit-learn:
    ``get_params``, ``set_params``, ``clone``, ``score``, cross-validation. A model of all settings
    there are is trained on the command line.

    Args:
        encoder: its name (see :func:`rac.load_encoder`), or a loaded one.
        space: which of its outputs: ``trunk`` features or the joint ``embedding``.
        text_branch: whether names and captions of neighbours are heard: ``on``, ``off``, or
            ``auto``, which asks held-out rows.
        held_out: share of the rows of each class that is kept for validation, above 0 and below 1;
            None cross-fits all rows instead.
        loss: ``logit-adjusted`` or another of :mod:`training.losses`.
        sampling: how often rows are shown; see :mod:`training.samplers`.
        epochs: at most; training stops early when macro accuracy does.
        random_state: of folds and batches; the same one gives the same bits on the CPU.

    Attributes:
        classes_: (C,) class names, sorted, in the order of the probabilities.
        model_: the fitted :class:`rac.Model`, whose ``predict`` tells neighbours and reasons too.

    >>> import pandas, rac
    >>> from PIL import Image
    >>> shop = pandas.DataFrame({"colour": ["red", "red", "blue", "blue", "blue"]})
    >>> shop["photo"] = [Image.new("RGB", (64, 64), colour) for colour in shop.colour]
    >>> found = rac.Classifier(epochs=3).fit(shop, label="colour", progress=False)
    >>> found.classes_.tolist(), found.predict(shop[:1]).tolist(), found.score(shop, shop.colour)
    (['blue', 'red'], ['red'], 1.0)
    """

    classes_: npt.NDArray[np.object_]
    model_: Model

    def __init__(
        self,
        encoder: str | Encoder = "mini",
        *,
        space: Literal["trunk", "embedding"] = "trunk",
        text_branch: TextMode = "auto",
        held_out: float | None = None,
        loss: LossName = "logit-adjusted",
        sampling: Sampling = "instance",
        epochs: int = 10,
        random_state: int = 0,
    ) -> None:
        self.encoder = encoder
        self.space = space
        self.text_branch = text_branch
        self.held_out = held_out
        self.loss = loss
        self.sampling = sampling
        self.epochs = epochs
        self.random_state = random_state

    @as_input_errors()
    def fit(
        self,
        X: Data,
        y: Sequence[Any] | None = None,
        *,
        out: str | Path | None = None,
        limits: ImageLimits | None = None,
        max_bad: float | None = None,
        progress: bool = True,
        **columns: Unpack[ColumnNames],
    ) -> Classifier:
        """Train on labelled images.

        Rows without a label or a readable image are left out, as by ``rac train fit``; how many is
        a warning.

        Args:
            X: N items: a DataFrame (pandas, polars), a ``datasets.Dataset``, a sequence of images,
                or the name or path of a table; see :func:`rac.embed`.
            y: N classes, for images and frames whose classes lie elsewhere; None where ``label``
                names a column.
            out: folder to write the model to as well.
            limits: bounds on images, and the folders that paths may point into.
            max_bad: give up when more than this share of the images, 0 to 1, is bad.
            progress: whether progress bars are shown.
            columns: ``image``, ``label``, ``text`` and ``id``, where they are not called so.

        Returns:
            The classifier itself.

        Raises:
            InputError: the data cannot be read, a column is not there, a setting is none, or fewer
                than two classes have rows that can be used.
            JobFailed: too many bad images.
        """
        from training.fit import train_heads
        from training.module import CosineHeads
        from training.open_table_data import OpenTableData

        given = take(X, limits, columns if y is None else {})
        table = given.table if y is None else _labelled(X, y, columns)
        table.require("image")
        table.require("label")
        encoder = named_encoder(self.encoder)
        data = OpenTableData(
            table,
            encoder,
            limits=given.limits,
            progress=progress,
            settings={
                "space": self.space,
                "held_out": self.held_out,
                "max_bad": max_bad,
                "sampling": self.sampling,
                "text_branch": self.text_branch,
                "seed": self.random_state,
            },
        )
        module = CosineHeads(loss=self.loss)
        trained = train_heads(module, data, out=out, epochs=self.epochs)
        _warn_of_bad(data.embedded("fit").reasons, "and not trained on")
        self.model_ = Model(trained, encoder)
        self.classes_ = np.array(trained.classes, dtype=object)
        return self

    def predict(self, X: Data, **columns: Unpack[ColumnNames]) -> npt.NDArray[np.object_]:
        """Give the (N,) likeliest classes; None where an image is bad, with a warning.

        Args:
            X: N items, as in :meth:`fit`; no label is looked at.
            columns: ``image``, where it is not called so.

        Raises:
            InputError: the data cannot be read, or a column is not there.
            sklearn.exceptions.NotFittedError: :meth:`fit` comes first.
        """
        return np.array(self._predicted(X, columns).labels, dtype=object)

    def predict_proba(self, X: Data, **columns: Unpack[ColumnNames]) -> FloatArray:
        """Give the (N, C) probabilities; NaN where an image is bad; the rest as :meth:`predict`."""
        return self._predicted(X, columns).probabilities

    def score(
        self,
        X: Data,
        y: Sequence[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        **columns: Unpack[ColumnNames],
    ) -> float:
        """Give the accuracy, in [0, 1]; a bad image counts as one that is wrong.

        Args:
            X: N items, as in :meth:`fit`.
            y: N classes; None where ``label`` names a column, whose empty cells are left out.
            sample_weight: (N,) of the rows; equal if None.
            columns: as in :meth:`fit`.

        Raises:
            InputError: the data cannot be read, there is no label, or their numbers differ.
        """
        found = self._predicted(X, columns)
        truth = found.truth if y is None else [str(label) for label in y]
        if len(truth) != len(found):
            raise InputError(f"{len(found)} items, but {len(truth)} classes")
        known = np.array([label is not None for label in truth], np.bool_)
        if not known.any():
            raise InputError("no row has a class to hold a prediction against; name label=COLUMN")
        right = [one == other for one, other in zip(found.labels, truth, strict=True)]
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(np.average(np.array(right)[known], weights=weights))

    def save(self, folder: str | Path) -> Path:
        """Write the fitted model for :func:`rac.load` and ``rac predict``; give the folder.

        Raises:
            sklearn.exceptions.NotFittedError: :meth:`fit` comes first.
        """
        check_is_fitted(self)
        return self.model_.save(folder)

    def _predicted(self, X: Data, columns: ColumnNames) -> PredictionResult:
        check_is_fitted(self)
        found = self.model_.predict(X, progress=False, **columns)
        _warn_of_bad(found.reasons, "and have no prediction")
        return found

    def __sklearn_clone__(self) -> Classifier:
        """Give an unfitted one of the same settings; a loaded encoder is shared, not copied."""
        return type(self)(**self.get_params(deep=False))


def _labelled(X: Data, y: Sequence[Any], columns: ColumnNames) -> Table:
    """Put classes beside items that are held in memory."""
    if frame_kind(X) is None:
        raise InputError("classes come from a column of such a table: name label=COLUMN, not y")
    if columns.get("label") is not None:
        raise InputError("give the classes as y or name their column, not both")
    labels = [None if label is None else str(label) for label in y]
    asked = {
        "image": columns.get("image"),
        "label": _LABEL,
        "text": columns.get("text"),
        "id": columns.get("id"),
    }
    return FrameTable(X, asked, added={_LABEL: labels})


def _warn_of_bad(reasons: Sequence[str | None], what: str) -> None:
    bad = [reason for reason in reasons if reason is not None]
    if bad:
        warnings.warn(
            f"{len(bad)} of {len(reasons)} images are bad {what}, such as: {bad[0]}",
            BadImagesWarning,
            stacklevel=4,
        )
