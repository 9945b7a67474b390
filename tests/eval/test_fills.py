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
        check_values(score, name, attribute, truth, best, value)
    total = sum_fills(list(scores.values()))
    assert total.cells == sum(cell is not None for cell in truth)


def check_values(score, name, attribute, truth, best, value):
    rows = [i for i in range(len(truth)) if attribute[i] == name]
    expected = figures.values_of_fills(
        [truth[i] for i in rows],
        [best[i] for i in rows],
        [value[i] is not None for i in rows],
        [False] * len(rows),
    )
    found = {
        one.value: (one.known, one.written, one.cells, one.filled, one.correct, one.abstained)
        for one in score.values
    }
    assert found == expected
    for one in score.values:
        assert one.precision == (one.correct / one.filled if one.filled else None)
        assert one.coverage == ((one.cells - one.abstained) / one.cells if one.cells else None)
        if one.filled:
            low = figures.binomial_lower(one.correct, one.filled, 0.975)
            assert one.low == pytest.approx(low)
    wrong = [(truth[i], value[i]) for i in rows if value[i] is not None and truth[i] is not None]
    pairs = (
        [found for found in figures.pairs(*zip(*wrong, strict=True)) if found[0] != found[1]]
        if wrong
        else []
    )
    assert sorted((one.truth, one.value, one.cells) for one in score.mistakes) == sorted(pairs)
    counts = [one.cells for one in score.mistakes]
    assert counts == sorted(counts, reverse=True)


def test_reasons_that_differ_in_numbers_are_one(tmp_path):
    reasons = ["0.294 is not above 0.7", "0.3 is not above 0.7", "no image"]
    score = evaluate_fills(["a"] * 3, ["x"] * 3, [None] * 3, [0.1] * 3, reason=reasons)["a"]
    assert score.reasons == {"\u2026 is not above \u2026": 2, "no image": 1}


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
