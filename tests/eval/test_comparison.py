"""Two runs on the rows that both answered, against slow loops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from eval.errors import ReportFault
from eval.gates import failed_gates, parse_gate
from eval.groups import GROUP_NAMES
from eval.report import build_report
from eval.significance import discoveries, sign_test
from tests.reference import figures


@pytest.mark.parametrize("seed", range(5))
def test_sign_test_is_that_of_the_loop(seed):
    rng = np.random.default_rng(seed)
    lost, gained = rng.integers(0, 12, 40), rng.integers(0, 12, 40)
    expected = [figures.sign_test(int(a), int(b)) for a, b in zip(lost, gained, strict=True)]
    assert sign_test(lost, gained) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_discoveries_are_those_of_the_loop(seed):
    rng = np.random.default_rng(seed)
    p = np.concatenate([rng.random(30), rng.random(rng.integers(0, 20)) * 0.01]).round(3)
    found = set(np.flatnonzero(discoveries(p, 0.1)).tolist())
    assert found == figures.false_discoveries(p.tolist(), 0.1)
    assert discoveries([]).tolist() == []


def two_runs(make_predictions, seed, **changes):
    """A run and another that answered some of its rows and some others, in another order."""
    rng = np.random.default_rng(seed)
    first = make_predictions(seed, rows=90, classes=9, tested=8)
    keep = rng.permutation(90)[:70]
    given = [first.predictions[i] if rng.random() < 0.6 else "class 2" for i in keep]
    labels = [first.labels[i] for i in keep] + ["class 1"] * 3
    bare = dict.fromkeys(
        ("confidence", "scores", "base_scores", "retrieval_scores", "neighbour_ids",
         "neighbour_labels", "neighbour_scores")
    )  # fmt: skip
    second = make_predictions(
        rows=73,
        classes=9,
        **bare,
        **{
            "name": "second",
            "ids": [first.ids[i] for i in keep] + ["x", "y", "z"],
            "labels": labels,
            "predictions": [*given, *["class 1"] * 3],
            "train_counts": None,
            **changes,
        },
    )
    return first, second, keep


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_is_that_of_the_loop(make_predictions, seed):
    first, second, keep = two_runs(make_predictions, seed)
    comparison = build_report([first, second], resamples=300).metrics.comparisons[0]
    assert (comparison.rows, comparison.only_before, comparison.only_after) == (70, 20, 3)
    names = list(first.classes)
    labels = [names.index(first.labels[i]) for i in keep]
    before = [first.predictions[i] == first.labels[i] for i in keep]
    after = [p == y for p, y in zip(second.predictions, second.labels, strict=True)][:70]

    def recalls(hits):
        given = [y if hit else -1 for y, hit in zip(labels, hits, strict=True)]
        return figures.recall_by_class(labels, given, len(names))

    by_name = {figure.name: figure for figure in comparison.figures}
    # The second run has no scores, so top-5 cannot be compared.
    assert list(by_name) == ["top1", "macro", *GROUP_NAMES, "harmonic"]
    bounds = build_report([first]).metrics.runs[0].groups
    members = {"top1": range(9), "macro": range(9), "harmonic": range(9)}
    for group in GROUP_NAMES:
        members[group] = [
            c
            for c, n in enumerate(first.train_counts)
            if figures.group_of(n, bounds.many_above, bounds.few_below) == group
        ]
    for name, figure in by_name.items():
        rows = [i for i, y in enumerate(labels) if y in members[name]]
        assert figure.changed == sum(before[i] != after[i] for i in rows)
        if name == "top1":
            old, new = figures.share(before), figures.share(after)
        elif name == "harmonic":
            old, new = figures.harmonic(recalls(before)), figures.harmonic(recalls(after))
        else:
            old, new = (
                figures.mean_of_known([recalls(hits)[c] for c in members[name]])
                for hits in (before, after)
            )
        if old is None:
            assert figure.before.value is figure.after.value is figure.difference.value is None
            assert not figure.alarm
            continue
        assert figure.before.value == pytest.approx(old)
        assert figure.after.value == pytest.approx(new)
        assert figure.difference.value == pytest.approx(new - old)
        assert figure.alarm == (figure.difference.high < 0 and figure.changed >= 6)

    counts = figures.changes(labels, before, after, 9)
    tested = [c for c in range(9) if counts[c][0]]
    p = [figures.sign_test(*counts[c][1:]) for c in tested]
    found = {tested[i] for i in figures.false_discoveries(p, 0.05)}
    expected = {names[c]: counts[c] for c in tested if counts[c][1] + counts[c][2]}
    assert {c.name: (c.rows, c.lost, c.gained) for c in comparison.classes} == expected
    for change in comparison.classes:
        index = names.index(change.name)
        assert change.before == pytest.approx(recalls(before)[index])
        assert change.after == pytest.approx(recalls(after)[index])
        assert change.p == pytest.approx(p[tested.index(index)])
        assert change.alarm == (index in found and change.lost > change.gained)
    falls = [change.after - change.before for change in comparison.classes]
    assert falls == sorted(falls)


def test_interval_of_the_difference_is_that_of_drawing_rows_one_by_one(make_predictions):
    first, second, keep = two_runs(make_predictions, 3)
    figure = build_report([first, second], resamples=4000).metrics.comparisons[0].figures[1]
    assert figure.name == "macro"
    labels = [list(first.classes).index(first.labels[i]) for i in keep]
    before = [first.predictions[i] == first.labels[i] for i in keep]
    after = [p == y for p, y in zip(second.predictions, second.labels, strict=True)][:70]
    drawn = figures.paired_bootstrap(labels, before, after, range(9), 4000, seed=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert figure.difference.low == pytest.approx(low, abs=0.015)
    assert figure.difference.high == pytest.approx(high, abs=0.015)


def small(make_predictions, name, right, rows=20, labels=None, **changes):
    """Rows of two classes; the first ``right`` rows are predicted right."""
    labels = labels or ["class 0", "class 1"] * (rows // 2)
    other = {"class 0": "class 1", "class 1": "class 0"}
    given = [y if i < right else other[y] for i, y in enumerate(labels)]
    bare = dict.fromkeys(
        ("confidence", "scores", "base_scores", "retrieval_scores", "neighbour_ids",
         "neighbour_labels", "neighbour_scores")
    )  # fmt: skip
    values = {"name": name, "rows": rows, "classes": 2, "labels": labels, "predictions": given}
    values["train_counts"] = np.array([500, 3])
    return make_predictions(**{**bare, **values, **changes})


def test_a_fall_of_few_rows_is_no_alarm(make_predictions):
    """Five rows of five that fell: the bootstrap is certain, a sign test is not (p = 0.0625)."""
    runs = [small(make_predictions, "a", 20), small(make_predictions, "b", 15)]
    comparison = build_report(runs).metrics.comparisons[0]
    assert comparison.figures[0].difference.high < 0
    assert comparison.alarms == comparison.class_alarms == ()


def test_a_fall_of_many_rows_is_an_alarm_in_its_class_too(make_predictions):
    runs = [small(make_predictions, "a", 20), small(make_predictions, "b", 4)]
    comparison = build_report(runs).metrics.comparisons[0]
    assert "top1" in comparison.alarms
    assert "few" in comparison.alarms
    assert comparison.class_alarms == ("class 0", "class 1")


def test_the_same_run_under_another_name_changes_nothing(make_predictions):
    runs = [make_predictions(1), make_predictions(1, name="again")]
    comparison = build_report(runs).metrics.comparisons[0]
    assert comparison.classes == []
    assert comparison.alarms == ()
    assert {figure.difference.value for figure in comparison.figures} == {0.0}
    assert comparison.figures[1].name == "top5"


def test_classes_of_another_order_and_new_ones_are_matched_by_name(make_predictions):
    first, second = small(make_predictions, "a", 20), small(make_predictions, "b", 4)
    plain = build_report([first, second]).metrics.comparisons[0]
    other = replace(
        second, classes=("new", "class 1", "class 0"), train_counts=np.array([50, 3, 500])
    )
    turned = build_report([first, other]).metrics.comparisons[0]
    assert turned.classes == plain.classes
    assert [f.difference.value for f in turned.figures] == [
        f.difference.value for f in plain.figures
    ]


def test_labels_that_differ_are_refused_naming_the_row(make_predictions):
    runs = [
        small(make_predictions, "a", 20),
        small(make_predictions, "b", 20, labels=["class 1"] * 20),
    ]
    with pytest.raises(ReportFault, match="'item 0' is labelled 'class 0' in a and 'class 1' in b"):
        build_report(runs)


def test_no_common_row_is_said_and_not_zero(make_predictions):
    first = small(make_predictions, "a", 20)
    second = small(make_predictions, "b", 20, ids=[f"other {i}" for i in range(20)])
    report = build_report([first, second])
    comparison = report.metrics.comparisons[0]
    assert comparison.rows == 0
    assert all(figure.difference.value is None for figure in comparison.figures)
    with pytest.raises(ReportFault, match="no common rows"):
        failed_gates([parse_gate("top1:0.1")], [comparison])
    with pytest.raises(ReportFault, match="no row is common"):
        failed_gates([parse_gate("class")], [comparison])


@pytest.mark.parametrize(
    ("gate", "right", "fails"),
    [
        ("top1:0.05", 19, False),  # one row of twenty is just the tolerance
        ("top1:0.05", 18, True),
        ("top1:0.04", 19, True),
        ("top1", 15, False),  # five rows are within the noise
        ("top1", 4, True),
        ("few:0", 20, False),
        ("few:0.5", 4, True),
        ("class", 15, False),
        ("class", 4, True),
        ("class:0.3", 15, False),  # 3 of 10 rows of class 1 fell, just the tolerance
        ("class:0.2", 15, True),
        ("harmonic:0.1", 4, True),
    ],
)
def test_gates(make_predictions, gate, right, fails):
    runs = [small(make_predictions, "a", 20), small(make_predictions, "b", right)]
    comparisons = build_report(runs).metrics.comparisons
    assert bool(failed_gates([parse_gate(gate)], comparisons)) == fails


@pytest.mark.parametrize("text", ["fewest", "few:", "few:x", "few:-0.1", "few:1.5", "few:nan", ""])
def test_gates_that_make_no_sense_are_refused(text):
    with pytest.raises(ReportFault, match="--fail-if-worse"):
        parse_gate(text)


def test_gate_on_a_figure_that_is_not_known_is_refused(make_predictions):
    runs = [small(make_predictions, name, 20, train_counts=None) for name in "ab"]
    comparisons = build_report(runs).metrics.comparisons
    with pytest.raises(ReportFault, match="few is not known"):
        failed_gates([parse_gate("few:0.01")], comparisons)
    with pytest.raises(ReportFault, match="two or more"):
        failed_gates([parse_gate("few")], [])
