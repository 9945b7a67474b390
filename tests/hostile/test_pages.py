"""Pages about hostile runs: nothing in them runs, and nothing is loaded from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from eval.predictions import Predictions, write_predictions
from eval.run_record import FileStamp
from eval.sealed_json import seal
from rac.attributes.ledger import LEDGER_SCHEMA
from tests.eval.browser import CHROMIUM, Browser
from tests.hostile import runs
from tests.hostile.runs import ROWS, Outcome, copy_run, fill, rac_command, write_shop
from tests.hostile.table import Promise

toy = runs.toy

# Harmless: what runs would set a mark on the page, and what loads would ask this machine.
MARK = "document.title='run'"
ASKED = "http://127.0.0.1:9/asked"
TEXTS = [
    f"<script>{MARK}</script>",
    f"</td></table><script>{MARK}</script>",
    f"</title><script>{MARK}</script>",
    f"</style><script>{MARK}</script>",
    f"--><script>{MARK}</script><!--",
    f"]]><script>{MARK}</script>",
    f"<img src=x onerror=\"{MARK}\">",
    f"\" onmouseover=\"{MARK}",
    f"' onfocus='{MARK}' autofocus='",
    f"<svg onload={MARK}>",
    f"<svg><script>{MARK}</script></svg>",
    f"<a href=\"javascript:{MARK}\">x</a>",
    f"<iframe srcdoc=\"<script>{MARK}</script>\"></iframe>",
    f"<iframe src={ASKED}></iframe>",
    f"<img src={ASKED}>",
    f"<link rel=stylesheet href={ASKED}>",
    f"<style>@import '{ASKED}';</style>",
    f"x\" style=\"background:url({ASKED})",
    f"<object data={ASKED}></object>",
    f"<meta http-equiv=refresh content=\"0;url={ASKED}\">",
    "<meta http-equiv=Content-Security-Policy content=\"default-src *\">",
    f"<base href={ASKED}>",
    f"<form action={ASKED}><button autofocus>x</button></form>",
    f"{{{{ ''.__class__ }}}}{{% for x in y %}}<script>{MARK}</script>",
    f"\u003cscript\u003e{MARK}\u003c/script\u003e",
    f"&lt;script&gt;{MARK}&lt;/script&gt;",
    f"<scr\x00ipt>{MARK}</scr\x00ipt>",
    f"\u202e<script>{MARK}</script>",
    "\uff1cscript\uff1e",
    ASKED,
    f"data:text/html,<script>{MARK}</script>",
    "file:///etc/hostname",
]  # fmt: skip
_LOADS = ("src", "srcset", "href", "data", "action", "formaction", "poster", "background", "srcdoc")


class Page(HTMLParser):
    """What a browser finds in a page that may run or load, besides text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.scripts: list[str] = []
        self.policies: list[str] = []
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.styles: list[str] = []
        self.text: list[str] = []
        self._in: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.tags.add(tag)
        self._in = tag if tag in ("script", "style") else None
        self.handlers += [name for name in given if name.startswith("on")]
        self.loads += [given[name] for name in _LOADS if name in given]
        self.styles += [given["style"]] if "style" in given else []
        if tag == "meta" and "http-equiv" in given:
            assert given["http-equiv"] == "Content-Security-Policy"
            self.policies.append(given["content"])

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts.append(data)
        elif self._in == "style":
            self.styles.append(data)
        else:
            self.text.append(data)


def require_harmless(path: Path, shown: str) -> None:
    """Refuse a page that runs or loads anything but its own."""
    page = Page(path.read_text("utf-8"))
    assert len(page.policies) == 1
    rules = dict(rule.split(" ", 1) for rule in page.policies[0].split("; "))
    assert rules["default-src"] == "'none'"
    assert (rules["img-src"], rules["base-uri"], rules["form-action"]) == (
        "data:", "'none'", "'none'",
    )  # fmt: skip
    assert not page.handlers
    assert not page.tags & {"iframe", "object", "embed", "base", "form", "frame", "audio", "video"}
    assert all(one.startswith(("data:image/", "data:,", "#")) for one in page.loads), page.loads
    assert not [one for one in page.styles if "url(" in one or "@import" in one]
    # The scripts are those that the policy names by their digests, one at most.
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(one.encode()).digest()).decode()}'"
        for one in page.scripts
    ]
    assert digests == ([rules["script-src"]] if "script-src" in rules else [])
    assert not [one for one in page.scripts if MARK in one]
    # Not vacuous: the text is there, as text.
    assert shown in "".join(page.text)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    fill(write_shop(folder / "shop"), folder / "run")
    return folder


