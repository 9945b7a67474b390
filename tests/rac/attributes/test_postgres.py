"""A real PostgreSQL server, started for these tests and thrown away with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

import rac.encoders
from rac.attributes.postgres.address import Address
from rac.attributes.postgres.job import fill_postgres, plan_table
from rac.attributes.postgres.undo import undo_postgres
from rac.attributes.prepare import FillOptions
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import load_schema, parse_schema
from rac.attributes.source import opened_table
from rac.cli.fill import app as fill_app
from rac.cli.schema import app as schema_app
from rac.errors import InputError, JobFailed
from tests.killing import Killer, fill_database, run_whole, striking
from tests.postgres import COLOURS, INSTALLED, ROWS, Server, make_items, running_server
from tests.toy import ToyEncoder, write_toy_images

pytest.importorskip("psycopg")

pytestmark = pytest.mark.skipif(not INSTALLED, reason="no PostgreSQL server is installed")

KILLS = int(os.environ.get("RAC_KILLS", "3"))
Rows = Callable[[], list[tuple]]
Sql = Callable[..., None]
SCHEMA = parse_schema("attributes: {colour: {target_precision: 0.9}}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def sql(server: Server) -> Sql:
    """Give what runs one statement as the owner of the table."""

    def run(statement: str, values: tuple[object, ...] | None = None) -> None:
        with server.connect() as owner:
            owner.execute(statement, values)

    return run


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Rows]:
    """Make the table ``items``; give who reads it."""
    names = write_toy_images(tmp_path / "shop", [COLOURS[row % 4] for row in range(ROWS)])
    make_items(server, names)
    with server.connect() as owner:
        yield lambda: owner.execute("SELECT * FROM items ORDER BY sku").fetchall()


@pytest.fixture
def address(server: Server, monkeypatch: pytest.MonkeyPatch) -> Address:
    monkeypatch.setenv("PGHOST", server.host)
    monkeypatch.setenv("PGUSER", "filler")
    return Address.parse("postgresql:///postgres?table=public.items")


def fill(address: Address, tmp_path: Path, out: str = "run", **options):
    return fill_postgres(
        address,
        SCHEMA,
        ToyEncoder(),
        tmp_path / out,
        FillOptions(progress=False, **options),
        base=tmp_path / "shop",
    )


def undo(run: Path) -> int:
    with RunFolder.locked(run) as folder:
        return undo_postgres(folder).cells


def fill_with_kills(
    job: Callable[[Path, Callable[..., object]], None], arguments: Sequence[str], tmp_path: Path
) -> None:
    """Have a job done again and again, killed at random moments, until there were enough kills.

    Args:
        job: is given a folder to work in, and what runs a process that may be killed.
        arguments: of a job that tells how long one takes.
        tmp_path: where the folders are.
    """
    killer = Killer(run_whole(fill_database, *arguments, str(tmp_path / "alone")))
    undo(tmp_path / "alone")
    for moment in range(4 * KILLS):
        if killer.killed >= KILLS:
            break
        job(tmp_path / f"run{moment}", killer.run)
    assert killer.killed >= KILLS


def test_missing_cells_are_filled_and_the_others_left_alone(
    shop: Rows, address: Address, tmp_path: Path
) -> None:
    before = shop()
    summary = fill(address, tmp_path)
    after = shop()
    assert summary.attributes["colour"].filled > 50
    assert sum(old != new for old, new in zip(before, after, strict=True)) == summary.filled
    for old, new in zip(before, after, strict=True):
        assert (old[0], old[1], old[3]) == (new[0], new[1], new[3])
        if old[2] in COLOURS:
            assert new[2] == old[2]
        else:
            assert new[2] in (COLOURS[new[0] % 4], old[2])
    assert after[5][2] == COLOURS[1]
    assert fill(address, tmp_path).filled == summary.filled
    assert shop() == after
    assert undo(tmp_path / "run") == summary.filled
    assert shop() == before


def test_a_cell_that_somebody_fills_meanwhile_stays_theirs(
    shop: Rows,
    address: Address,
    sql: Sql,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rac.attributes.postgres.job as job

    plain = job._write_back

    def meanwhile(*arguments):
        sql("UPDATE items SET colour = 'theirs' WHERE sku IN (3, 5)")
        return plain(*arguments)

    monkeypatch.setattr(job, "_write_back", meanwhile)
    fill(address, tmp_path)
    after = shop()
    assert after[3][2] == after[5][2] == "theirs"
    undo(tmp_path / "run")
    undone = shop()
    assert undone[3][2] == undone[5][2] == "theirs"
    assert undone[8][2] is None


def test_a_dry_run_writes_nothing_into_the_database(
    shop: Rows, address: Address, tmp_path: Path
) -> None:
    before = shop()
    assert fill(address, tmp_path, dry_run=True).filled > 50
    assert shop() == before


def test_a_plan_reads_the_table_as_it_is_now_and_writes_nothing(
    shop: Rows,
    address: Address,
    sql: Sql,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: batches were ordered by the key's text, and followed each other by its value, so
    that rows were lost between them."""
    monkeypatch.setattr("rac.attributes.postgres.snapshot._BATCH_ROWS", 7)
    out = tmp_path / "run"

    def planned() -> list[str | None]:
        table = plan_table(
            address, SCHEMA, ToyEncoder(), out, FillOptions(), base=tmp_path / "shop"
        )
        return [cell for batch in table.batches() for cell in table.strings(batch, "colour")]

    before = shop()
    assert planned() == [row[2] for row in before]
    sql("UPDATE items SET colour = 'blue' WHERE sku = 3")
    assert planned()[3] == "blue"
    fill(address, tmp_path)
    with pytest.raises(InputError, match="take them back first"):
        plan_table(
            address, parse_schema("attributes: {colour: {}}"), ToyEncoder(), out, FillOptions()
        )


