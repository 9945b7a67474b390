"""What every baseline is given, and the two methods that a new one writes.

Letters of shapes: N rows, T dimensions of the trunk features, D of the joint space, C classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from eval.arrays import Ints, Scores
from retrieval_index.arrays import unit_norm

Space = Literal["trunk", "embedding"]
Setting = TypeVar("Setting")
"""One candidate of a baseline: a frozen dataclass of numbers and names."""

SPACES: tuple[Space, ...] = ("trunk", "embedding")


@dataclass(frozen=True, eq=False)
class Queries:
    """N images to be classified, as the encoder gives them.

    Attributes:
        trunk: (N, T) float32, any norm.
        embedding: (N, D) float32, unit norm.
    """

    trunk: Scores
    embedding: Scores

    def __len__(self) -> int:
        return len(self.trunk)

    def space(self, name: Space) -> Scores:
        """Give the rows of a space, each of norm 1 (a row of zeros stays zeros)."""
        return unit_norm(self.trunk if name == "trunk" else self.embedding)


@dataclass(frozen=True, eq=False)
class Examples(Queries):
    """N rows whose class is known.

    Attributes:
        classes: (N,) int64 in [0, C).
        items: (N,) int64, the image that a row is a view of; None where each row is an image of
            its own. The rows of an image have one class.
    """

    classes: Ints
    items: Ints | None = None

    @property
    def images(self) -> Ints:
        """(N,) number of the image that each row came from."""
        return np.arange(len(self), dtype=np.int64) if self.items is None else self.items

    @property
    def queries(self) -> Queries:
        """The rows without what is known of them."""
        return Queries(self.trunk, self.embedding)

    def pick(self, rows: npt.NDArray[np.generic]) -> Examples:
        """Give the rows of a mask (N,) or of indices (M,)."""
        return Examples(
            self.trunk[rows],
            self.embedding[rows],
            self.classes[rows],
            None if self.items is None else self.items[rows],
        )

    def counts(self, classes: int) -> Ints:
        """Give (C,) images, not rows, of each class."""
        _, first = np.unique(self.images, return_index=True)
        return np.bincount(self.classes[first], minlength=classes).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Prompts:
    """The names of the C classes, read by the text tower.

    Attributes:
        vectors: (C, D) float32, unit norm.
        scale: what the encoder multiplied cosines by when it was trained.
    """

    vectors: Scores
    scale: float

    def logits(self, queries: Queries) -> Scores:
        """Give the (N, C) scaled cosines of images and names."""
        return np.asarray(self.scale * (queries.space("embedding") @ self.vectors.T), np.float32)


Predictor: TypeAlias = Callable[[Queries], npt.NDArray[np.floating]]
"""From N queries to (N, C) scores: log-probabilities up to a temperature and a number of the row.

A class that a method cannot give has -inf."""


class Baseline(ABC, Generic[Setting]):
    """A method with a list of candidate settings; a new one writes ``grid`` and ``fit``.

    Attributes:
        name: what tables and files call it.
        random: whether the seed changes what is fitted.
        needs_prompts: whether it cannot do without the names of the classes.
    """

    name: ClassVar[str]
    random: ClassVar[bool] = False
    needs_prompts: ClassVar[bool] = False

    @abstractmethod
    def grid(self) -> Sequence[Setting]:
        """Give the candidates, at most a dozen."""

    @abstractmethod
    def fit(
        self, train: Examples, prompts: Prompts | None, counts: Ints, setting: Setting, seed: int
    ) -> Predictor:
        """Fit one candidate.

        Args:
            train: N rows, at least one.
            prompts: of the C classes; None where the encoder reads no text.
            counts: (C,) training images of each class; some may be zero.
            setting: one of ``grid``.
            seed: of whatever is drawn; not heard where ``random`` is False.
        """

    def fit_all(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        settings: Sequence[Setting],
        seed: int,
    ) -> list[Predictor]:
        """Fit several candidates to the same rows; overridden where they share work."""
        return [self.fit(train, prompts, counts, setting, seed) for setting in settings]


def without_absent(scores: npt.NDArray[np.floating], counts: Ints) -> npt.NDArray[np.floating]:
    """Give (N, C) scores with -inf for the classes that have no training image."""
    return np.where(counts > 0, scores, -np.inf)
