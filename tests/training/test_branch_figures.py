from __future__ import annotations

import numpy as np

from eval.predictions import Predictions
from training.branch_figures import branch_lines


def predictions(base: list[int], retrieval: list[int], fused: list[int]) -> Predictions:
    """Ten rows of two classes in turn, and what the branches take each for; the last is bad."""

    def scores(said: list[int]) -> np.ndarray:
        return np.where(np.eye(2, dtype=bool)[said], np.float32(-0.1), np.float32(-3.0))

    names = ("a", "b")
    return Predictions(
        name="toy",
        ids=[f"r{row}" for row in range(10)],
        labels=[names[row % 2] for row in range(10)],
        predictions=[*(names[index] for index in fused[:9]), None],
        classes=names,
        scores=np.exp(scores(fused)),
        base_scores=scores(base),
        retrieval_scores=scores(retrieval),
    )


RIGHT = [row % 2 for row in range(10)]


def test_branches_are_judged_on_the_rows_that_could_be_read() -> None:
    # Of nine rows the base branch misses three, the retrieval branch the first alone.
    base = [1, 0, 0, 1, 0, 0, 1, 1, 0, 0]
    retrieval = [1, *RIGHT[1:]]
    lines = branch_lines(predictions(base, retrieval, retrieval))
    assert lines[0].split() == ["top1", "macro"]
    assert [line[:16].strip() for line in lines[1:]] == [
        *("fused", "base alone", "retrieval alone", "fused - base"),
    ]
    values = [float(line[18:].split()[0]) for line in lines[1:]]
    missed = sum(one != other for one, other in zip(base[:9], RIGHT, strict=False))
    assert values == [
        88.9,
        round(100 * (9 - missed) / 9, 1),
        88.9,
        round(100 * (missed - 1) / 9, 1),
    ]
    assert lines[4][18] == "+"
    assert branch_lines(predictions(base, retrieval, retrieval)) == lines


def test_a_branch_that_had_nothing_to_say_is_left_out() -> None:
    alone = predictions(RIGHT, RIGHT, RIGHT)
    assert alone.retrieval_scores is not None
    silent = np.full_like(np.asarray(alone.retrieval_scores), -np.inf)
    emptied = predictions(RIGHT, RIGHT, RIGHT)
    object.__setattr__(emptied, "retrieval_scores", silent)
    said = [line[:16].strip() for line in branch_lines(emptied)[1:]]
    assert said == ["fused", "base alone", "fused - base"]
    object.__setattr__(emptied, "retrieval_scores", None)
    assert branch_lines(emptied) == []
