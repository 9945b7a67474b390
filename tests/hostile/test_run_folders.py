"""Run folders of every damage: it is named, or has no effect; never an answer lost or made up."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from rac.attributes.run_folder import RunFolder
from rac.errors import InputError
from tests.hostile import runs
from tests.hostile.runs import (
    Damage,
    Killed,
    Outcome,
    copy_run,
    fill,
    rac_command,
    write_shop,
)
from tests.hostile.table import Promise

toy = runs.toy


@dataclass(frozen=True)
class World:
    """A filled table, its run, and a run of another table.

    Attributes:
        table: as it was.
        run: its run's folder.
        other: the folder of another table's run.
        filled: the filled copy, as somebody took it for his table.
    """

    table: Path
    run: Path
    other: Path
    filled: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("made")
    table = write_shop(folder / "shop")
    fill(table, folder / "run")
    other = write_shop(folder / "other-shop", rows=24, prefix="other")
    fill(other, folder / "other")
    filled = folder / "shop" / "taken.csv"
    shutil.copy(folder / "run" / "filled.csv", filled)
    return World(table, folder / "run", folder / "other", filled)


@pytest.fixture
def world(made: World, tmp_path: Path, toy: None) -> World:
    return World(made.table, copy_run(made.run, tmp_path / "run"), made.other, made.filled)


def undo(world: World) -> Outcome:
    return rac_command("fill", "undo", world.run)


def explain(world: World) -> Outcome:
    return rac_command("fill", "explain", world.run, "sku-3")


def report(world: World) -> Outcome:
    return rac_command("report", world.run, "-o", world.run.with_name("report"))


def _fill(world: World, table: Path, schema: str = "schema.yaml") -> Outcome:
    schema = str(world.table.with_name(schema))
    return rac_command("fill", table, "--schema", schema, "-o", world.run)


def again(world: World) -> Outcome:
    """The same job once more."""
    return _fill(world, world.table)


def learn(world: World) -> Outcome:
    """The next job, on a table that holds the fills of the one before."""
    return _fill(world, world.filled)


def audit(world: World) -> Outcome:
    schema = world.table.with_name("schema.yaml")
    return rac_command("fill", "audit", world.table, "--schema", schema, "-o", world.run)


Command = Callable[[World], Outcome]
FINE = ""
OWN_FILLS = "cells that the run in"


def of_another(name: str) -> Damage:
    def replace(path: Path) -> None:
        # The folder of the other run is a link beside, see `test_each_damage_has_its_outcome`.
        shutil.copy(path.with_name("other") / name, path)

    replace.__name__ = "of_another"
    return replace


@dataclass(frozen=True)
class Case:
    """A damage and what a command says of it.

    Attributes:
        file: in the run's folder.
        damage: done to it.
        command: run then.
        says: part of the message of exit code 2; or FINE for exit code 0.
        told: part of what a command that goes well says.
    """

    file: str
    damage: Damage
    command: Command
    says: str
    told: str = ""

    def __str__(self) -> str:
        return f"{self.file}-{self.damage.__name__}-{self.command.__name__}"


RECORD_DAMAGES: list[tuple[Damage, str]] = [
    (runs.empty, "run.json: it is damaged: the file is empty"),
    (runs.halve, "run.json: it is damaged: not JSON in UTF-8"),
    (runs.flip, "run.json: it is damaged"),
    (runs.garbage, "run.json: it is damaged: not JSON in UTF-8"),
    (runs.nest, "run.json: it is damaged: it is nested too deeply"),
    (runs.write_latin, "run.json: it is damaged: not JSON in UTF-8"),
    (runs.write_wide, "run.json: it is damaged: not JSON in UTF-8"),
    (runs.make_list, "run.json: it is damaged: not a JSON object"),
    (runs.make_nan, "run.json: it is damaged: not JSON in UTF-8 (NaN"),
    (runs.forget_all, "run.json: it is damaged: key: Field required"),
    (runs.link_to_itself, "run.json: it cannot be read"),
]
LEDGER_DAMAGES: list[tuple[Damage, str]] = [
    (runs.remove, "ledger.parquet: it is missing"),
    (runs.empty, "ledger.parquet: it has 0 bytes, and had "),
    (runs.halve, "ledger.parquet: it has "),
    (runs.flip, "ledger.parquet: its bytes are not those that were written"),
    (runs.garbage, "ledger.parquet: it has 500 bytes, and had "),
    (of_another("ledger.parquet"), "ledger.parquet: it"),
    (runs.link_to_itself, "ledger.parquet: it cannot be read"),
    (runs.link_to_nothing, "ledger.parquet: it is missing"),
]
CASES = [
    # The record: readers name it, the same job makes it again, any other one is refused.
    *(Case("run.json", d, c, s) for d, s in RECORD_DAMAGES for c in (undo, explain, report, learn)),
    *(Case("run.json", d, again, FINE, f"made anew: {{run}}/{s}") for d, s in RECORD_DAMAGES),
    *(Case("run.json", d, audit, FINE) for d, _ in RECORD_DAMAGES[:3]),
    *(Case("run.json", runs.remove, c, "run.json is missing") for c in (undo, explain)),
    *(Case("run.json", runs.link_to_nothing, c, "run.json is missing") for c in (undo, explain)),
    Case("run.json", runs.remove, report, "run.json: it is missing"),
    Case("run.json", runs.remove, learn, OWN_FILLS),
    Case("run.json", runs.remove, again, FINE, "made anew: {run}/run.json: it is missing"),
    *(Case("run.json", of_another("run.json"), c, "ledger.parquet: it has ")
      for c in (undo, explain, report, learn)),
    Case("run.json", of_another("run.json"), again, FINE, "run.json: it is missing, or another"),
    *(Case("run.json", runs.make_folder, c, "run.json: it cannot be read: Is a directory")
      for c in (explain, report)),
    *(Case("run.json", runs.make_folder, c, "run.json: a folder is in the place of a file")
      for c in (undo, learn, again, audit)),
    # The ledger: the same.
    *(Case("ledger.parquet", d, c, s)
      for d, s in LEDGER_DAMAGES for c in (undo, explain, report, learn)),
    *(Case("ledger.parquet", d, again, FINE, f"made anew: {{run}}/{s}") for d, s in LEDGER_DAMAGES),
    *(Case("ledger.parquet", d, audit, FINE) for d, _ in LEDGER_DAMAGES),
    *(Case("ledger.parquet", runs.make_folder, c, "ledger.parquet: something else than a file")
      for c in (explain, report)),
    *(Case("ledger.parquet", runs.make_folder, c, "ledger.parquet: a folder is in the place")
      for c in (undo, learn, again)),
    # What is only told to people, and what can be made again, has no effect on any of them.
    *(Case(file, d, c, OWN_FILLS if c is learn else FINE)
      for file in ("summary.json", "state.json", "quarantine.csv")
      for d in (runs.remove, runs.garbage, runs.nest, runs.link_to_itself)
      for c in (undo, learn)),
    *(Case("embeddings/manifest.json", d, c, FINE)
      for d in (runs.remove, runs.empty, runs.halve, runs.garbage) for c in (explain, again)),
    # The filled copy is what is set back: it is read as the table that it is.
    Case("filled.csv", runs.remove, undo, "filled.csv"),
    Case("filled.csv", runs.empty, undo, "filled.csv: the file is empty"),
    Case("filled.csv", runs.halve, undo, "filled.csv"),
    Case("filled.csv", runs.garbage, undo, "filled.csv"),
    Case("filled.csv", of_another("filled.csv"), undo, "filled.csv: it has fewer rows"),
    Case("filled.csv", runs.link_to_itself, undo, "filled.csv"),
    Case("filled.csv", runs.make_folder, undo, "filled.csv"),
    *(Case("filled.csv", d, again, FINE)
      for d in (runs.remove, runs.garbage, runs.link_to_nothing)),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_damage_has_its_outcome(case: Case, world: World, tmp_path: Path) -> None:
    (world.run / "other").symlink_to(world.other)
    case.damage(world.run / case.file)
    (world.run / "other").unlink()
    before = world.table.read_bytes(), world.filled.read_bytes()
    outcome = case.command(world)
    if case.says == FINE:
        assert outcome.code == 0, outcome.text
        assert case.told.format(run=world.run) in outcome.text
        if case.command is undo:
            assert (world.run / "restored.csv").read_bytes() == world.table.read_bytes()
        if case.command is again:
            assert undo(world).code == 0
            assert (world.run / "restored.csv").read_bytes() == world.table.read_bytes()
    else:
        assert outcome.code == 2, outcome.text
        assert case.says in outcome.text
        assert not (world.run / "restored.csv").exists()
        assert not (tmp_path / "report").exists()
    assert (world.table.read_bytes(), world.filled.read_bytes()) == before


def removed_both(run: Path) -> str:
    (run / "run.json").unlink()
    (run / "ledger.parquet").unlink()
    return "filled.csv: a run was finished in this folder, and neither run.json nor ledger.parquet"


def removed_three(run: Path) -> str:
    removed_both(run)
    (run / "filled.csv").unlink()
    return "summary.json: a run was finished in this folder"


def removed_but_for_the_state(run: Path) -> str:
    removed_three(run)
    (run / "summary.json").unlink()
    return "state.json: a run was finished in this folder"


LOST = [removed_both, removed_three, removed_but_for_the_state]


@pytest.mark.parametrize("lose", LOST)
def test_a_folder_without_its_record_takes_no_other_job(
    lose: Callable[[Path], str], world: World
) -> None:
    said = lose(world.run)
    for command in (learn, again):
        outcome = command(world)
        assert (outcome.code, said in outcome.text) == (2, True), outcome.text
    assert "no finished run" in undo(world).text
    assert not (world.run / "ledger.parquet").exists()


@dataclass(frozen=True)
class Ended:
    """A job that is ended at an instant, in a folder that is new or holds a run."""

    where: str
    over: bool

    def __str__(self) -> str:
        return f"{self.where}-{'over-a-run' if self.over else 'new'}"


ENDS = [
    Ended(where, over)
    for where in ("decide_all", "publish_ledger", "write_quarantine", "write_run")
    for over in (False, True)
]


def end_a_job(ended: Ended, world: World, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    """Kill a job as it comes to a step; with ``over``, one with another seed than the run's."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        if ended.where == "decide_all":
            patched.setattr("rac.attributes.fill.filled_batches", killed)
        else:
            patched.setattr(RunFolder, ended.where, killed)
        with pytest.raises(Killed):
            fill(table, world.run, seed=1)


