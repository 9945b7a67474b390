from __future__ import annotations

import numpy as np
import pytest

from eval.errors import ReportFault
from eval.fills import evaluate_fills, sum_fills
from tests.reference import figures


@pytest.mark.parametrize("seed", range(10))
def test_scores_are_those_of_the_loop(seed):
    rng = np.random.default_rng(seed)
    cells = int(rng.integers(1, 60))
    attribute = [f"a{i}" for i in rng.integers(0, 4, cells)]
    truth = [None if rng.random() < 0.1 else f"v{i}" for i in rng.integers(0, 3, cells)]
    best = [f"v{i}" for i in rng.integers(0, 3, cells)]
    chance = (rng.integers(0, 9, cells) / 8).tolist()
    value = [v if p >= 0.5 else None for v, p in zip(best, chance, strict=True)]
    reason = [None if v else "doubtful" for v in value]
    scores = evaluate_fills(attribute, truth, value, chance, candidate=best, reason=reason)
    assert list(scores) == list(dict.fromkeys(attribute))
    for name, score in scores.items():
        rows = [i for i in range(cells) if attribute[i] == name and truth[i] is not None]
        written = [i for i in rows if value[i] is not None]
        right = [value[i] == truth[i] for i in written]
        assert (score.cells, score.filled, score.correct) == (len(rows), len(written), sum(right))
        assert score.abstained == len(rows) - len(written)
        assert score.coverage == (len(written) / len(rows) if rows else None)
        assert score.precision == figures.share(right)
        assert sum(score.reasons.values()) == score.empty - score.written
        if written:
            low = figures.binomial_lower(sum(right), len(written), 0.975)
            assert score.low == pytest.approx(low)
        else:
            assert score.low is score.high is None
        if rows:
            points = figures.risk_points(
                [chance[i] for i in rows], [best[i] == truth[i] for i in rows]
            )
            assert score.curve is not None
            assert score.curve.risk == pytest.approx([risk for _, _, risk in points])
    total = sum_fills(list(scores.values()))
    assert total.cells == sum(cell is not None for cell in truth)


def test_nothing_filled_has_no_precision():
    score = evaluate_fills(["a"], ["x"], [None], [np.nan])["a"]
    assert (score.coverage, score.precision, score.low, score.curve) == (0.0, None, None, None)


def test_written_value_counts_even_where_the_candidate_says_otherwise():
    score = evaluate_fills(["a"], ["x"], ["x"], [0.9], candidate=["y"])["a"]
    assert score.correct == 1
    assert score.curve is not None
    assert score.curve.risk.tolist() == [0.0]


def test_probability_of_a_written_value_must_be_one():
    with pytest.raises(ReportFault, match=r"cell 2 \(attribute 'b'\)"):
        evaluate_fills(["a", "b"], ["x", "x"], ["x", "x"], [0.5, np.nan])


def test_lengths_must_agree():
    with pytest.raises(ReportFault, match="different lengths"):
        evaluate_fills(["a"], ["x", "y"], ["x"], [0.5])