def test_mistakes_are_told(shop: Rows, address: Address, sql: Sql, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="PGPASSWORD"):
        Address.parse("postgresql://me:secret@db/shop?table=items")
    with pytest.raises(InputError, match="which table"):
        Address.parse("postgresql://db/shop")
    with pytest.raises(InputError, match=r"no table 'public\.nothing'"):
        fill(Address(address.server, "public", "nothing"), tmp_path)
    with pytest.raises(InputError, match=r"'shade'.*ALTER TABLE"):
        fill_postgres(
            address,
            parse_schema("attributes: {shade: {values: [a, b]}}"),
            ToyEncoder(),
            tmp_path / "run",
            FillOptions(progress=False),
        )
    sql("REVOKE UPDATE (colour) ON items FROM filler")
    with pytest.raises(JobFailed, match=r"'colour'.*permission denied"):
        fill(address, tmp_path)


def test_a_job_killed_at_any_moment_loses_nothing_and_doubles_nothing(
    shop: Rows,
    address: Address,
    tmp_path: Path,
) -> None:
    """Killed at random moments and started again, until it gets through; the table then is what
    one undisturbed run makes of it, and undoing it gives the first one back."""
    url, folder = str(address), str(tmp_path / "shop")
    before = shop()
    run_whole(fill_database, url, folder, str(tmp_path / "whole"))
    expected = shop()
    undo(tmp_path / "whole")
    assert shop() == before

    def once(out: Path, killed: Callable[..., object]) -> None:
        for job in (killed, killed, run_whole):
            job(fill_database, url, folder, str(out))
        assert shop() == expected, out
        undo(out)
        assert shop() == before, out

    fill_with_kills(once, (url, folder), tmp_path)