@pytest.mark.parametrize("ended", ENDS, ids=str)
def test_an_ended_job_is_never_taken_for_no_job(
    ended: Ended, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its fills teach nothing, undo does not mix two runs, and the same job goes on."""
    if not ended.over:
        shutil.rmtree(world.run)
    end_a_job(ended, world, monkeypatch, world.table)
    wrote = ended.where != "decide_all"
    outcome = undo(world)
    if wrote or not ended.over:
        assert outcome.code == 2, outcome.text
        assert "run the same `rac fill` again" in outcome.text
        assert not (world.run / "restored.csv").exists()
    else:
        assert (world.run / "restored.csv").read_bytes() == world.table.read_bytes()
    if wrote:
        taken = world.table.with_name("taken-now.csv")
        shutil.copy(world.run / "filled.csv", taken)
        assert OWN_FILLS in _fill(world, taken).text
    fill(world.table, world.run, seed=1)
    assert undo(world).code == 0
    assert (world.run / "restored.csv").read_bytes() == world.table.read_bytes()
    assert not (world.run / ".ledger").exists()


DRAFT_DAMAGES: list[tuple[str, Damage]] = [
    (file, damage)
    for file in ("key.json", "part-000000.parquet", "part-000002.parquet")
    for damage in (
        runs.remove, runs.empty, runs.halve, runs.flip, runs.garbage, runs.link_to_itself,
    )
]  # fmt: skip


@pytest.mark.parametrize(("file", "damage"), DRAFT_DAMAGES)
def test_damaged_drafts_are_made_again_or_named(
    file: str, damage: Damage, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger that comes out is that of an undisturbed job."""
    for module in ("decide_job", "filled_copy"):
        for size in ("PART_ROWS", "BATCH_ROWS"):
            monkeypatch.setattr(f"rac.attributes.{module}.{size}", 8)
    end_a_job(Ended("publish_ledger", True), world, monkeypatch, world.table)
    damage(world.run / ".ledger" / file)
    refused = learn(world)
    assert refused.code == 2
    assert file in refused.text or OWN_FILLS in refused.text
    if file == "key.json":
        # Whose decisions these are is lost, and they may be in the filled copy.
        with pytest.raises(InputError, match=r"key\.json"):
            fill(world.table, world.run, seed=1)
        return
    summary = fill(world.table, world.run, seed=1)
    assert any(file in words for words in summary.damaged), summary.damaged
    whole = fill(world.table, world.run.with_name("whole"), seed=1)
    ledgers = [run / "ledger.parquet" for run in (world.run, world.run.with_name("whole"))]
    assert summary.filled == whole.filled
    first, second = (RunFolder(path.parent).ledger.read(0).to_pylist() for path in ledgers)
    assert first == second


FOREIGN = [
    ".mine.part",
    ".run.json.part",
    ".run.json.abcdefg.part",
    ".run.json.abcdefgh.part.bak",
    "run.json.abcdefgh.part",
    ".notes.abcdefgh.part",
    ".filled.csv.ABCDEFGH.part",
    ".ledger.parquet.abcdefgh.old",
]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("as_folder", [False, True])
def test_only_our_own_leftovers_are_removed(name: str, as_folder: bool, world: World) -> None:
    path = world.run / name
    if as_folder:
        path.mkdir()
        (path / "kept.txt").write_text("kept")
    else:
        path.write_text("kept")
    ours = world.run / ".run.json.abcdefgh.part"
    ours.write_text("{")
    assert again(world).code == 0
    assert path.exists()
    assert not as_folder or (path / "kept.txt").read_text() == "kept"
    assert not ours.exists()


def test_a_folder_that_is_called_like_a_leftover_goes_only_if_it_holds_one(world: World) -> None:
    foreign, own = world.run / ".filled.abcdefgh.part", world.run / ".filled.hgfedcba.part"
    (foreign / "data").mkdir(parents=True)
    (foreign / "letter.txt").write_text("kept")
    (own / "data").mkdir(parents=True)
    (own / "data" / "data-00000-of-00001.arrow").write_bytes(b"half")
    (own / "data" / "state.json").write_text("{}")
    assert undo(world).code == 0
    assert (foreign / "letter.txt").read_text() == "kept"
    assert not own.exists()


LINKS = [
    "run.json", "ledger.parquet", "summary.json", "state.json", "quarantine.csv", "filled.csv",
    "restored.csv", "explain.html", "audit.csv", ".run.json.abcdefgh.part",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_the_place_of_a_file_is_not_followed(
    name: str, world: World, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    place = world.run / name
    if place.exists():
        # A link to the file itself, so that what is read through it is what it was.
        place.rename(marker)
    else:
        marker.write_text("untouched")
    before = marker.read_bytes()
    place.symlink_to(marker)
    for command in (again, undo, explain, audit):
        assert command(world).code == 0
    assert marker.read_bytes() == before
    assert marker.exists()


@pytest.mark.parametrize("name", [".ledger"])
def test_a_link_in_the_place_of_a_folder_that_is_cleaned_is_refused(
    name: str, world: World, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for file in ("key.json", "part-000000.parquet"):
        (elsewhere / file).write_text("untouched")
    (world.run / name).symlink_to(elsewhere)
    before = (world.run / "ledger.parquet").read_bytes()
    for command in (again, learn, undo, audit):
        outcome = command(world)
        assert (outcome.code, f"{name}: a link is in the place" in outcome.text) == (2, True)
    assert [(elsewhere / file).read_text() for file in ("key.json", "part-000000.parquet")] == [
        "untouched"
    ] * 2
    assert (world.run / "ledger.parquet").read_bytes() == before


def test_a_run_folder_is_for_its_owner_alone_unless_somebody_made_it(
    world: World, tmp_path: Path
) -> None:
    assert (fill(world.table, tmp_path / "a" / "new").rows, True) == (runs.ROWS, True)
    assert (tmp_path / "a" / "new").stat().st_mode & 0o777 == 0o700
    (tmp_path / "shared").mkdir(mode=0o755)
    (tmp_path / "shared").chmod(0o755)
    fill(world.table, tmp_path / "shared")
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o755


def test_a_run_of_an_older_release_is_read_as_before(world: World) -> None:
    """Without version and digests there is no false alarm, and a torn ledger is still named."""
    record = json.loads((world.run / "run.json").read_text())
    older = {k: v for k, v in record.items() if k not in ("version", "ledger", "sha256")}
    (world.run / "run.json").write_text(json.dumps(older, indent=2))
    assert OWN_FILLS in learn(world).text
    for command in (undo, explain, report, again):
        assert command(world).code == 0
    assert "made anew" not in again(world).text
    (world.run / "run.json").write_text(json.dumps(older, indent=2))
    runs.halve(world.run / "ledger.parquet")
    for command in (undo, explain, report, learn):
        outcome = command(world)
        assert (outcome.code, "ledger.parquet" in outcome.text) == (2, True), outcome.text


PROMISES = [
    Promise(
        "run folders",
        "what is missing or damaged is named with what to do, or has no effect; undo never counts "
        "from a broken record, and no job learns from its own fills",
        "each file of a run removed, emptied, cut, flipped, garbage, another run's, a folder, a "
        "link, JSON nested too deeply or wrongly encoded; for undo, explain, report, audit, the "
        "same job and the next one",
        len(CASES) + len(LOST),
    ),
    Promise(
        "jobs ended while they write",
        "go on where they were; their fills are not taken for known cells, nor undone by the "
        "record of another run",
        "jobs ended before and after each file, and their drafts damaged",
        len(ENDS) + len(DRAFT_DAMAGES),
    ),
    Promise(
        "links and leftovers in run folders",
        "no link is followed, only files of our own writers are removed",
        "links in the place of each file, files and folders called almost like our leftovers",
        len(LINKS) + 2 * len(FOREIGN) + 2,
    ),
]
