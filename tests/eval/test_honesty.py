"""Test rows that were trained on, or that settings were chosen by."""

from __future__ import annotations

import hashlib

import pytest

from eval.errors import ReportFault
from eval.image_sets import image_set
from eval.predictions import open_predictions, read_predictions, write_predictions
from eval.report import build_report, write_report
from tests.reference import figures


def sha(text):
    return hashlib.sha256(str(text).encode()).hexdigest()


@pytest.fixture
def made(make_predictions):
    """Sixty rows of which 0, 7 and 11 were trained on, and nothing selected by."""

    def make(**changes):
        values = {
            "rows": 60,
            "content_hashes": [sha(i) for i in range(60)],
            "source": "shop:test",
            "training": image_set([sha(0), sha(7), sha(11), sha("more")], "shop:train"),
            "selection": image_set([sha("val")], "shop:val"),
        }
        return make_predictions(**{**values, **changes})

    return make


def test_overlap_with_training_is_refused_naming_the_rows(made):
    with pytest.raises(ReportFault, match=r"3 test rows .* trained on \('item 0', 'item 7', 'item"):
        build_report([made()])


def test_forced_overlap_is_marked_and_the_figures_without_it_are_given(made, tmp_path):
    predictions = made()
    report = build_report([predictions], force=True)
    check = report.metrics.runs[0].honesty.training
    assert (check.checked, check.rows, check.unknown) == ("content", 3, 0)
    clean = [i for i in range(60) if i not in (0, 7, 11)]
    names = list(predictions.classes)
    labels = [names.index(predictions.labels[i]) for i in clean]
    given = [names.index(predictions.predictions[i]) for i in clean]
    right = [y == p for y, p in zip(labels, given, strict=True)]
    assert check.top1_without == pytest.approx(figures.share(right))
    macro = figures.mean_of_known(figures.recall_by_class(labels, given, len(names)))
    assert check.macro_without == pytest.approx(macro)
    page = write_report(report, tmp_path).page.read_text(encoding="utf-8")
    assert "Do not trust these figures" in page
    assert "item 7" in page


def test_selection_on_test_rows_is_refused(made):
    clean = image_set([sha("train")])
    with pytest.raises(ReportFault, match=r"1 test rows .* chosen by"):
        build_report([made(training=clean, selection=image_set([sha(5)]))])


@pytest.mark.parametrize("role", ["training", "selection"])
def test_the_same_table_is_refused_even_without_hashes(made, role):
    sets = {"training": image_set([]), "selection": image_set([]), role: image_set([], "shop:test")}
    with pytest.raises(ReportFault, match="the table of the test rows"):
        build_report([made(content_hashes=None, **sets)])


def test_honest_runs_pass_and_say_so(made, tmp_path):
    honest = made(training=image_set([sha("train")], "shop:train"))
    report = build_report([honest])
    assert report.metrics.runs[0].honesty.training.checked == "content"
    page = write_report(report, tmp_path).page.read_text(encoding="utf-8")
    assert "none, by content hash" in page
    assert "Do not trust" not in page


def test_rows_without_a_hash_are_counted_and_said(made):
    hashes = [None if i < 20 else sha(i) for i in range(60)]
    training = image_set([sha(7)])  # row 7 has no hash, so it cannot be found
    run = build_report([made(content_hashes=hashes, training=training)]).metrics.runs[0]
    assert run.honesty.training.unknown == 20
    assert any("20 rows have no content hash" in note for note in run.notes)


def test_nothing_known_is_not_checked_and_says_so(make_predictions):
    run = build_report([make_predictions()]).metrics.runs[0]
    assert run.honesty.training.checked == run.honesty.selection.checked == "not checked"
    assert any("Not checked" in note for note in run.notes)


def test_rows_that_are_left_out_do_not_count(made):
    """An unlabelled row is in no figure, so it may have been trained on."""
    predictions = made()
    labels = [None if i in (0, 7, 11) else label for i, label in enumerate(predictions.labels)]
    assert build_report([made(labels=labels)]).metrics.runs[0].honesty.training.rows == 0


def test_files_carry_it_all(made, tmp_path):
    path = write_predictions(made(), tmp_path / "p.parquet")
    read = read_predictions(path)
    assert read.training == made().training
    assert read.selection == made().selection
    assert read.source == "shop:test"
    assert list(read.content_hashes) == [sha(i) for i in range(60)]
    with pytest.raises(ReportFault, match="3 test rows"):
        build_report([open_predictions(path)])
    other = open_predictions(path, training=image_set([sha("other")]))
    assert build_report([other]).metrics.runs[0].honesty.training.rows == 0


def test_a_cell_that_is_no_hash_is_refused(made):
    with pytest.raises(ReportFault, match="'content_hash': content hash 3"):
        made(content_hashes=[sha(0), sha(1), "zz", *(sha(i) for i in range(57))])
