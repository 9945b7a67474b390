"""Every figure of a report against the slow loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

from eval.groups import GROUP_NAMES
from eval.predictions import open_predictions, write_predictions
from eval.report import build_report
from tests.reference import figures

CASES = [
    {"seed": 0},
    {"seed": 1, "rows": 200, "classes": 30, "tested": 11},
    {"seed": 2, "rows": 25, "classes": 1},
    {"seed": 3, "rows": 1, "classes": 6},
    {"seed": 4, "rows": 80, "classes": 4, "scores": None, "confidence": None},
    {"seed": 5, "base_scores": None, "retrieval_scores": None},
    {"seed": 6, "train_counts": None},
    {"seed": 7, "rows": 0},
]


def same(figure, expected):
    if expected is None:
        assert figure.value is figure.low is figure.high is None
        return
    assert figure.value == pytest.approx(expected)
    assert 0 <= figure.low <= figure.high <= 1
    assert figure.low < figure.high


def best(scores):
    found = []
    for row in scores.tolist():
        top = max(row)
        found.append(-1 if math.isinf(top) else row.index(top))
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"seed {case['seed']}")
def test_every_figure_is_that_of_the_loop(make_predictions, case):
    made = make_predictions(**case)
    run = build_report([made], resamples=200).metrics.runs[0]
    names = list(made.classes)
    labels = [names.index(label) for label in made.labels]
    given = [names.index(name) for name in made.predictions]
    right = [y == p for y, p in zip(labels, given, strict=True)]
    methods = {"fused": given}
    for name in ("base", "retrieval"):
        scores = getattr(made, f"{name}_scores")
        if scores is not None:
            methods[name] = best(scores)

    assert run.rows.total == run.rows.evaluated == len(labels)
    assert run.classes.with_test_rows == len(set(labels))
    same(run.headline.top1, figures.share(right))
    if made.scores is None or len(names) <= 5:
        assert run.headline.top5 is None
    else:
        ranks = figures.ranks(made.scores.tolist(), labels)
        same(run.headline.top5, figures.share([rank < 5 for rank in ranks]))

    groups = {"macro": list(range(len(names)))}
    if made.train_counts is None:
        assert run.groups is None
        assert run.headline.many is run.headline.medium is run.headline.few is None
    else:
        assert run.groups is not None
        bounds = run.groups.many_above, run.groups.few_below
        for name in GROUP_NAMES:
            groups[name] = [
                c for c, n in enumerate(made.train_counts) if figures.group_of(n, *bounds) == name
            ]
    for method, predicted in methods.items():
        headline = run.headline if method == "fused" else getattr(run.branches, method)
        recalls = figures.recall_by_class(labels, predicted, len(names))
        for name, members in groups.items():
            expected = figures.mean_of_known([recalls[c] for c in members])
            same(getattr(headline, name), expected)
            if method != "fused":
                gain = getattr(getattr(run.branches, f"gain_over_{method}"), name)
                fused = getattr(run.headline, name).value
                assert gain.value == (None if expected is None else pytest.approx(fused - expected))
    if "base" in methods:
        base = [y == p for y, p in zip(labels, methods["base"], strict=True)]
        both = list(zip(right, base, strict=True))
        assert run.branches.rescued == sum(now and not before for now, before in both)
        assert run.branches.harmed == sum(before and not now for now, before in both)
    else:
        assert run.branches is None

    if made.confidence is None:
        assert run.calibration is run.selective is None
    elif labels:
        sure = made.confidence.tolist()
        assert run.calibration.error == pytest.approx(figures.calibration_error(sure, right, 15))
        assert run.selective.area == pytest.approx(figures.area_under_risk(sure, right))
    wrong = [found for found in figures.pairs(labels, given) if found[0] != found[1]]
    assert [(c.label, c.prediction, c.rows) for c in run.confusions] == [
        (names[y], names[p], n) for y, p, n in wrong[:20]
    ]
    if run.groups is not None:
        for name in GROUP_NAMES:
            check_group(getattr(run.groups, name), groups[name], made, labels, right)


def check_group(info, members, made, labels, right):
    rows = [i for i, y in enumerate(labels) if y in members]
    assert (info.classes, info.rows) == (len(members), len(rows))
    purities = [
        figures.share([near == made.labels[i] for near in made.neighbour_labels[i]]) for i in rows
    ]
    expected = figures.mean_of_known(purities)
    assert info.neighbour_purity == (None if expected is None else pytest.approx(expected))
    if made.confidence is not None and rows:
        sure = [made.confidence[i] for i in rows]
        error = figures.calibration_error(sure, [right[i] for i in rows], 15)
        assert info.calibration_error == pytest.approx(error)
    else:
        assert info.calibration_error is None


def test_empty_group_is_null_and_not_zero(make_predictions):
    """A class without test rows once counted as recall 0; a group of such classes is null."""
    made = make_predictions(classes=3, tested=2, train_counts=np.array([500, 50, 1]), scores=None)
    headline = build_report([made]).metrics.runs[0].headline
    assert headline.few is not None
    assert headline.few.model_dump() == {
        "value": None, "low": None, "high": None, "rows": 0, "classes": 0, "interval": None,
    }  # fmt: skip
    assert headline.many is not None
    assert headline.many.value is not None


def test_all_right_is_not_certainty(make_predictions):
    """Three rows, all right: a bootstrap says [1, 1]; the exact interval starts at .025^(1/3)."""
    made = make_predictions(
        rows=3, classes=1, scores=None, confidence=None, base_scores=None, retrieval_scores=None
    )
    top1 = build_report([made]).metrics.runs[0].headline.top1
    assert (top1.value, top1.high, top1.interval) == (1.0, 1.0, "exact")
    assert top1.low == pytest.approx(0.025 ** (1 / 3))


def test_rows_left_out_are_counted_and_said(make_predictions):
    made = make_predictions(rows=10)
    labels, given = list(made.labels), list(made.predictions)
    labels[0] = labels[1] = None
    given[2] = None
    run = build_report([make_predictions(rows=10, labels=labels, predictions=given)])
    rows = run.metrics.runs[0].rows
    assert (rows.total, rows.evaluated, rows.unlabelled, rows.unpredicted) == (10, 7, 2, 1)
    said = " ".join(run.metrics.runs[0].notes)
    assert "2 of 10 rows left out: the label is unknown" in said
    assert "1 of 10 rows left out: labelled, but no prediction" in said


def test_confidence_comes_from_scores_that_are_distributions(make_predictions):
    made = make_predictions(confidence=None)
    outcomes = build_report([made]).evaluations[0].outcomes
    assert outcomes.confidence == pytest.approx(made.scores.max(axis=1), abs=1e-6)
    logits = make_predictions(confidence=None, scores=made.scores * 9)
    assert build_report([logits]).evaluations[0].outcomes.confidence is None


def test_a_file_read_in_blocks_gives_the_same_figures(make_predictions, tmp_path, monkeypatch):
    made = make_predictions(rows=90)
    write_predictions(made, tmp_path / "p.parquet")
    whole = build_report([made]).metrics
    monkeypatch.setattr("eval.predicted.BLOCK_CELLS", 8 * 11)
    assert build_report([open_predictions(tmp_path / "p.parquet")]).metrics == whole


def test_ids_repeated_in_another_block_are_refused(make_predictions, tmp_path, monkeypatch):
    path = write_predictions(make_predictions(rows=20), tmp_path / "p.parquet")
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    ids = table.column("id").to_pylist()
    ids[19] = ids[0]
    pq.write_table(table.set_column(0, "id", [ids]), path)
    monkeypatch.setattr("eval.predicted.BLOCK_CELLS", 8 * 5)
    with pytest.raises(ValueError, match="row 20, column 'id': 'item 0' is also the id of row 1"):
        build_report([open_predictions(path)])
