"""The page as a browser shows it: no errors, nothing fetched, tables that sort and filter."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from eval.fills import evaluate_fills
from eval.predictions import Predictions
from eval.report import build_report, write_report
from tests.eval.browser import CHROMIUM, Browser
from tests.eval.test_report import EVIL

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

ROWS = "document.querySelector('#run1 table[data-sortable]').tBodies[0].rows"


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(make_predictions, tmp_path_factory):
    """Two runs with everything, a class named to break out of the page, and filled attributes."""
    tmp_path = tmp_path_factory.mktemp("page")
    Image.new("RGB", (300, 200), "red").save(tmp_path / "red.png")
    first = make_predictions(
        rows=150,
        classes=30,
        image_folder=str(tmp_path),
        images=["red.png"] * 150,
        neighbour_images=[["red.png"] * 3] * 150,
    )
    second = make_predictions(
        rows=150, classes=30, name=EVIL, predictions=["class 3"] * 150, labels=first.labels
    )
    fills = evaluate_fills(["a", EVIL], ["x", EVIL], ["x", EVIL], [0.9, 0.8])
    return write_report(build_report([first, second], fills=fills), tmp_path / "out").page


def column(browser, name, rows=ROWS):
    """The texts of a column of the class table, of the rows that are shown."""
    heads = f"{rows}[0].closest('table').tHead.rows[0].cells"
    return browser.run(
        f"(() => {{ const at = [...{heads}].findIndex(head => head.textContent === '{name}');"
        f"return [...{rows}].filter(row => !row.hidden).map(row => row.cells[at].textContent) }})()"
    )


def press(browser, name):
    browser.run(
        "[...document.querySelectorAll('#run1 th button')]"
        f".find(button => button.textContent === '{name}').click()"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [360, 1280])
def test_opens_without_a_fault_and_without_scrolling_sideways(browser, page, width, dark):
    browser.open(page, width=width, dark=dark)
    assert browser.faults == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    shown = browser.run("getComputedStyle(document.body).backgroundColor")
    level = np.mean([int(part) for part in shown.removeprefix("rgb(").rstrip(")").split(",")])
    assert (level < 80) == dark
    pictures = "[...document.images].filter(image => image.naturalWidth > 0).length"
    assert browser.run(pictures) == browser.run("document.images.length") > 0


def test_faults_are_seen_at_all(browser, page, tmp_path):
    """Guards the test above: a browser whose faults are not heard has none."""
    broken = tmp_path / "broken.html"
    broken.write_text("<script>console.log('x'); nothing.at.all</script>")
    browser.open(broken)
    assert len(browser.faults) == 2


def test_catalogue_text_runs_nothing(browser, page):
    browser.open(page)
    assert browser.run("document.scripts.length") == 1
    assert browser.run(f"document.body.innerText.includes({EVIL!r})")


def test_table_sorts_by_number_and_by_text_with_empty_cells_last(browser, page):
    browser.open(page)
    names = column(browser, "Class")
    for name in ("Recall", "Train", "F1"):
        press(browser, name)
        cells = column(browser, name)
        known = [float(cell.replace(",", "")) for cell in cells if cell]
        assert known == sorted(known, reverse=True)
        assert all(cells[: len(known)])
        press(browser, name)
        cells = column(browser, name)
        assert [float(cell.replace(",", "")) for cell in cells if cell] == sorted(known)
        assert all(cells[: len(known)]), "an empty cell is sorted before a number"
    press(browser, "Class")
    assert column(browser, "Class") == sorted(names)
    state = "document.querySelector('#run1 th[aria-sort]').getAttribute('aria-sort')"
    assert browser.run(state) == "ascending"


def test_table_is_searched_and_filtered(browser, page):
    browser.open(page)
    browser.run("document.querySelector('#run1-search').focus()")
    browser.type("LASS 2")
    assert column(browser, "Class") == [f"class {i}" for i in [2, *range(20, 30)]]
    said = "document.querySelector('#run1 [data-said]').textContent"
    assert browser.run(said) == "11 of 30 classes"
    browser.run(
        "(() => { const group = document.querySelector('#run1-group'); group.value = 'few';"
        "group.dispatchEvent(new Event('change')) })()"
    )
    assert set(column(browser, "Group")) <= {"few"}
    press(browser, "Recall")
    assert len(column(browser, "Class")) < 11


def test_changes_sort_with_their_minus_signs(browser, page):
    browser.open(page)
    rows = "document.querySelector('#change2 table[data-sortable]').tBodies[0].rows"

    def differences():
        return [float(cell.replace("\u2212", "-")) for cell in column(browser, "Difference", rows)]

    before = differences()
    assert before == sorted(before)
    assert before[0] < 0
    browser.run(
        "[...document.querySelectorAll('#change2 th button')]"
        ".find(button => button.textContent === 'Difference').click()"
    )
    assert differences() == sorted(before, reverse=True)


def test_dots_name_themselves(browser, page):
    browser.open(page)
    titles = browser.run(
        "[...document.querySelectorAll('#run1 .dots path > title')].map(title => title.textContent)"
    )
    tested = browser.run(f"[...{ROWS}].filter(row => row.cells[3].textContent !== '0').length")
    assert len(titles) == len(set(titles)) == tested
    assert all(title.startswith("class ") for title in titles)


def test_ten_thousand_classes_are_a_page_under_5_mb_that_works(browser, tmp_path):
    rng = np.random.default_rng(0)
    names = [f"Genus species number {i}" for i in range(10_000)]
    truth, wrong = rng.integers(0, 9_900, 15_000), rng.integers(0, 10_000, 15_000)
    given = [names[y if i % 3 else w] for i, (y, w) in enumerate(zip(truth, wrong, strict=True))]
    made = Predictions(
        name="large",
        ids=[str(i) for i in range(15_000)],
        labels=[names[y] for y in truth],
        predictions=given,
        classes=names,
        confidence=rng.random(15_000),
        train_counts=np.arange(10_000)[::-1] // 20,
        base_predictions=[names[w] for w in wrong],
        retrieval_predictions=given,
    )
    page = write_report(build_report([made], resamples=20), tmp_path).page
    assert page.stat().st_size < 5_000_000
    browser.open(page)
    assert browser.faults == []
    press(browser, "Train")
    assert column(browser, "Train")[0] == "499"
    browser.run("document.querySelector('#run1-search').focus()")
    browser.type("number 9999")
    assert column(browser, "Class") == ["Genus species number 9999"]
    assert len(browser.run("document.querySelector('.dots').innerHTML")) > 10_000
