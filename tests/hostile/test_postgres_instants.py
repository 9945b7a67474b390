"""A job on PostgreSQL that is killed, cut off or rolled back at any instant is given back whole.

Fifty instants, drawn with a fixed seed: a statement of the job, and up to some milliseconds after
its beginning. Among the tables are one whose trigger changes every value, one whose column pads,
one that changes values when the transaction ends, and one whose journal lies in the run's folder.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from rac.attributes.postgres.address import Address
from rac.attributes.postgres.job import fill_postgres
from rac.attributes.postgres.undo import TakenBack, undo_postgres
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import parse_schema
from rac.errors import InputError, JobFailed
from tests.hostile.postgres_cases import AGAIN, DEFERRED, UPPER, trigger, typed
from tests.hostile.table import Promise
from tests.killing import fill_database_struck, run_until_killed, striking
from tests.postgres import COLOURS, INSTALLED, ROWS, Server, dump, make_items, running_server
from tests.toy import ToyEncoder, write_toy_images

pytest.importorskip("psycopg")
pytestmark = pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL server is installed")

TABLES = {
    "a trigger that changes values": trigger(UPPER),
    "a narrow column that pads": typed("char(7)"),
    "values changed when the transaction ends": trigger(AGAIN, "AFTER UPDATE", constraint=DEFERRED),
    "the journal in the folder": ("DROP SCHEMA rac", *trigger(UPPER)),
}
COUNTED = (
    "DROP SEQUENCE IF EXISTS calls",
    "CREATE SEQUENCE calls",
    "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
    "$$ BEGIN IF nextval('calls') = NUMBER THEN RAISE EXCEPTION 'not now'; END IF; RETURN NEW; "
    "END $$",
    "CREATE CONSTRAINT TRIGGER last AFTER UPDATE ON items DEFERRABLE INITIALLY DEFERRED "
    "FOR EACH ROW EXECUTE FUNCTION refuse()",
)
WAYS = ("killed",) * 20 + ("cut off",) * 16 + ("server stopped",) * 6 + ("rolled back",) * 8
_LONGEST = 0.004


@dataclass(frozen=True)
class Instant:
    """When and how a job is struck.

    Attributes:
        way: what happens to it.
        table: which table it fills.
        share: in [0, 1), of the job's statements that are done before.
        delay: seconds after the beginning of the next.
        goes_on: whether the job is run to its end before it is taken back.
    """

    way: str
    table: str
    share: float
    delay: float
    goes_on: bool


_draw = random.Random(22)
CASES = [
    Instant(
        way,
        list(TABLES)[number % len(TABLES)],
        _draw.random(),
        _draw.uniform(0, _LONGEST),
        _draw.random() < 0.5,
    )
    for number, way in enumerate(WAYS)
]

PROMISES = [
    Promise(
        "a job on PostgreSQL, at any instant",
        "after undo the table is byte for byte the one before, also where the job went on first",
        "killed, its connection cut, the server stopped as if by a power cut, its transaction "
        "rolled back; with triggers that change values and a narrow column",
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


@pytest.fixture
def address(server: Server, monkeypatch: pytest.MonkeyPatch) -> Address:
    monkeypatch.setenv("PGHOST", server.host)
    monkeypatch.setenv("PGUSER", "filler")
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr("rac.attributes.postgres.statements._BATCH_CELLS", 7)
    return Address.parse("postgresql:///postgres?table=public.items")


def fill(address: Address, shop: Path, run: Path) -> None:
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    fill_postgres(address, schema, ToyEncoder(), run, FillOptions(progress=False), base=shop)


def undo(run: Path) -> TakenBack:
    with RunFolder.locked(run) as folder:
        return undo_postgres(folder)


def make(server: Server, shop: Path, table: str) -> bytes:
    make_items(server, sorted(path.name for path in shop.glob("*.png")))
    server.sql(*TABLES[table])
    return dump(server, "items")


@dataclass(frozen=True)
class Whole:
    """An undisturbed job on one of the tables.

    Attributes:
        embeddings: of its images, which every other job starts with.
        statements: how many there were.
        filled: the table afterwards.
    """

    embeddings: Path
    statements: int
    filled: bytes


_wholes: dict[str, Whole] = {}


def whole(table: str, address: Address, server: Server, shop: Path, folder: Path) -> Whole:
    """Give the undisturbed job on a table."""
    if table not in _wholes:
        make(server, shop, table)
        with striking(0, 0, lambda: None) as seen:
            fill(address, shop, folder)
        _wholes[table] = Whole(folder / "embeddings", seen[0], dump(server, "items"))
    return _wholes[table]


@pytest.mark.parametrize(
    "instant", CASES, ids=lambda one: f"{one.way}, {one.table}, {one.share:.3f}"
)
def test_a_job_struck_at_any_instant_is_given_back_whole(
    instant: Instant,
    address: Address,
    server: Server,
    shop: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    undisturbed = whole(instant.table, address, server, shop, tmp_path_factory.mktemp("whole"))
    number = 1 + int(instant.share * undisturbed.statements)
    # A job that got through before it was struck is no trial: it is tried again, without delay.
    for attempt, delay in enumerate((instant.delay, 0.0, 0.0)):
        before = make(server, shop, instant.table)
        assert before != undisturbed.filled
        run = tmp_path / f"run{attempt}"
        shutil.copytree(undisturbed.embeddings, run / "embeddings")
        if strike(instant.way, instant.share, number, delay, address, server, shop, run):
            break
        server.sql("DROP TRIGGER IF EXISTS last ON items")
        undo(run)
    else:
        pytest.fail("the job got through each time before it was struck")
    server.sql("DROP TRIGGER IF EXISTS last ON items")
    if instant.goes_on:
        fill(address, shop, run)
        assert dump(server, "items") == undisturbed.filled
    if (run / "postgres.json").exists():
        undo(run)
    else:
        # It was struck before there was anything of a run.
        with pytest.raises(InputError, match="no finished run"):
            undo(run)
    assert dump(server, "items") == before


def strike(
    way: str,
    share: float,
    number: int,
    delay: float,
    address: Address,
    server: Server,
    shop: Path,
    run: Path,
) -> bool:
    """Run a job and strike it at a statement; say whether it was struck before its end."""
    if way == "killed":
        return run_until_killed(
            fill_database_struck, str(address), str(shop), str(run), number, delay
        )
    if way == "rolled back":
        # The rehearsal makes eight calls or ten, each of the 64 fills one. The transaction in which
        # the cell comes is rolled back; the job goes on with the halves of its batch, or, where
        # that was the rehearsal, ends.
        refused = 9 + int(share * 64)
        server.sql(*(one.replace("NUMBER", str(refused)) for one in COUNTED))
        with suppress(JobFailed):
            fill(address, shop, run)
        return server.value("SELECT last_value FROM calls") >= refused

    def cut() -> None:
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'rac fill'"
        )

    def stop() -> None:
        server.stop()
        server.start()

    try:
        with striking(number, delay, cut if way == "cut off" else stop, waited=not delay):
            fill(address, shop, run)
    except JobFailed:
        return True
    return False
