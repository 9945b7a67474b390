"""The tasks of a catalogue: what its attributes share is found once, and each task takes its part.

Letters of shapes: N rows, R rows that a task is fitted to, D embedding, T trunk and P projected
dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import Cells
from rac.attributes.task.attribute_task import AttributeTask
from rac.attributes.task.folds import NEAR_DUPLICATE
from rac.attributes.task.projection import Projection
from rac.attributes.task.training_cells import TrainingCells
from rac.attributes.zero_shot import PromptBank, score_prompts
from rac.encoders.base import FloatArray
from retrieval_index.duplicate_groups import near_duplicate_groups

IntArray = npt.NDArray[np.int64]

PROJECTION_ROWS = 20_000


@dataclass(frozen=True)
class FeatureSample:
    """What is found once for all attributes of a job.

    Attributes:
        projection: of the trunk features.
        centre: (D,) mean embedding.
    """

    projection: Projection
    centre: FloatArray

    @classmethod
    def of(cls, images: RowFeatures, seed: int) -> FeatureSample:
        """Find projection and centre on a bounded sample of the rows; ``seed`` is of the sample."""
        usable = np.flatnonzero(images.ok)
        if len(usable) > PROJECTION_ROWS:
            draw = np.random.default_rng(seed)
            usable = np.sort(draw.choice(usable, PROJECTION_ROWS, replace=False))
        embedding = images.embedding
        centre = embedding[usable].mean(axis=0) if len(usable) else embedding[:0].sum(axis=0)
        return cls(Projection.fit(images.trunk[usable]), np.asarray(centre))


@dataclass(frozen=True)
class SharedRows:
    """What is found once of the rows that several attributes are fitted to.

    Attributes:
        rows: their numbers, ascending.
        features: (rows, P) projected trunk features.
        groups: of near-duplicates, one for each row.
    """

    rows: IntArray
    features: FloatArray
    groups: IntArray

    @classmethod
    def of(
        cls, training: Iterable[TrainingCells], projection: Projection, trunk: FloatArray
    ) -> SharedRows | None:
        """Look at the rows of all attributes together; None where one by one costs less."""
        rows_of = [one.rows for one in training]
        rows = np.unique(np.concatenate(rows_of))
        if len(rows) ** 2 > sum(len(one) ** 2 for one in rows_of):
            return None
        features = projection.apply(trunk[rows])
        return cls(rows, features, near_duplicate_groups(features, NEAR_DUPLICATE))

    def take(self, rows: IntArray) -> tuple[FloatArray, IntArray]:
        """Give features and groups of some of the rows."""
        places = np.searchsorted(self.rows, rows)
        return self.features[places], self.groups[places]


@dataclass(frozen=True)
class CatalogueTasks:
    """Makes the task of each attribute.

    Attributes:
        cells: the coded cells of N rows.
        images: the features of the same rows.
        sample: what was found once for all attributes.
        bank: the prompts; None without an encoder.
        seed: of the folds.
        shared: rows that were looked at once for several attributes; None to look anew.
    """

    cells: Cells
    images: RowFeatures
    sample: FeatureSample
    bank: PromptBank | None
    seed: int
    shared: SharedRows | None = None

    def task(self, name: str, training: TrainingCells) -> AttributeTask:
        """Give the task of fitting one attribute to some rows."""
        rows, bank = training.rows, self.bank
        if self.shared is None:
            features = self.sample.projection.apply(self.images.trunk[rows])
            groups = near_duplicate_groups(features, NEAR_DUPLICATE)
        else:
            features, groups = self.shared.take(rows)
        masked = training.masked(self.cells)
        embedding, places = self.images.embedding[rows], np.arange(len(rows))
        return AttributeTask(
            name=name,
            cells=self.cells,
            training=training,
            masked=masked,
            features=features,
            prompts=score_prompts(bank, name, embedding, self.sample.centre, masked, places),
            logit_scale=None if bank is None else bank.logit_scale,
            groups=groups,
            seed=self.seed,
        )
