"""Tables that have their own way with what is written: types, triggers, constraints, rights.

Each is filled by a role with little rights, on a real server. Either the job is refused before
the first row is written, or what it says that the table holds is what it holds, and undo gives the
table back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.job import fill_postgres
from rac.attributes.postgres.undo import TakenBack, undo_postgres
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder, read_json
from rac.attributes.schema import parse_schema
from rac.errors import InputError, JobFailed
from tests.hostile.postgres_cases import CASES, Case
from tests.hostile.table import Promise
from tests.postgres import COLOURS, INSTALLED, ROWS, Server, dump, make_items, running_server
from tests.toy import ToyEncoder, write_toy_images

pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL server is installed")

PROMISES = [
    Promise(
        "a table in PostgreSQL that has its own way",
        "the job is refused before the first row is written, or a row that the database refuses is "
        "left alone and told, the record says what the table "
        "holds and undo gives it back byte for byte; what people changed since stays theirs",
        "types that shorten or round, triggers, rules, constraints looked at in the end, "
        "partitions, row-level security, missing rights, a lost journal, renamed columns",
        len(CASES),
    )
]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_toy_images(folder, [COLOURS[row % 4] for row in range(ROWS)])
    return folder


@pytest.fixture(autouse=True)
def _as_filler(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", server.host)
    monkeypatch.setenv("PGUSER", "filler")
    # No power is cut here, and waiting for the disk is most of what such a small job does.
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def texts(server: Server, address: Address, key: str, column: str) -> dict[str, str | None]:
    """Give what each cell of a column says, by its row's key."""
    from psycopg import sql

    with server.connect() as owner:
        query = sql.SQL("SELECT {}::text, {}::text FROM {}").format(
            sql.Identifier(key),
            sql.Identifier(column),
            sql.Identifier(*filter(None, (address.schema, address.table))),
        )
        return dict(owner.execute(query).fetchall())


def undo(run: Path) -> TakenBack:
    with RunFolder.locked(run) as folder:
        return undo_postgres(folder)


def names_of(shop: Path) -> list[str]:
    return sorted(path.name for path in shop.glob("*.png"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_table_with_its_own_way_is_refused_or_given_back(
    case: Case, server: Server, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rac.attributes.postgres.statements._BATCH_CELLS", 7 if case.single else 99)
    make_items(server, names_of(shop), case.missing)
    try:
        server.sql(*case.setup)
        _try(case, server, shop, tmp_path / "run")
    finally:
        server.sql(*case.reset)


def _try(case: Case, server: Server, shop: Path, run: Path) -> None:
    address = Address.parse(f"postgresql:///postgres?table={case.table}")
    named = [part for part in (address.schema, address.table) if part]

    def table() -> bytes:
        return dump(server, *named, without=case.effects)

    before = table()

    def fill():
        return fill_postgres(
            address,
            parse_schema(f"attributes: {case.schema}"),
            ToyEncoder(),
            run,
            FillOptions(progress=False),
            base=shop,
            journal=case.journal,
        )

    if case.refused is not None:
        with pytest.raises(case.error, match=f"(?s){case.refused}"):
            fill()
        assert table() == before
        return
    summary = fill()
    database = summary.database
    assert database is not None
    written = pq.read_table(run / "written.parquet").to_pylist()
    assert len(written) == summary.cells_written
    (column,) = {line["column"] for line in written} or {"colour"}
    now = texts(server, address, summary_key(run), column)
    assert all(now[line["key"]] == line["stored"] for line in written)
    odd = [line for line in written if line["stored"] != line["sent"]]
    assert len(odd) == database.stored_otherwise
    assert bool(odd) == case.otherwise
    assert (database.left > 0) == case.left
    assert (database.refused > 0) == (case.single is not None)
    for one in database.refused_examples:
        assert str(case.single) in one["error"]
        assert now[one["key"]] in (None, "")
    assert tuple(database.side_effects) == case.effects
    assert database.journal.endswith("applied.jsonl") == case.local
    assert case.left or case.single or summary.cells_written > 30
    filled = table()
    assert (filled != before) == any(line["stored"] != line["before"] for line in written)
    server.sql(*case.since)
    if case.stays is not None:
        with pytest.raises((InputError, JobFailed), match=f"(?s){case.stays}"):
            undo(run)
        server.sql(*case.back)
        # Nothing is half done.
        assert table() == filled
    taken = undo(run)
    assert (taken.cells, taken.kept) == (summary.cells_written - case.kept, case.kept)
    after = table()
    if case.since and case.stays is None:
        make_items(server, names_of(shop))
        server.sql(*case.since)
        before = table()
    assert after == before
    assert undo(run).already


def summary_key(run: Path) -> str:
    return str(read_json(run / "run.json")["options"]["key"])


SPOILT_JOURNALS = {
    "entries are dropped": (
        "CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER spoil BEFORE INSERT ON rac.rac_journal "
        "FOR EACH ROW EXECUTE FUNCTION spoil()",
    ),
    "entries are changed": (
        "CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN NEW.stored := upper(NEW.stored); RETURN NEW; END'",
        "CREATE TRIGGER spoil BEFORE INSERT ON rac.rac_journal "
        "FOR EACH ROW EXECUTE FUNCTION spoil()",
    ),
    "it is lost in a crash": ("ALTER TABLE rac.rac_journal SET UNLOGGED",),
    "entries are hidden": ("ALTER TABLE rac.rac_journal ENABLE ROW LEVEL SECURITY",),
}


@pytest.mark.parametrize("spoil", SPOILT_JOURNALS.values(), ids=list(SPOILT_JOURNALS))
@pytest.mark.parametrize("noticed", [True, False], ids=["before", "amid"])
def test_a_journal_that_does_not_keep_what_is_written_is_no_journal(
    spoil: tuple[str, ...],
    noticed: bool,
    server: Server,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Guards against fills that nothing could take back, in the name of a table with a trigger."""
    make_items(server, names_of(shop), None)

    def fill(run: str, journal: str | None = None) -> None:
        fill_postgres(
            Address.parse("postgresql:///postgres?table=public.items"),
            parse_schema("attributes: {colour: {target_precision: 0.9}}"),
            ToyEncoder(),
            tmp_path / run,
            FillOptions(progress=False),
            base=shop,
            journal=journal,
        )

    before = dump(server, "items")
    fill("first")
    undo(tmp_path / "first")
    server.sql(*spoil)
    try:
        if not noticed:
            if len(spoil) == 1:
                pytest.skip("such a table keeps what is written, as long as it stands")
            monkeypatch.setattr("rac.attributes.postgres.journal_table._unusable", lambda *_: "")
            with pytest.raises(JobFailed, match="does not keep what is written"):
                fill("second")
        else:
            with pytest.raises(InputError, match="a journal must be a plain table"):
                fill("second", "rac")
        assert dump(server, "items") == before
    finally:
        server.sql("DROP SCHEMA rac CASCADE", "CREATE SCHEMA rac AUTHORIZATION filler")
