"""Which rows an epoch shows: by instance, by class, and what lies between."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch.utils.data import Sampler

from rac.errors import InputError

Sampling = Literal["instance", "class-balanced", "square-root", "progressive"]


def class_probabilities(
    sampling: Sampling, counts: npt.ArrayLike, progress: float = 0.0
) -> npt.NDArray[np.float64]:
    """Give the probability of each class to be the one that a row is drawn from.

    Kang et al., Decoupling representation and classifier for long-tailed recognition, ICLR 2020,
    equation 1: proportional to ``n^q`` with q = 1 by instance, 1/2 by square root and 0 balanced;
    equation 2: progressive is ``1 - progress`` of the first and ``progress`` of the last.

    All but ``instance`` change the prior that training sees. A loss that takes the prior out
    (``logit-adjusted``, ``balanced-softmax``) does so a second time; ``cross-entropy`` goes with
    them.

    Args:
        sampling: the rule.
        counts: ``(C,)`` rows of each class, at least one above zero; a class without a row is
            never drawn.
        progress: of training, in [0, 1]; heard by ``progressive``.

    Returns:
        ``(C,)`` with a sum of 1.

    Raises:
        InputError: there is no such rule, no class has a row, or ``progress`` is out of its range.

    >>> class_probabilities("square-root", [9, 1, 0])
    array([0.75, 0.25, 0.  ])
    """
    rows = np.asarray(counts, dtype=np.float64)
    if not (rows > 0).any():
        raise InputError("no class has a row to draw")
    if not 0 <= progress <= 1:
        raise InputError(f"progress must be in [0, 1], got {progress}")
    instance, balanced = rows / rows.sum(), (rows > 0) / (rows > 0).sum()
    shares = {
        "instance": instance,
        "class-balanced": balanced,
        "square-root": np.sqrt(rows) / np.sqrt(rows).sum(),
        "progressive": (1 - progress) * instance + progress * balanced,
    }
    if sampling not in shares:
        raise InputError(f"no sampling is called {sampling!r}: {', '.join(shares)}")
    return np.asarray(shares[sampling], dtype=np.float64)


class InstanceSampler(Sampler[int]):
    """Every row once an epoch, shuffled; or all rows in order, a number of times.

    The order of an epoch depends on the seed and the epoch's number alone.

    Args:
        rows: how many there are.
        repeats: where given, an epoch is all rows in their order so many times: for batches of
            all rows, in which the order says nothing.
        seed: of the order.
    """

    def __init__(self, rows: int, *, repeats: int | None = None, seed: int = 0) -> None:
        self.rows, self.repeats, self.seed = rows, repeats, seed
        self._epoch = 0
        self._order: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._restart()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; Lightning does so before each."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self.rows * (self.repeats or 1)

    def __iter__(self) -> Iterator[int]:
        if self.repeats is not None:
            return iter(list(range(self.rows)) * self.repeats)
        # One stream of orders, an epoch after the other: a resumed fit passes those over that the
        # epochs before it have used.
        if self._epoch < self._drawn:
            self._restart()
        while self._drawn <= self._epoch:
            self._order = self._generator.permutation(self.rows)
            self._drawn += 1
        return iter(self._order.tolist())

    def _restart(self) -> None:
        self._generator = np.random.default_rng(self.seed)
        self._drawn = 0


class ClassSampler(Sampler[int]):
    """Rows drawn one by one, with replacement: first the class, then one of its rows.

    The draw of an epoch depends on the seed and the epoch's number alone.

    Args:
        classes: ``(N,)`` class index of each row.
        sampling: rule of :func:`class_probabilities`.
        draws: rows of an epoch.
        epochs: of the whole training; progress goes from 0 in the first epoch to 1 in the last.
        seed: of the draws.
    """

    def __init__(
        self,
        classes: npt.NDArray[np.int64],
        sampling: Sampling,
        *,
        draws: int,
        epochs: int = 1,
        seed: int = 0,
    ) -> None:
        self.counts = np.bincount(classes)
        self.sampling, self.draws, self.epochs, self.seed = sampling, draws, epochs, seed
        self._by_class = np.argsort(classes, kind="stable")
        self._starts = np.cumsum(self.counts) - self.counts
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; Lightning does so before each."""
        self._epoch = epoch

    @property
    def progress(self) -> float:
        """Give how far the epoch is between the first and the last, in [0, 1]."""
        return min(self._epoch / max(self.epochs - 1, 1), 1.0)

    def __len__(self) -> int:
        return self.draws

    def __iter__(self) -> Iterator[int]:
        shares = class_probabilities(self.sampling, self.counts, self.progress)
        generator = np.random.default_rng([self.seed, self._epoch])
        drawn = generator.choice(len(shares), size=self.draws, p=shares)
        rows = self._by_class[self._starts[drawn] + generator.integers(self.counts[drawn])]
        return iter(rows.tolist())


def epoch_sampler(
    classes: npt.NDArray[np.int64],
    sampling: Sampling,
    *,
    batch_size: int,
    steps: int,
    epochs: int | None,
    seed: int,
) -> Sampler[Any]:
    """Give the sampler of a rule; an epoch shows as many rows as there are.

    Where all rows fit in one batch, it shows so many ``steps`` times.

    Args:
        classes: ``(N,)`` class index of each row.
        sampling: rule of :func:`class_probabilities`.
        batch_size: rows of one batch at most.
        steps: batches of an epoch where all rows fit in one.
        epochs: of the whole training; None or below 1 where it has no end.
        seed: of the draws.

    Raises:
        InputError: ``progressive`` sampling for a training without an end.
    """
    fits = len(classes) <= batch_size
    if sampling == "instance":
        return InstanceSampler(len(classes), repeats=steps if fits else None, seed=seed)
    endless = epochs is None or epochs < 1
    if endless and sampling == "progressive":
        raise InputError("progressive sampling needs to know the last epoch: trainer.max_epochs")
    return ClassSampler(
        classes,
        sampling,
        draws=len(classes) * (steps if fits else 1),
        epochs=1 if epochs is None else epochs,
        seed=seed,
    )
