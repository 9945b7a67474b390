"""Records of a job on a database that were lost or damaged, and addresses that hold secrets.

What was written is known from the database's journal, or the person is told which file is gone.
It is never "nothing was done", and a fill is never learnt from.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import rac.encoders
from rac.attributes.postgres.address import Address, is_address
from rac.attributes.postgres.job import fill_postgres
from rac.attributes.postgres.journal_file import FileJournal
from rac.attributes.postgres.journal_table import TableJournal
from rac.attributes.postgres.note import read_note
from rac.attributes.postgres.session import session
from rac.attributes.postgres.undo import undo_postgres, undo_table
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import parse_schema
from rac.cli.fill import app as fill_app
from rac.errors import InputError, JobFailed
from tests.hostile.table import Promise
from tests.postgres import COLOURS, INSTALLED, ROWS, Server, dump, make_items, running_server
from tests.toy import ToyEncoder, write_toy_images

psycopg = pytest.importorskip("psycopg")
needs_server = pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL server is installed")

NOTE, RUN, LOG = "postgres.json", "run.json", "applied.jsonl"
LEDGER, SNAPSHOT = "ledger.parquet", "snapshot.parquet"
SCHEMA = parse_schema("attributes: {colour: {target_precision: 0.9}}")
HIDDEN = "hunter2"


def removed(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def garbage(path: Path) -> None:
    path.write_bytes(b"\xff\xfe{[" * 40)


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


DAMAGES = (removed, emptied, torn, flipped, garbage, deep)
KEPT_BY_DATABASE = [
    ((name,), damage, None)
    for name in (NOTE, RUN, LEDGER, SNAPSHOT)
    for damage in DAMAGES
    if damage is not deep or name == NOTE
] + [((NOTE, RUN), removed, "no finished run"), ((NOTE, RUN), garbage, RUN)]
KEPT_BY_FOLDER = [
    ((name,), damage, said)
    for name, said in ((LOG, LOG), (NOTE, NOTE), (RUN, None), (LEDGER, None), (SNAPSHOT, None))
    for damage in DAMAGES
    if damage is not deep or name in (NOTE, LOG)
]
UNDO_CASES = [(True, *case) for case in KEPT_BY_DATABASE] + [
    (False, *case) for case in KEPT_BY_FOLDER
]
FILL_CASES = [
    (database, name, damage)
    for database in (True, False)
    for name in ((NOTE, SNAPSHOT) if database else (NOTE, SNAPSHOT, LOG))
    for damage in DAMAGES
]
FLIPS = 200

SECRETS = (
    "postgresql://me:hunter2@db/shop?table=items",
    "postgresql://me:hunter2/x@db/shop?table=items",
    "postgresql://:hunter2@db/shop?table=items",
    "postgresql://me%3Ahunter2@db/shop?table=items",
    "postgresql://me%253Ahunter2@db/shop?table=items",
    "postgres://me:hunter2@db/shop?table=items",
    "POSTGRESQL://me:hunter2@db/shop?table=items",
    "postgresql+psycopg://me:hunter2@db/shop?table=items",
    "postgresql://db/shop?table=items&password=hunter2",
    "postgresql://db/shop?table=items&PASSWORD=hunter2",
    "postgresql://db/shop?table=items&%70assword=hunter2",
    "postgresql://db/shop?table=items&%2570assword=hunter2",
    "postgresql://db/shop?table=items&passwd=hunter2",
    "postgresql://db/shop?table=items&sslpassword=hunter2",
    "postgresql://db/shop?table=items&SslPassword=hunter2",
    "postgresql://db/shop?table=items&oauth_client_secret=hunter2",
    "postgresql://db/shop?table=items&scram_client_key=hunter2",
    "postgresql://db/shop?table=items&scram_server_key=hunter2",
    "postgresql://db/shop?table=items&token=hunter2",
    "postgresql://db/shop?table=items&pwd=hunter2",
    "postgresql://db/shop?table=items&dbname=postgresql%3A%2F%2Fme%3Ahunter2%40db",
    "postgresql://db/shop?table=items&dbname=host%3Ddb%20password%3Dhunter2",
    "postgresql://db/shop?table=items&options=-c%20app.secret%3Dhunter2",
    "postgresql://db/shop?table=items#password=hunter2",
    "postgresql://db/password=hunter2?table=items",
    "postgresql://me:hunter2@[db/shop?table=items",
    "postgresql://me:hunter2@db/shop",
    "postgresql://me:hunter2@db/shop?table=a&table=b",
)

PROMISES = [
    Promise(
        "the record of a job on PostgreSQL",
        "undo works from the database's journal, or says which file is gone; the next fill learns "
        "from no fill; never 0 without an error",
        "each file of the run's folder removed, emptied, torn, with a bit flipped, full of "
        "garbage or nested deeply, with the journal in the database and in the folder",
        len(UNDO_CASES) + len(FILL_CASES),
    ),
    Promise(
        "bits of the journal in the folder",
        "each is found and the file named, or undo gives the table back",
        "single bits flipped in postgres.json and applied.jsonl",
        FLIPS,
    ),
    Promise(
        "secrets in the address of a database",
        "refused before anything is connected to or written, and never repeated",
        "passwords and other secrets: encoded once or twice, in capitals, in other parameters",
        len(SECRETS),
    ),
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
    # No power is cut here, and waiting for the disk is most of what such a small job does.
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    return Address.parse("postgresql:///postgres?table=public.items")


def fill(address: Address, shop: Path, run: Path):
    return fill_postgres(address, SCHEMA, ToyEncoder(), run, FillOptions(progress=False), base=shop)


def undo(run: Path):
    with RunFolder.locked(run) as folder:
        return undo_postgres(folder)


Filled = Callable[[bool], tuple[Path, bytes, bytes]]


@pytest.fixture(scope="module")
def finished(server: Server, shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    """Give a copy of a finished run, and the table and the journal as they were then."""
    kept: dict[bool, tuple[Path, bytes, bytes]] = {}
    address = Address.parse("postgresql:///postgres?table=public.items")

    def give(database: bool) -> tuple[Path, bytes, bytes]:
        folder = tmp_path_factory.mktemp("runs")
        place = "kept_by_database" if database else "kept_by_folder"
        if database not in kept:
            make_items(server, sorted(path.name for path in shop.glob("*.png")))
            if not database:
                server.sql("DROP SCHEMA rac")
            before = dump(server, "items")
            whole = folder / "whole"
            fill(address, shop, whole)
            kept[database] = (whole, before, dump(server, "items"))
            server.sql(f"CREATE SCHEMA {place}")
            server.sql("CREATE TABLE PLACE.items AS SELECT * FROM items".replace("PLACE", place))
            if database:
                server.sql("CREATE TABLE kept_by_database.journal AS SELECT * FROM rac.rac_journal")
        whole, before, after = kept[database]
        update = "UPDATE items SET colour = k.colour FROM PLACE.items AS k WHERE k.sku = items.sku"
        server.sql(update.replace("PLACE", place), "DROP SCHEMA IF EXISTS rac CASCADE")
        if database:
            server.sql("CREATE SCHEMA rac AUTHORIZATION filler")
            with session(address, "making the journal") as connection:
                TableJournal("rac", "public.items", "sku", None).create(connection)
            server.sql(
                "INSERT INTO rac.rac_journal OVERRIDING SYSTEM VALUE "
                "SELECT * FROM kept_by_database.journal"
            )
        run = folder / "run"
        shutil.copytree(whole, run)
        return run, before, after

    return give


@needs_server
@pytest.mark.parametrize(("database", "names", "damage", "said"), UNDO_CASES)
def test_undo_works_or_names_what_is_gone(
    database: bool,
    names: tuple[str, ...],
    damage: Callable[[Path], None],
    said: str | None,
    address: Address,
    server: Server,
    finished: Filled,
) -> None:
    run, before, after = finished(database)
    for name in names:
        damage(run / name)
    if said is None:
        taken = undo(run)
        assert (taken.cells, taken.kept) == (64, 0)
        assert dump(server, "items") == before
    else:
        with pytest.raises((InputError, JobFailed), match=said):
            undo(run)
        assert dump(server, "items") == after
    if database and said is not None:
        assert undo_table(address).cells == 64
        assert dump(server, "items") == before


@needs_server
@pytest.mark.parametrize("name", [NOTE, LOG])
def test_a_link_in_the_place_of_a_record_is_not_written_through(
    name: str, address: Address, server: Server, finished: Filled, tmp_path: Path
) -> None:
    run, before, after = finished(name == NOTE)
    target = tmp_path / "elsewhere"
    shutil.move(run / name, target)
    (run / name).symlink_to(target)
    content = target.read_bytes()
    if name == LOG:
        with pytest.raises(InputError, match=f"{LOG} is a link"):
            undo(run)
    else:
        undo(run)
    assert dump(server, "items") == (after if name == LOG else before)
    assert target.read_bytes() == content


@needs_server
@pytest.mark.parametrize(("database", "name", "damage"), FILL_CASES)
def test_the_next_fill_is_refused_without_its_record(
    database: bool,
    name: str,
    damage: Callable[[Path], None],
    address: Address,
    server: Server,
    shop: Path,
    finished: Filled,
) -> None:
    run, _, after = finished(database)
    damage(run / name)
    with pytest.raises((InputError, JobFailed), match=name):
        fill(address, shop, run)
    assert dump(server, "items") == after


@needs_server
def test_a_flipped_bit_of_the_journal_is_found_or_has_no_effect(
    address: Address, server: Server, finished: Filled
) -> None:
    draw = random.Random(0)
    found = 0
    run, before, after = finished(False)
    for number in range(FLIPS):
        name = (NOTE, LOG)[number % 2]
        whole = (run / name).read_bytes()
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (run / name).write_bytes(bytes(data))
        try:
            with pytest.raises((InputError, JobFailed), match=name):
                undo(run)
            found += 1
            assert dump(server, "items") == after
        except pytest.fail.Exception:
            assert dump(server, "items") == before
            run, _, _ = finished(False)
            continue
        (run / name).write_bytes(whole)
    assert found > FLIPS // 2


@needs_server
def test_a_folder_that_is_lost_teaches_nothing_and_is_taken_back_by_address(
    address: Address, server: Server, shop: Path, tmp_path: Path, finished: Filled
) -> None:
    run, before, after = finished(True)
    known = json.loads((run / RUN).read_text())["summary"]["attributes"]["colour"]["known"]
    shutil.rmtree(run)
    again = fill(address, shop, run)
    # None of the 64 fills is among the known cells, and none is written over.
    assert again.attributes["colour"].known == known
    assert again.database is not None
    assert (again.cells_written, again.database.other_runs) == (0, 64)
    assert dump(server, "items") == after
    assert undo_table(address).cells == 64
    assert dump(server, "items") == before
    with pytest.raises(InputError, match="knows of no fills"):
        undo_table(address)


@needs_server
def test_two_folders_take_back_each_its_own(
    address: Address, server: Server, shop: Path, tmp_path: Path, finished: Filled
) -> None:
    run, before, _ = finished(True)
    server.sql("UPDATE items SET colour = NULL WHERE sku IN (3, 8)")
    second = fill(address, shop, tmp_path / "second")
    assert second.cells_written == 2
    taken = undo(run)
    assert (taken.cells, taken.kept) == (62, 2)
    assert undo(tmp_path / "second").cells == 2
    assert dump(server, "items") == before


@needs_server
@pytest.mark.parametrize("outcome", ["committed", "aborted", "forgotten"])
def test_a_transaction_that_a_kill_left_open_is_asked_about(
    outcome: str,
    address: Address,
    server: Server,
    shop: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The journal in the folder was written, and nobody noted what became of the transaction."""
    make_items(server, sorted(path.name for path in shop.glob("*.png")))
    server.sql("DROP SCHEMA rac")
    before = dump(server, "items")
    run = tmp_path / "run"

    class Killed(BaseException):
        pass

    plain = FileJournal._end

    def end(journal: FileJournal, how: str) -> None:
        raise Killed

    def no_commit(connection: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(FileJournal, "_end", end)
        if outcome == "aborted":
            patched.setattr(psycopg.Connection, "commit", no_commit)
        with pytest.raises(Killed):
            fill(address, shop, run)
    assert (dump(server, "items") == before) == (outcome == "aborted")
    if outcome == "forgotten":
        monkeypatch.setattr(
            "rac.attributes.postgres.journal_file._status", lambda connection, number: None
        )
    assert plain is FileJournal._end
    summary = fill(address, shop, run)
    assert summary.cells_written == (64 if outcome == "aborted" else 0)
    assert len(pq.read_table(run / "written.parquet")) == 64
    assert undo(run).cells == 64
    assert dump(server, "items") == before


@needs_server
@pytest.mark.parametrize(
    ("lost", "said"),
    [(None, None), (LOG, f"{LOG} is gone"), ("lines", f"{LOG} says nothing of batch")],
)
def test_runs_of_before_the_journal_are_taken_back(
    lost: str | None,
    said: str | None,
    address: Address,
    server: Server,
    finished: Filled,
) -> None:
    run, before, _ = finished(False)
    written = pq.read_table(run / "written.parquet").to_pylist()
    noted = json.loads((run / RUN).read_text())
    for newer in ("version", "ledger", "sha256"):
        del noted[newer]
    noted["options"] = {"postgres": str(address), "key": "sku", "image": "image", "base": ""}
    (run / RUN).write_text(json.dumps(noted))
    (run / NOTE).write_text(json.dumps({"address": str(address), "applied": [], "finished": True}))
    keys = [line["key"] for line in written]
    lines = [{"batch": "0/colour/0"}, {"batch": "0/colour/0", "keys": keys[:60]}]
    (run / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
    # The other four stand since the run before.
    standing = [(one["column"], one["key"], one["before"], one["stored"]) for one in written[60:]]
    columns = [pa.array(column, pa.string()) for column in zip(*standing, strict=True)]
    pq.write_table(
        pa.table(columns, names=["column", "key", "before", "value"]), run / "standing.parquet"
    )
    if lost == LOG:
        removed(run / LOG)
    elif lost == "lines":
        emptied(run / LOG)
    if said is not None:
        with pytest.raises(InputError, match=said):
            undo(run)
        return
    assert read_note(run) is None
    assert undo(run).cells == 64
    assert dump(server, "items") == before


@pytest.mark.parametrize("url", SECRETS)
def test_a_secret_in_an_address_goes_nowhere(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object, **__: object) -> None:
        raise AssertionError("it was connected to")

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(rac.encoders, "load_encoder", lambda name, **_: ToyEncoder())
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    schema = tmp_path / "schema.yaml"
    schema.write_text("attributes: {colour: {}}")
    assert is_address(url)
    run = tmp_path / "run"
    for arguments in (
        ["run", url, "--schema", str(schema), "-o", str(run)],
        ["undo", url],
        ["audit", url, "--schema", str(schema), "-o", str(run)],
    ):
        result = CliRunner().invoke(fill_app, arguments)
        assert isinstance(result.exception, InputError), (arguments[0], result.exception)
        assert HIDDEN not in f"{result.exception}{result.output}"
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or HIDDEN not in path.read_text(errors="replace")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db:5433/shop?table=public.items",
        "postgresql://me@db1:5432,db2:5433/shop?table=items&target_session_attrs=read-write",
        "postgresql:///shop?table=password_resets&sslmode=verify-full&passfile=%2Fetc%2Fpgpass",
        "postgresql://db/shop?table=secrets.tokens&service=shop",
        "postgresql://me@db/shop?table=a@b",
    ],
)
def test_an_address_without_a_secret_is_taken(url: str) -> None:
    address = Address.parse(url)
    assert Address.parse(str(address)) == address


def test_an_unknown_parameter_is_named() -> None:
    with pytest.raises(InputError, match="'sslkeylogfile'"):
        Address.parse("postgresql://db/shop?table=items&sslkeylogfile=/tmp/keys")
