"""Preparing: once, whole, counted, and from wherever the files are."""

from __future__ import annotations

import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rac.cards import (
    Card,
    find_source,
    load_card,
    open_card_table,
    prepare,
    prepare_card,
    prepared_home,
    read_prepared,
)
from rac.cards.card import Source, Split
from rac.errors import InputError, JobFailed
from rac.tables import open_table


def test_digits_are_always_there() -> None:
    folder = prepare("digits")
    assert folder == prepared_home() / "digits"
    state = read_prepared(folder)
    assert state is not None
    assert state.differences == ()
    assert sum(state.rows.values()) == 1797
    table = open_table("digits")
    items = [item for batch in table.batches() for item in table.items(batch)]
    assert len({item.id for item in items}) == 1797
    assert items[0].label in {"zero", "one", "two"}
    assert open_table("digits:test").num_rows() == state.rows["test"]
    assert open_table("digits", split="val").num_rows() == state.rows["val"]


def test_preparing_twice_does_nothing(tmp_path: Path) -> None:
    folder = prepare("digits", tmp_path / "out")
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert prepare("digits", tmp_path / "out") == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_lost_file_or_another_recipe_prepares_again(tmp_path: Path) -> None:
    folder = prepare("digits", tmp_path)
    (folder / "val.parquet").unlink()
    prepare("digits", tmp_path)
    rows = pq.read_table(folder / "val.parquet")["id"].to_pylist()
    card = load_card("digits")
    other = card.model_copy(update={"recipe": card.recipe.model_copy(update={"seed": 7})})
    prepare_card(other, tmp_path)
    assert pq.read_table(folder / "val.parquet")["id"].to_pylist() != rows


def wrong(card: Card) -> Card:
    splits = (Split(name="train", rows=5, classes=3), *card.splits[1:])
    return card.model_copy(update={"splits": splits})


def test_counts_that_differ_fail_and_leave_nothing(tmp_path: Path) -> None:
    card = wrong(load_card("digits"))
    with pytest.raises(JobFailed, match=r"1,259 rows, the card says 5.*10 classes"):
        prepare_card(card, tmp_path)
    assert not (tmp_path / "digits").exists()
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_counts_that_may_differ_are_noted(tmp_path: Path) -> None:
    card = wrong(load_card("digits")).model_copy(update={"counts": "indicative"})
    state = read_prepared(prepare_card(card, tmp_path))
    assert state is not None
    assert len(state.differences) == 2


def test_unknown_splits_and_columns() -> None:
    with pytest.raises(InputError, match="the splits are: train, val, test"):
        open_card_table("digits", split="dev")
    with pytest.raises(InputError, match="no column 'coarse'"):
        open_table("digits:val", label="coarse")


def test_missing_files_say_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAC_DATA_HOME", raising=False)
    with pytest.raises(JobFailed, match=r"image-net\.org"):
        prepare("imagenet-lt")


def test_data_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = load_card("places-lt")
    monkeypatch.setenv("RAC_DATA_HOME", str(tmp_path))
    assert find_source(card) is None
    (tmp_path / "places-lt").mkdir()
    assert find_source(card) is None, "the lists are not there yet"
    for name in card.source.needs:
        (tmp_path / "places-lt" / name).write_text("")
    assert find_source(card) == tmp_path / "places-lt"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """A server with a small copy of the Fashion-MNIST repository in an archive, and a bad one."""
    shop = tmp_path / "web"
    shop.mkdir()
    for name, member in (("good", "top/data/labels.gz"), ("evil", "../../escaped.txt")):
        with tarfile.open(shop / f"{name}.tar.gz", "w:gz") as tar:
            entry = tarfile.TarInfo(member)
            entry.size = 5
            tar.addfile(entry, io.BytesIO(b"hello"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            return

    handler = partial(Quiet, directory=str(shop))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def from_archive(url: str) -> Card:
    source = Source(
        url=url, folders=("somewhere",), needs=("labels.gz",), archive=url, inside="top/data"
    )
    return load_card("fashion-mnist").model_copy(update={"source": source})


def test_an_archive_is_fetched_once(archive: str, tmp_path: Path) -> None:
    from rac.cards.sources import require_source

    card = from_archive(f"{archive}/good.tar.gz")
    folder = require_source(card)
    assert (folder / "labels.gz").read_bytes() == b"hello"
    assert require_source(card.model_copy(update={"name": "another"})) == folder


@pytest.mark.parametrize("name", ["evil", "none"])
def test_a_bad_archive_leaves_nothing(archive: str, tmp_path: Path, name: str) -> None:
    from rac.cards.sources import require_source

    with pytest.raises(JobFailed, match="apt-get install dataset-fashion-mnist"):
        require_source(from_archive(f"{archive}/{name}.tar.gz"))
    assert list(tmp_path.rglob("escaped.txt")) == []
    assert list((tmp_path / "cache" / "sources").iterdir()) == []
