"""Every figure of a report against the slow loops."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import balanced_accuracy_score, recall_score

from eval.errors import ReportFault
from eval.groups import GROUP_NAMES
from eval.predictions import Predictions, open_predictions, write_predictions
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
    assert 0 <= figure.low <= figure.value <= figure.high <= 1
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
            assert getattr(headline, name).classes == sum(recalls[c] is not None for c in members)
            if method != "fused":
                gain = getattr(getattr(run.branches, f"gain_over_{method}"), name)
                fused = getattr(run.headline, name).value
                assert gain.value == (None if expected is None else pytest.approx(fused - expected))
        same(headline.harmonic, figures.harmonic(recalls))
        check_worst(headline.worst, recalls, labels)
    check_conventions(run, labels, given, len(names))
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
            info = getattr(run.groups, name)
            check_group(info, groups[name], made, labels, right)
            if "base" in methods:
                mine = [both[i] for i, y in enumerate(labels) if y in groups[name]]
                assert info.rescued == sum(now and not before for now, before in mine)
                assert info.harmed == sum(before and not now for now, before in mine)
            else:
                assert info.rescued is info.harmed is None


def check_worst(figure, recalls, labels):
    known = [recall for recall in recalls if recall is not None]
    if not known:
        assert figure.value is figure.low is figure.high is None
        return
    lowest = min(known)
    members = [c for c, recall in enumerate(recalls) if recall == lowest]
    rows = sum(label in members for label in labels)
    assert (figure.value, figure.classes, figure.rows) == (lowest, len(members), rows)
    # Half of the doubt on each side; the upper bound is the lower one of the opposite outcome.
    right = round(lowest * rows)
    assert figure.low == pytest.approx(figures.binomial_lower(right, rows, 0.975))
    assert figure.high == pytest.approx(1 - figures.binomial_lower(rows - right, rows, 0.975))


def check_conventions(run, labels, given, classes):
    strange = len(set(given) - set(labels))
    assert len(run.conventions) == (1 if strange else 0)
    if strange:
        figure = run.conventions[0].figure
        assert figure.value == pytest.approx(figures.macro_over_predicted(labels, given, classes))
        assert figure.classes == len(set(labels) | set(given))
        assert figure.low < figure.value < figure.high


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
    table = pq.read_table(path)
    ids = table.column("id").to_pylist()
    ids[19] = ids[0]
    pq.write_table(table.set_column(0, "id", [ids]), path)
    monkeypatch.setattr("eval.predicted.BLOCK_CELLS", 8 * 5)
    with pytest.raises(ValueError, match="row 20, column 'id': 'item 0' is also the id of row 1"):
        build_report([open_predictions(path)])


def test_macro_over_predicted_classes_is_that_of_scikit_learn(make_predictions):
    made = make_predictions(rows=80, classes=12, tested=7)
    run = build_report([made]).metrics.runs[0]
    expected = recall_score(made.labels, made.predictions, average="macro", zero_division=0)
    assert run.conventions[0].figure.value == pytest.approx(expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that some predicted classes are not labels
        balanced = balanced_accuracy_score(made.labels, made.predictions)
    assert run.headline.macro.value == pytest.approx(balanced)


def test_rows_without_a_prediction_can_count_as_wrong(make_predictions):
    made = make_predictions(rows=40, classes=4)
    given = [None if i % 4 == 0 else name for i, name in enumerate(made.predictions)]
    run = build_report([make_predictions(rows=40, classes=4, predictions=given)]).metrics.runs[0]
    by_name = {one.name: one.figure for one in run.conventions}
    right = [y == p for y, p in zip(made.labels, given, strict=True)]
    strict = by_name["top-1, rows without a prediction wrong"]
    assert strict.value == pytest.approx(figures.share(right))
    assert strict.rows == 40
    names = list(made.classes)
    recalls = figures.recall_by_class(
        [names.index(y) for y in made.labels], [names.index(p) if p else -1 for p in given], 4
    )
    macro = by_name["balanced accuracy, rows without a prediction wrong"]
    assert macro.value == pytest.approx(figures.mean_of_known(recalls))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("depth", [3, 5, 8])
def test_best_classes_and_branch_predictions_stand_for_scores(make_predictions, seed, depth):
    whole = make_predictions(seed, rows=70, classes=9)
    names = np.array(whole.classes)
    order = np.argsort(-whole.scores, axis=1, kind="stable")[:, :depth]
    branches = {
        name: [None if c < 0 else names[c] for c in best(getattr(whole, f"{name}_scores"))]
        for name in ("base", "retrieval")
    }
    small = make_predictions(
        seed,
        rows=70,
        classes=9,
        scores=None,
        base_scores=None,
        retrieval_scores=None,
        top_classes=names[order].tolist(),
        base_predictions=branches["base"],
        retrieval_predictions=branches["retrieval"],
    )
    expected = build_report([whole]).metrics.runs[0]
    run = build_report([small]).metrics.runs[0]
    assert run.branches.rescued == expected.branches.rescued
    assert run.branches.retrieval.macro.value == expected.branches.retrieval.macro.value
    if depth < 5:
        assert run.headline.top5 is None
        assert any("Only the 3 best classes" in note for note in run.notes)
    else:
        assert run.headline == expected.headline
        assert run.branches == expected.branches


def test_harmonic_interval_is_that_of_drawing_rows_one_by_one(make_predictions):
    made = make_predictions(rows=120, classes=3)
    names = list(made.classes)
    labels = [names.index(label) for label in made.labels]
    hits = [y == p for y, p in zip(made.labels, made.predictions, strict=True)]
    figure = build_report([made], resamples=4000).metrics.runs[0].headline.harmonic
    drawn = figures.harmonic_bootstrap(labels, hits, 3, 4000, seed=5)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert figure.low == pytest.approx(low, abs=0.015)
    assert figure.high == pytest.approx(high, abs=0.015)


def test_class_names_above_2_to_the_24_stay_apart_from_file_to_figure(tmp_path):
    """As float32, 2^24 and 2^24 + 1 are one number: read so, every row here would be right."""
    big = 2**24
    table = pa.table(
        {"id": list(range(4)), "label": [big, big + 1] * 2, "prediction": [big, big] * 2}
    )
    pq.write_table(table, tmp_path / "p.parquet")
    run = build_report([open_predictions(tmp_path / "p.parquet")]).metrics.runs[0]
    assert run.headline.top1.value == 0.5
    assert run.headline.worst.value == 0.0
    pair = run.confusions[0]
    assert (pair.label, pair.prediction, pair.rows) == (str(big + 1), str(big), 2)


@pytest.mark.parametrize("column", ["scores", "base_scores", "retrieval_scores"])
def test_nan_scores_of_a_file_are_refused_with_their_row(make_predictions, tmp_path, column):
    path = write_predictions(make_predictions(rows=30), tmp_path / "p.parquet")
    table = pq.read_table(path)
    cells = table.column(column).to_pylist()
    cells[25][3] = float("nan")
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, column, pa.array(cells)), path)
    with pytest.raises(ReportFault, match=rf"row 26 \(id 'item 25'\), column '{column}', class '"):
        build_report([open_predictions(path)])


def test_ten_thousand_classes_follow_the_loop():
    rng = np.random.default_rng(1)
    names = [f"c{i}" for i in range(10_000)]
    truth, given = rng.integers(0, 9_000, 400), rng.integers(0, 10_000, 400)
    given[::2] = truth[::2]
    made = Predictions(
        name="wide",
        ids=[str(i) for i in range(400)],
        labels=[names[y] for y in truth],
        predictions=[names[p] for p in given],
        classes=names,
        train_counts=np.arange(10_000),
    )
    run = build_report([made], resamples=20).metrics.runs[0]
    tested = sorted(set(truth.tolist()))
    place = {c: i for i, c in enumerate(tested)}
    recalls = figures.recall_by_class(
        [place[y] for y in truth.tolist()], [place.get(p, -1) for p in given.tolist()], len(tested)
    )
    assert run.headline.macro.value == pytest.approx(figures.mean_of_known(recalls))
    assert run.headline.harmonic.value == pytest.approx(figures.harmonic(recalls))
    few = [recalls[place[c]] for c in tested if c < 20]
    assert run.headline.few.value == (pytest.approx(figures.mean_of_known(few)) if few else None)
    assert run.classes.with_test_rows == len(tested)


def test_an_interval_holds_its_value_where_rare_classes_drop_out_of_resamples():
    """The singletons are all wrong; resamples lack a third of them, and are better for it."""
    singles = [f"single {i}" for i in range(80)]
    labels = [*singles, *(["big"] * 40)]
    made = Predictions(
        name="tail",
        ids=[str(i) for i in range(120)],
        labels=labels,
        predictions=["big"] * 118 + ["single 0"] * 2,
        classes=[*singles, "big"],
    )
    run = build_report([made], resamples=200).metrics.runs[0]
    macro = run.headline.macro
    assert macro.value == pytest.approx(38 / 40 / 81)
    assert macro.low <= macro.value < macro.high
    assert any("80 of the 81 classes with test rows have one only" in note for note in run.notes)
