"""What a model says about images: classes, probabilities, neighbours, and why an image is bad."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from eval.predictions import Predictions, write_predictions
from rac.api.faults import as_input_errors
from rac.api.given import Given
from rac.encoders.base import FloatArray
from rac.tables import Table


@dataclass(frozen=True)
class NeighbourLists:
    """For each of N images, the rows of the memory that it is like, nearest first.

    Attributes:
        ids: N lists of ids.
        labels: N lists of classes, None where the memory knows none.
        scores: N lists of similarities, in the memory's metric.
    """

    ids: list[list[str]]
    labels: list[list[str | None]]
    scores: list[list[float]]


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """Predictions for N images over C classes.

    Attributes:
        ids: N ids.
        classes: the C names, in the order of the probabilities.
        probabilities: (N, C) float32, rows add to one; NaN where the image is bad.
        truth: N classes that the data itself names, None where it names none.
        reasons: N reasons why an image is bad, ``<reason>: <detail>``; None where it is not.
        neighbours: of each image; None where no memory was asked. A bad image has none.
    """

    ids: list[str]
    classes: tuple[str, ...]
    probabilities: FloatArray
    truth: list[str | None]
    reasons: list[str | None]
    neighbours: NeighbourLists | None
    _given: Given = field(repr=False)
    _told: Callable[[str], Predictions] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def table(self) -> Table:
        """What the images came in, opened."""
        return self._given.table

    @property
    def labels(self) -> list[str | None]:
        """N predicted classes, of equally likely ones the first; None where the image is bad."""
        best = np.where(self.ok, np.nan_to_num(self.probabilities).argmax(axis=1), -1)
        return [None if place < 0 else self.classes[place] for place in best]

    @property
    def confidence(self) -> FloatArray:
        """(N,) probability of the predicted class; NaN where the image is bad."""
        best: FloatArray = self.probabilities.max(axis=1)
        return best

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each image could be read."""
        return np.array([reason is None for reason in self.reasons], np.bool_)

    def to_frame(self) -> Any:
        """Give a frame of the kind that came in.

        Its columns are ``id``, ``prediction``, ``confidence`` and ``reason``. It is of pandas (with
        its index), polars, ``datasets`` or Arrow; of pandas for tables with a name and for images.
        """
        sure = self.confidence.astype(np.float64)
        return self._given.frame(
            pa.table(
                {
                    "id": pa.array(self.ids, pa.string()),
                    "prediction": pa.array(self.labels, pa.string()),
                    "confidence": pa.array(sure, mask=np.isnan(sure)),
                    "reason": pa.array(self.reasons, pa.string()),
                }
            )
        )

    @as_input_errors()
    def for_report(self, name: str = "rac") -> Predictions:
        """Give everything that a report takes, under the name of a run.

        Raises:
            InputError: two rows have the same id.
        """
        return self._told(name)

    @as_input_errors()
    def save(self, path: str | Path, name: str = "rac") -> Path:
        """Write a prediction file (``.parquet``) for ``rac report``.

        Raises:
            InputError: the path ends otherwise, or two rows have the same id.
        """
        return write_predictions(self._told(name), path)

    def __repr__(self) -> str:
        """Say how many, and how many could not be read."""
        bad = len(self) - int(self.ok.sum())
        return f"<{len(self)} predictions over {len(self.classes)} classes, {bad} bad images>"


def blanked(probabilities: FloatArray, reasons: Sequence[str | None]) -> FloatArray:
    """Put NaN into the rows of bad images."""
    bad = np.array([reason is not None for reason in reasons], np.bool_)
    found = probabilities.astype(np.float32)
    found[bad] = np.nan
    return found
