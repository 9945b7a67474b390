"""The three files of a report."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from eval.errors import ReportFault
from eval.fills import evaluate_fills
from eval.predictions import Predictions
from eval.report import build_report, write_report
from eval.schema import MetricsDocument
from eval.terminal import summarise

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&\"$\\frac{$_"


class Page(HTMLParser):
    """Collects what a browser would see: tags with attributes, and text."""

    VOID = frozenset({"meta", "link", "img", "br", "input", "hr"})

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def written(report, folder):
    files = write_report(report, folder)
    return files, Page(files.page.read_text(encoding="utf-8"))


def test_metrics_file_follows_its_schema_and_is_the_same_again(make_predictions, tmp_path):
    first = write_report(build_report([make_predictions()]), tmp_path / "one")
    second = write_report(build_report([make_predictions()]), tmp_path / "two")
    text = first.metrics.read_text()
    MetricsDocument.model_validate(json.loads(text))
    assert json.loads(text)["schema_version"] == 1
    for name in ("metrics", "per_class", "page"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes(), name


def test_catalogue_text_is_shown_as_text(tmp_path):
    rows = 40
    classes = [EVIL, "plain", *[f"c{i}" for i in range(5)]]
    made = Predictions(
        name=EVIL,
        ids=[f"{i}{EVIL}" for i in range(rows)],
        labels=[EVIL, "plain"] * 20,
        predictions=["plain", EVIL] * 20,
        classes=classes,
        train_counts=np.arange(7),
        neighbour_ids=[[EVIL]] * rows,
        neighbour_labels=[[EVIL]] * rows,
        neighbour_scores=[[0.5]] * rows,
        images=[EVIL] * rows,
        metadata={EVIL: EVIL, "more": {EVIL: [EVIL]}},
    )
    fills = evaluate_fills(
        [EVIL, "b"],
        ["x", "y"],
        [EVIL, None],
        [0.9, 0.1],
        candidate=[EVIL, "z"],
        reason=[None, EVIL],
    )
    _, page = written(build_report([made], fills=fills), tmp_path)
    assert len(page.all("script")) == 1
    assert not [tag for tag, attributes in page.tags if any(a.startswith("on") for a in attributes)]
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    text = "".join(page.text)
    assert text.count(EVIL) > 10, "the catalogue's text is not on the page as it is"


def test_page_asks_for_nothing_and_carries_the_hash_of_its_script(make_predictions, tmp_path):
    files, page = written(build_report([make_predictions()]), tmp_path)
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href"):
            assert re.match(r"data:|#", attributes.get(name, "#")), attributes
    text = files.page.read_text(encoding="utf-8")
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    policy = next(a["content"] for a in page.all("meta") if "http-equiv" in a)
    assert "default-src 'none'" in policy
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_ids_of_the_page_are_unique_and_references_lead_somewhere(make_predictions, tmp_path):
    report = build_report(
        [make_predictions(1), make_predictions(2, labels=make_predictions(1).labels)]
    )
    _, page = written(report, tmp_path)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in page.tags:
        for name in ("href", "xlink:href", "aria-labelledby", "for"):
            target = attributes.get(name, "").removeprefix("#")
            assert target in {"", "data:,"} or target in ids, (tag, name, target)


def test_every_tested_class_is_a_dot_that_names_itself(make_predictions, tmp_path):
    made = make_predictions(rows=100, classes=30, tested=21)
    files, _ = written(build_report([made], examples=0), tmp_path)
    text = files.page.read_text(encoding="utf-8")
    dots = re.findall(r"<title>(class \d+): ([\d.]+) % of (\d+), (\d+) training", text)
    tested = sorted(set(made.labels))
    assert sorted(name for name, *_ in dots) == tested
    for name, recall, rows, count in dots:
        mine = [p for y, p in zip(made.labels, made.predictions, strict=True) if y == name]
        assert int(rows) == len(mine)
        assert float(recall) == pytest.approx(100 * mine.count(name) / len(mine), abs=0.51)
        assert int(count) == made.train_counts[made.classes.index(name)]


@pytest.mark.parametrize(
    "case",
    [
        {"rows": 0},
        {"rows": 1, "classes": 1},
        {"scores": None, "confidence": None, "base_scores": None, "retrieval_scores": None},
        {"train_counts": None, "neighbour_ids": None, "neighbour_labels": None,
         "neighbour_scores": None},
        {"base_scores": None},
        {"retrieval_scores": None},
        {"labels": None},
    ],
)  # fmt: skip
def test_degenerate_runs_have_a_page(make_predictions, tmp_path, case):
    files, page = written(build_report([make_predictions(**case)]), tmp_path)
    assert "Where these numbers come from" in page.text
    assert not re.search(r"\b(nan|NaN|None|inf)\b", " ".join(page.text))
    assert "NaN" not in files.metrics.read_text()


def test_empty_group_is_said_in_words(make_predictions, tmp_path):
    made = make_predictions(classes=3, tested=2, train_counts=np.array([500, 50, 1]), scores=None)
    report = build_report([made])
    files, page = written(report, tmp_path)
    assert "no rows" in page.text
    assert json.loads(files.metrics.read_text())["runs"][0]["headline"]["few"]["value"] is None
    assert "no rows" in summarise(report.metrics)


def test_table_of_classes_round_trips_and_defuses_formulas(tmp_path):
    names = ["=1+1", "+a", "-a", "@a", " =b", "\t=c", "a=b", "b, c"]
    made = Predictions(
        name="=run",
        ids=[str(i) for i in range(9)],
        labels=[*names[:7], "=1+1", "=1+1"],
        predictions=[*names[1:], "@a", "@a"],
        classes=names,
        train_counts=np.arange(8),
    )
    files = write_report(build_report([made]), tmp_path)
    with files.per_class.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["class"] for row in rows] == [
        "'=1+1", "'+a", "'-a", "'@a", "' =b", "'\t=c", "a=b", "b, c",
    ]  # fmt: skip
    assert [names[int(row["class_index"])] for row in rows] == names
    assert {row["run"] for row in rows} == {"'=run"}
    first = rows[0]
    assert (first["test_rows"], first["main_confusion"]) == ("3", "'@a")
    assert first["main_confusion_rows"] == "2"
    assert rows[7]["recall"] == "", "a class without test rows has no recall"


def test_examples_show_pictures_and_say_why_there_is_none(make_predictions, tmp_path):
    Image.new("RGBA", (900, 300), (255, 0, 0, 128)).save(tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_text("no image")
    made = make_predictions(
        rows=60,
        image_folder=str(tmp_path),
        images=["good.png", "bad.jpg", "gone.png", "/etc/passwd", "../x.png", None] * 10,
        neighbour_images=[["good.png", "http://x/y.png", None]] * 60,
    )
    report = build_report([made], examples=60)
    reasons = {one.picture.reason for kind in report.examples[0] for one in kind.examples}
    assert reasons == {
        None, "not a readable image", "missing", "outside the image folder", "no image",
    }  # fmt: skip
    near = {
        one.picture.reason
        for kind in report.examples[0]
        for shown in kind.examples
        for one in shown.neighbours
    }
    assert near == {None, "not fetched", "no image"}
    _, page = written(report, tmp_path / "out")
    assert page.all("img")
    assert all(image["alt"] for image in page.all("img"))


def test_examples_are_of_their_kind_and_spread_over_classes(make_predictions):
    made = make_predictions(rows=200)
    names = list(made.classes)
    for kind in build_report([made], examples=5).examples[0]:
        for one in kind.examples:
            row = made.ids.index(one.id)
            assert (one.label, one.prediction) == (made.labels[row], made.predictions[row])
            base = names[int(made.base_scores[row].argmax())]
            assert one.base == base
            assert (one.label == one.prediction) == (kind.title == "Rescued by retrieval")
            if kind.title == "Harmed by retrieval":
                assert base == one.label
        assert len({one.label for one in kind.examples}) == 5


def test_runs_need_names_of_their_own(make_predictions):
    with pytest.raises(ReportFault, match="two runs are named 'run 0'"):
        build_report([make_predictions(), make_predictions()])
    with pytest.raises(ReportFault, match="nothing to report"):
        build_report([])


def test_fills_alone_are_a_report(tmp_path):
    fills = evaluate_fills(["colour"] * 3, ["r", "r", "b"], ["r", "b", None], [0.9, 0.8, 0.1])
    files, page = written(build_report([], fills=fills), tmp_path)
    said = json.loads(files.metrics.read_text())
    assert said["runs"] == []
    assert said["fills"]["colour"]["precision"] == 0.5
    assert said["fills_total"]["abstained"] == 1
    assert "Filled attributes" in page.text