def poison(run: Path, text: str) -> None:
    """Have every text of a run's record and ledger say something else, and vouch for it."""
    ledger = run / "ledger.parquet"
    lines = pq.read_table(ledger)
    metadata = lines.schema.metadata
    poisoned = []
    for line in lines.to_pylist():
        line |= {"attribute": text, "value": text, "before": text, "reason": text, "source": text}
        line["prompts"] = text
        line["alternatives"] = [
            {"value": text, "probability": chance} for chance in (0.5, None, float("nan"))
        ]
        poisoned.append(line)
    pq.write_table(pa.Table.from_pylist(poisoned, LEDGER_SCHEMA.with_metadata(metadata)), ledger)
    said = json.loads((run / "run.json").read_text())
    figures = said["summary"]["attributes"]["colour"]
    said |= {"encoder": text, "encoder_identity": text, "schema_hash": text, "created": text}
    said["memory"] = text
    said["summary"]["attributes"] = {text: figures}
    schema = said["schema"]["attributes"]["colour"]
    said["schema"]["attributes"] = {text: {**schema, "column": "colour"}}
    said["ledger"] = FileStamp.of(ledger).model_dump()
    (run / "run.json").write_text(json.dumps(seal(said)))


def explain(run: Path, page: Path) -> Outcome:
    return rac_command("fill", "explain", run, "sku-3", "-o", page)


@pytest.mark.parametrize("text", TEXTS)
def test_a_page_that_explains_shows_hostile_text_as_text(
    text: str, made: Path, tmp_path: Path, toy: None
) -> None:
    run = copy_run(made / "run", tmp_path / "run")
    poison(run, text)
    outcome = explain(run, tmp_path / "page.html")
    assert outcome.code == 0, outcome.text
    require_harmless(tmp_path / "page.html", text)


@pytest.mark.parametrize("text", TEXTS)
def test_a_report_shows_hostile_text_as_text(
    text: str, made: Path, tmp_path: Path, toy: None
) -> None:
    run = copy_run(made / "run", tmp_path / "run")
    poison(run, text)
    outcome = rac_command("report", run, "-o", tmp_path / "out")
    assert outcome.code == 0, outcome.text
    require_harmless(tmp_path / "out" / "report.html", text)
    hostile = Predictions(
        name=text,
        ids=[text, "2", "3"],
        labels=[text, text, "a"],
        predictions=[text, "a", "a"],
        classes=[text, "a"],
        images=[text, ASKED, "../../etc/hostname"],
        neighbour_ids=[[text]] * 3,
        neighbour_labels=[[text]] * 3,
        neighbour_images=[[ASKED]] * 3,
        neighbour_scores=[[0.5]] * 3,
        base_predictions=[text, "a", text],
        retrieval_predictions=["a", text, text],
        confidence=[0.9, 0.8, 0.7],
        metadata={"encoder": text, text: text},
    )
    file = write_predictions(hostile, tmp_path / "found.parquet")
    outcome = rac_command("report", file, "-o", tmp_path / "classes")
    assert outcome.code == 0, outcome.text
    require_harmless(tmp_path / "classes" / "report.html", text)


ODD = {
    "a decision that is none": {"decision": "obeyed"},
    "an attribute that the run has not": {"attribute": "shade"},
    "no decision": {"decision": None},
    "no id": {"id": None},
    "a row before the first": {"row": -5},
    "a row behind the last": {"row": 10**12},
    "another's row": {"row": 5},
}


