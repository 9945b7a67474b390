"""A disk that is full while a table is written: the path is named, nothing half written stays."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.tables import Table, open_table, write_like
from tests.hostile import runs
from tests.hostile.runs import fill, rac_command, write_shop
from tests.hostile.table import Promise

toy = runs.toy
ROWS = 4000


def _texts() -> dict[str, list[str]]:
    # Text that does not compress to nothing.
    return {"id": [str(row) for row in range(ROWS)], "note": [f"{row**5:x}" for row in range(ROWS)]}


def as_csv(folder: Path) -> Path:
    lines = [",".join(row) for row in zip(*_texts().values(), strict=True)]
    (folder / "items.csv").write_text("id,note\n" + "\n".join(lines) + "\n")
    return folder / "items.csv"


def as_jsonl(folder: Path) -> Path:
    rows = pa.table(_texts()).to_pylist()
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "items.jsonl"


def as_parquet(folder: Path) -> Path:
    pq.write_table(pa.table(_texts()), folder / "items.parquet")
    return folder / "items.parquet"


def as_saved_data_set(folder: Path) -> Path:
    import datasets

    datasets.disable_progress_bars()
    datasets.Dataset(pa.table(_texts())).save_to_disk(str(folder / "items"))
    return folder / "items"


FORMATS = [as_csv, as_jsonl, as_parquet, as_saved_data_set]


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Have every file that grows beyond so many bytes fail to be written, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, kept)


def copied(table: Table, out: Path) -> Path:
    return write_like(table, out, "filled", table.batches(512))


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("write", FORMATS)
def test_a_copy_of_a_table(write, there: bool, tmp_path: Path) -> None:
    table = open_table(write(tmp_path))
    out = tmp_path / "out"
    out.mkdir()
    target = out / f"filled{table.suffix}"
    if there:
        target.mkdir() if table.suffix == "" else target.write_text("the run before")
    with small_disk(8192), pytest.raises(OSError, match=str(target)) as error:
        copied(table, out)
    assert error.value.filename == str(target)
    assert [path.name for path in out.iterdir()] == ([target.name] if there else [])
    if there and target.is_file():
        assert target.read_text() == "the run before"
    # Not vacuous: with room it is written.
    assert len(list(open_table(copied(table, out)).batches())) > 0


def test_a_fill_says_which_file_and_leaves_the_run_before(tmp_path: Path, toy: None) -> None:
    table = write_shop(tmp_path / "shop")
    table.write_text(table.read_text().replace("colour\n", "colour,note\n", 1).replace(
        "\n", f",{'x' * 2000}\n").replace(f"note,{'x' * 2000}", "note"))  # fmt: skip
    run = tmp_path / "run"
    fill(table, run)
    names = ("filled.csv", "ledger.parquet", "run.json")
    before = [(run / name).read_bytes() for name in names]
    schema = table.with_name("schema.yaml")
    with small_disk(60_000):
        outcome = rac_command("fill", table, "--schema", schema, "-o", run, "--seed", "1")
    assert outcome.code == 1, outcome.text
    assert str(run / "filled.csv") in outcome.text
    assert [(run / name).read_bytes() for name in names] == before
    # The run before is whole: it can be taken back while the other one waits to be gone on with.
    assert rac_command("fill", "undo", run).code == 0
    assert (run / "restored.csv").read_bytes() == table.read_bytes()


PROMISES = [
    Promise(
        "full disks",
        "the message names the file that was being written; what was there before is whole, and "
        "nothing half written stays",
        "tables of every format copied onto a disk without room, over nothing and over an older "
        "copy; a whole fill",
        2 * len(FORMATS) + 1,
    ),
]