def test_a_second_run_killed_at_any_moment_ends_as_one_undisturbed(
    shop: Rows, address: Address, sql: Sql, tmp_path: Path
) -> None:
    url, folder = str(address), str(tmp_path / "shop")

    def write(colour: str | None) -> None:
        sql("UPDATE items SET colour = %s WHERE sku IN (1, 21)", (colour,))

    def twice(out: Path, second: Callable[..., object]) -> list[tuple]:
        run_whole(fill_database, url, folder, str(out))
        write(None)
        for job in (second, second, run_whole):
            job(fill_database, url, folder, str(out))
        found = shop()
        undo(out)
        write("green")
        return found

    before = shop()
    expected = twice(tmp_path / "whole", run_whole)
    assert shop() == before

    def once(out: Path, killed: Callable[..., object]) -> None:
        assert twice(out, killed) == expected, out
        assert shop() == before, out

    fill_with_kills(once, (url, folder), tmp_path)


def test_schemas_and_audits_read_the_database_and_change_nothing(
    shop: Rows,
    address: Address,
    sql: Sql,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is given no more than the right to read."""
    sql("REVOKE UPDATE (colour) ON items FROM filler")
    sql("UPDATE items SET colour = 'blue' WHERE sku = 4")
    sql("UPDATE items SET price = sku % 3")
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rac.encoders, "load_encoder", lambda name, **_: ToyEncoder())
    before, schema, url = shop(), tmp_path / "schema.yaml", str(address)

    def command(app: typer.Typer, *arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments])

    drafted = command(schema_app, "infer", url, "-o", str(schema))
    assert drafted.exit_code == 0, drafted.output
    assert set(load_schema(schema).attributes) == {"colour", "price"}
    schema.write_text("attributes: {colour: {target_precision: 0.9}}")
    checked = json.loads(command(schema_app, "check", str(schema), url, "--json").stdout)
    assert checked["attributes"][0]["missing"] == 64
    assert checked["attributes"][0]["known"] == 96
    out = str(tmp_path / "audited")
    images = ["--image-root", str(tmp_path / "shop")]
    done = command(fill_app, "audit", url, "--schema", str(schema), "-o", out, "--json", *images)
    assert done.exit_code == 0, (done.output, done.exception)
    doubt = json.loads(done.stdout)["doubtful"][0]
    assert (doubt["id"], doubt["value"], doubt["suggestion"]) == ("4", "blue", "red")
    assert shop() == before
    schema.write_text("attributes: {shade: {values: [a, b]}}")
    for error in (
        command(schema_app, "check", str(schema), url).exception,
        command(fill_app, "audit", url, "--schema", str(schema), "-o", out).exception,
    ):
        assert isinstance(error, InputError)
        assert "ALTER TABLE" in str(error)


def test_a_run_again_takes_in_what_is_new_and_undo_gives_back_the_first_table(
    shop: Rows, address: Address, sql: Sql, tmp_path: Path
) -> None:
    before = shop()
    first = fill(address, tmp_path)
    assert first.cells_written == first.filled > 50
    filled = shop()
    again = fill(address, tmp_path)
    assert (again.cells_written, again.resumed_rows) == (0, again.rows)
    assert shop() == filled
    # One known cell and one fill are emptied, one fill is corrected, and there is a new item.
    sql("UPDATE items SET colour = NULL WHERE sku IN (1, 8)")
    sql("UPDATE items SET colour = 'green' WHERE sku = 3")
    sql("INSERT INTO items SELECT 999, image, NULL, 1 FROM items WHERE sku = 2")
    third = fill(address, tmp_path)
    after = {row[0]: row[2] for row in shop()}
    assert (after[1], after[8], after[3]) == ("green", "red", "green")
    assert after[999] == "blue"
    assert third.cells_written == 3
    # Its own fills are not among what it learns from, and no cell is decided twice.
    assert third.attributes["colour"].known == first.attributes["colour"].known
    ledger = pq.read_table(tmp_path / "run" / "ledger.parquet", columns=["id", "attribute"])
    assert len(set(ledger.column("id").to_pylist())) == ledger.num_rows == third.missing
    assert fill(address, tmp_path).cells_written == 0
    undo(tmp_path / "run")
    undone = {row[0]: row[2] for row in shop()}
    changed = {1: None, 3: "green", 8: None, 999: None}
    assert undone == {**{row[0]: row[2] for row in before}, **changed}


def test_a_fill_that_is_no_longer_vouched_for_is_taken_back(
    shop: Rows, address: Address, sql: Sql, tmp_path: Path
) -> None:
    before = shop()
    fill(address, tmp_path)
    # Known cells that images contradict; its fills, were they learnt from, would not be.
    sql(
        "UPDATE items SET colour = (ARRAY['red', 'green', 'blue', 'yellow'])[1 + sku / 3 % 4] "
        "WHERE sku % 5 NOT IN (0, 3)"
    )
    assert fill(address, tmp_path).filled == 0
    empty = {row[0]: row[2] for row in before if row[0] % 5 in (0, 3)}
    after = {row[0]: row[2] for row in shop()}
    assert {key: after[key] for key in empty} == empty
    assert all(after[key] in COLOURS for key in after if key not in empty)


def test_an_undo_amid_a_second_run_takes_back_both(
    shop: Rows,
    address: Address,
    sql: Sql,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import rac.attributes.postgres.job as job

    before = shop()
    fill(address, tmp_path)
    sql("UPDATE items SET colour = NULL WHERE sku = 1")
    expected = [(*row[:2], None if row[0] == 1 else row[2], row[3]) for row in before]

    def broken(*arguments, **named):
        raise JobFailed("the power is gone")

    for place in ("fill_table", "_write_back"):
        with monkeypatch.context() as patched:
            patched.setattr(job, place, broken)
            with pytest.raises(JobFailed, match="power"):
                fill(address, tmp_path)
        undo(tmp_path / "run")
        assert shop() == expected
        fill(address, tmp_path)
        sql("UPDATE items SET colour = NULL WHERE sku = 1")


def test_a_wait_for_a_lock_is_told_with_who_holds_it_and_ends(
    shop: Rows,
    server: Server,
    address: Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rac.attributes.postgres.session._SECONDS_UNSAID", 0.2)
    monkeypatch.setattr("rac.attributes.postgres.session._SECONDS_AT_MOST", 3)
    before = shop()
    for statement in ("SELECT * FROM items WHERE sku = 8 FOR UPDATE", "LOCK TABLE items"):
        with server.connect(application_name="night shift") as other, other.transaction():
            other.execute(statement)
            pid = other.info.backend_pid
            with pytest.raises(JobFailed, match=r"(?s)lock.*goes on where it was"):
                fill(address, tmp_path)
            said = " ".join(capsys.readouterr().err.split())
            assert f"held by process {pid} (night shift, user owner)" in said
    assert shop() == before
    fill(address, tmp_path)
    undo(tmp_path / "run")
    assert shop() == before


@pytest.mark.parametrize("number", [2, 6, 12, 40])
def test_a_connection_that_ends_is_told_wherever_it_does(
    number: int, shop: Rows, server: Server, address: Address, tmp_path: Path
) -> None:
    """While the table is read, while cells are tried and written, and while they are taken back."""

    def cut() -> None:
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE application_name = 'rac fill'"
        )
        # No statement goes on before the server has ended it.
        while True:
            with server.connect() as owner:
                if not owner.execute(
                    "SELECT FROM pg_stat_activity WHERE application_name = 'rac fill'"
                ).fetchall():
                    return

    before = shop()
    with striking(number, 0, cut, waited=True), pytest.raises(JobFailed, match="goes on where"):
        fill(address, tmp_path)
    fill(address, tmp_path)
    undoing = min(number, 12)
    with striking(undoing, 0, cut, waited=True), pytest.raises(JobFailed, match="goes on where"):
        undo(tmp_path / "run")
    assert shop() != before
    undo(tmp_path / "run")
    assert shop() == before


def test_the_time_limit_of_a_role_is_told_where_a_table_is_only_read(
    shop: Rows, server: Server, address: Address
) -> None:
    server.sql("ALTER ROLE filler SET lock_timeout = '50ms'")
    try:
        with server.connect() as other, other.transaction():
            other.execute("LOCK TABLE items")
            opening = opened_table(str(address))
            with pytest.raises(JobFailed, match="reading the table: another session holds a lock"):
                opening.__enter__()
    finally:
        server.sql("ALTER ROLE filler RESET ALL")


@pytest.mark.parametrize(("encoding", "said"), [("LATIN1", "equivalent"), ("SQL_ASCII", "UTF8")])
def test_a_database_with_other_letters(
    encoding: str, said: str, shop: Rows, server: Server, address: Address, tmp_path: Path
) -> None:
    server.sql(
        f"CREATE DATABASE other ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0"
    )
    try:
        with server.connect(dbname="other") as owner:
            owner.execute("CREATE TABLE items (sku int PRIMARY KEY, image text, colour text)")
            owner.execute("GRANT ALL ON items TO filler")
            if encoding == "SQL_ASCII":
                owner.execute("INSERT INTO items VALUES (1, 'x.png', E'bl\\xe5')")
        with pytest.raises((InputError, JobFailed), match=said):
            fill_postgres(
                Address.parse("postgresql:///other?table=items"),
                parse_schema("attributes: {colour: {values: [žlutá, modrá]}}"),
                ToyEncoder(),
                tmp_path / "run",
                FillOptions(progress=False),
                base=tmp_path / "shop",
            )
    finally:
        server.sql("DROP DATABASE other")


def test_the_command_tells_what_the_database_holds_and_takes_it_back(
    shop: Rows,
    server: Server,
    address: Address,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(rac.encoders, "load_encoder", lambda name, **_: ToyEncoder())
    server.sql(
        "ALTER TABLE items ADD COLUMN shade varchar(20)",
        "UPDATE items SET shade = colour",
        "ALTER TABLE items ADD COLUMN changed int DEFAULT 0",
        "GRANT UPDATE (shade) ON items TO filler",
        "CREATE OR REPLACE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "NEW.colour := upper(NEW.colour); NEW.changed := NEW.changed + 1; RETURN NEW; END $$",
        "CREATE TRIGGER loud BEFORE UPDATE OF colour ON items FOR EACH ROW EXECUTE FUNCTION loud()",
    )
    before = [row[2] for row in shop()]
    schema, run, url = tmp_path / "schema.yaml", tmp_path / "run", str(address)
    schema.write_text(
        "attributes: {colour: {target_precision: 0.9}, shade: {target_precision: 0.9}}"
    )

    def command(*arguments: str) -> Result:
        return CliRunner().invoke(fill_app, [*arguments])

    images = ["--image-root", str(tmp_path / "shop")]
    done = command("run", url, "--schema", str(schema), "-o", str(run), *images)
    assert done.exit_code == 0, (done.output, done.exception)
    assert (
        "stored otherwise than sent: 64 of them; of row 0, column colour: 'red' was sent, and "
        "the database holds 'RED'" in done.output
    )
    assert "undo does not give them back: changed" in done.output
    assert "journal: the table rac.rac_journal" in done.output
    server.sql("ALTER TABLE items DROP COLUMN shade")
    refused = command("undo", str(run))
    assert isinstance(refused.exception, InputError)
    assert "64 cells cannot be; these can: rac fill undo RUN --column 'colour' (64 cells)" in str(
        refused.exception
    )
    taken = command("undo", str(run), "--column", "colour", "--json")
    assert json.loads(taken.stdout) == {"table": url, "cells": 64, "kept": 0}
    assert [row[2] for row in shop()] == before
    elsewhere = command(
        "run",
        str(tmp_path / "shop"),
        "--schema",
        str(schema),
        "-o",
        str(run),
        "--journal-schema",
        "rac",
    )
    assert isinstance(elsewhere.exception, InputError)