@pytest.mark.parametrize("name", ODD)
def test_a_ledger_that_vouches_for_nonsense_is_named(
    name: str, made: Path, tmp_path: Path, toy: None
) -> None:
    run = copy_run(made / "run", tmp_path / "run")
    ledger = run / "ledger.parquet"
    table = pq.read_table(ledger)
    lines = [{**line, **ODD[name]} if line["id"] == "sku-3" else line for line in table.to_pylist()]
    loose = pa.schema([field.with_nullable(True) for field in LEDGER_SCHEMA])
    pq.write_table(pa.Table.from_pylist(lines, loose.with_metadata(table.schema.metadata)), ledger)
    said = json.loads((run / "run.json").read_text())
    said["ledger"] = FileStamp.of(ledger).model_dump()
    (run / "run.json").write_text(json.dumps(seal(said)))
    outcome = explain(run, tmp_path / "page.html")
    assert outcome.code == 2, outcome.text
    assert "ledger.parquet" in outcome.text or "row" in outcome.text
    assert not (tmp_path / "page.html").exists()
    undone = rac_command("fill", "undo", run)
    if "row" in ODD[name] or None in ODD[name].values():
        assert undone.code == 2, undone.text
        assert not (run / "restored.csv").exists()


NEIGHBOURS = [[-1], [10**15], [3] * 1000, [None], []]


@pytest.mark.parametrize("rows", NEIGHBOURS, ids=str)
def test_neighbours_from_nowhere_are_left_out(
    rows: list[int | None], made: Path, tmp_path: Path, toy: None
) -> None:
    run = copy_run(made / "run", tmp_path / "run")
    ledger = run / "ledger.parquet"
    table = pq.read_table(ledger)
    lines = [{**line, "neighbour_rows": rows} for line in table.to_pylist()]
    schema = LEDGER_SCHEMA.with_metadata(table.schema.metadata)
    pq.write_table(pa.Table.from_pylist(lines, schema), ledger)
    said = json.loads((run / "run.json").read_text())
    said["ledger"] = FileStamp.of(ledger).model_dump()
    (run / "run.json").write_text(json.dumps(seal(said)))
    assert explain(run, tmp_path / "page.html").code == 0
    require_harmless(tmp_path / "page.html", "sku-3")


def test_an_image_reference_of_a_table_stays_within_its_folder(
    made: Path, tmp_path: Path, toy: None
) -> None:
    shop = tmp_path / "shop"
    table = write_shop(shop)
    marker = tmp_path / "marker.png"
    marker.write_bytes((shop / "0000-red.png").read_bytes())
    fill(table, tmp_path / "run")
    text = table.read_text()
    for reference in (str(marker), "../marker.png", ASKED, marker.as_uri()):
        table.write_text(text.replace("0003-yellow.png", reference))
        assert explain(tmp_path / "run", tmp_path / "page.html").code == 0
        page = (tmp_path / "page.html").read_text()
        # Neither the marker, nor what the address would give: words in place of the picture.
        before_decisions = page.partition("<section>")[0]
        assert "<img" not in before_decisions
        assert 'class="none"' in before_decisions
        require_harmless(tmp_path / "page.html", "sku-3")


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_browser_runs_and_asks_nothing(made: Path, tmp_path: Path, toy: None) -> None:
    run = copy_run(made / "run", tmp_path / "run")
    poison(run, " ".join(TEXTS))
    assert explain(run, tmp_path / "page.html").code == 0
    assert rac_command("report", run, "-o", tmp_path / "out").code == 0
    browser = Browser()
    try:
        for page in (tmp_path / "page.html", tmp_path / "out" / "report.html"):
            browser.open(page)
            assert not browser.faults
            assert browser.run("document.title") != "run"
    finally:
        browser.close()


assert ROWS > 5, "the cases are about row 3, and row 5 is another's"

PROMISES = [
    Promise(
        "pages about hostile runs",
        "the explanation of a fill and the report show text as text under one content-security "
        "policy; nothing runs but the report's own script, nothing is loaded from elsewhere; a "
        "ledger of nonsense is named",
        "mark-up, handlers, addresses, templates and odd signs as every name, value and reason; "
        "decisions, rows and neighbours that cannot be",
        2 * len(TEXTS) + len(ODD) + len(NEIGHBOURS),
    ),
]
