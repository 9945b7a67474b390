"""What a report needs of predictions, small enough to hold for millions of rows.

A score matrix of 1,000,000 rows and 1,000 classes is 4 GB; what the figures need of it is the rank
of each label and the best class of each branch. So scores are looked at block by block and let go,
and images and neighbours are read again for the few rows that are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eval.arrays import Bools, Floats, Ints
from eval.errors import ReportFault
from eval.header import RunHeader
from eval.metrics import label_ranks
from eval.predicted import Predictions, require_unique_ids
from eval.prediction_rows import NEIGHBOUR_COLUMNS, RowBlock
from eval.predictions import PredictionFile

_T = TypeVar("_T", bound=np.generic)


@dataclass(frozen=True, eq=False, kw_only=True)
class RowFigures:
    """N rows, reduced to what is reported of them.

    Attributes:
        ids: (N,) ids.
        labels: (N,) class index.
        predictions: (N,) class index.
        confidence: (N,) probability of the prediction, or None.
        label_rank: (N,) position of the label among the scores, 0 first; None without scores.
        rank_depth: ranks from this one on are not told apart; C where all scores are known, 0
            without scores.
        base: (N,) prediction of the base branch, -1 for none; None where it is not known.
        retrieval: (N,) prediction of the retrieval branch, -1 for none; None where not known.
        purity: (N,) share of a row's neighbours that have its label, NaN without neighbours; or
            None where there are no neighbour labels.
        digests: (N,) digest of the image's content; None where none is known.
        digested: (N,) whether it is known; None with ``digests``.
        columns: what the source has of a row beyond its figures.
    """

    ids: pa.StringArray
    labels: Ints
    predictions: Ints
    confidence: Floats | None
    label_rank: Ints | None
    rank_depth: int
    base: Ints | None
    retrieval: Ints | None
    purity: Floats | None
    digests: npt.NDArray[np.uint64] | None
    digested: Bools | None
    columns: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Outcomes(RowFigures):
    """The N rows that have both a label and a prediction.

    Attributes:
        source: where they were read from.
        header: of the run.
        positions: (N,) rows of the source that they are.
        total: rows before any was left out.
        unlabelled: rows left out because their label is unknown.
        unpredicted: (U,) class index of the labelled rows that were left out because no prediction
            was made.
    """

    source: Predictions | PredictionFile
    header: RunHeader
    positions: Ints
    total: int
    unlabelled: int
    unpredicted: Ints

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def name(self) -> str:
        """The run's name."""
        return self.header.name

    @property
    def classes(self) -> tuple[str, ...]:
        """(C,) names."""
        return self.header.classes

    @property
    def train_counts(self) -> Ints | None:
        """(C,) training rows of each class, or None."""
        return self.header.train_counts

    @property
    def metadata(self) -> Mapping[str, object]:
        """Provenance."""
        return self.header.metadata

    @property
    def correct(self) -> Bools:
        """(N,) whether the prediction is the label."""
        right: Bools = self.predictions == self.labels
        return right

    @property
    def in_top5(self) -> Bools | None:
        """(N,) whether the label is among the five best scores; None where that says nothing.

        It says nothing without scores, where fewer than five best classes are known, and with five
        classes or fewer.
        """
        if self.label_rank is None or self.rank_depth < 5 or len(self.classes) <= 5:
            return None
        inside: Bools = self.label_rank < 5
        return inside

    def rows(self, chosen: Ints) -> list[dict[str, object]]:
        """All that the source says of chosen rows (R,), positions among the N, without scores."""
        if not len(chosen):
            return []
        wanted = self.positions[chosen]
        if isinstance(self.source, PredictionFile):
            table = self.source.rows(wanted)
        else:
            table = pa.concat_tables([self.source.table(row, row + 1) for row in wanted.tolist()])
        kept = [name for name in ("id", "image", *NEIGHBOUR_COLUMNS) if name in table.column_names]
        found: list[dict[str, object]] = table.select(kept).to_pylist()
        return found


def reduce_predictions(source: Predictions | PredictionFile) -> Outcomes:
    """Reduce predictions in memory, or a prediction file block by block.

    Raises:
        ReportFault: as reading the file does, or an id that occurs twice in it.
    """
    return _join(source, (_reduce(block) for block in source.blocks()))


def _reduce(block: RowBlock) -> RowFigures:
    """Reduce a block; an index of -1 marks rows that are left out later."""
    block.check_neighbours()
    scores = block.scores("scores")
    confidence, ranks, depth = block.confidence, None, 0
    if scores is not None:
        # Unlabelled rows get a rank too, of class 0; they are left out below.
        ranks, depth = label_ranks(scores, np.maximum(block.labels, 0)), scores.shape[1]
        if confidence is None:
            confidence = _confidence(scores, block.predictions)
    elif block.top_classes is not None:
        ranks, depth = block.top_classes
    digests, digested = block.digests or (None, None)
    return RowFigures(
        columns=tuple(block.table.column_names),
        ids=block.ids,
        labels=block.labels,
        predictions=block.predictions,
        confidence=confidence,
        label_rank=ranks,
        rank_depth=depth,
        base=block.base,
        retrieval=block.retrieval,
        purity=block.purity,
        digests=digests,
        digested=digested,
    )


def _join(source: Predictions | PredictionFile, parts: Iterable[RowFigures]) -> Outcomes:
    held = list(parts)
    if not held:
        raise ReportFault(f"{source.where}: the prediction file has no rows")
    ids = pa.chunked_array([part.ids for part in held], pa.string())
    if ids.null_count or len(pc.unique(ids)) < len(ids) or pc.any(pc.equal(ids, "")).as_py():
        require_unique_ids(ids.to_pylist(), source.where)
    labels = np.concatenate([part.labels for part in held])
    given = np.concatenate([part.predictions for part in held])
    kept = (labels >= 0) & (given >= 0)

    return Outcomes(
        source=source,
        header=source.header,
        positions=np.flatnonzero(kept),
        ids=ids.combine_chunks().filter(pa.array(kept)),
        labels=labels[kept],
        predictions=given[kept],
        confidence=_kept([part.confidence for part in held], kept),
        label_rank=_kept([part.label_rank for part in held], kept),
        rank_depth=min(part.rank_depth for part in held),
        base=_kept([part.base for part in held], kept),
        retrieval=_kept([part.retrieval for part in held], kept),
        purity=_kept([part.purity for part in held], kept),
        digests=_kept([part.digests for part in held], kept),
        digested=_kept([part.digested for part in held], kept),
        columns=held[0].columns,
        total=len(labels),
        unlabelled=int(np.count_nonzero(labels < 0)),
        unpredicted=labels[(labels >= 0) & (given < 0)],
    )


def _kept(columns: Sequence[npt.NDArray[_T] | None], kept: Bools) -> npt.NDArray[_T] | None:
    """The kept rows of a column; None where a block lacks it."""
    there = [column for column in columns if column is not None]
    return np.concatenate(there)[kept] if len(there) == len(columns) else None


def _confidence(scores: npt.NDArray[np.float32], given: Ints) -> Floats | None:
    """The predicted class's score, where every row of scores is a distribution."""
    if not scores.size or scores.min() < 0:
        return None
    made = given >= 0
    if not np.allclose(scores.sum(axis=1)[made], 1, atol=1e-3):
        return None
    picked = np.take_along_axis(scores, np.maximum(given, 0)[:, None], axis=1)[:, 0]
    return np.clip(np.where(made, picked.astype(np.float64), np.nan), 0, 1)
