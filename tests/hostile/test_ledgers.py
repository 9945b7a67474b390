"""Single flipped bits in what runs keep: each is found and named, or has no effect."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from eval.errors import ReportFault
from eval.ledgers import attribute_columns, fill_metadata, read_fill_run
from rac.attributes.draft_ledger import DraftLedger
from rac.attributes.explain import explain_row
from rac.attributes.own_fills import refuse_own_fills
from rac.attributes.prepare import FillOptions, Prepared, prepare_fill
from rac.attributes.run_folder import RunFolder
from rac.attributes.run_table import table_of_run
from rac.attributes.schema import parse_schema
from rac.attributes.undo import undo_fill
from rac.errors import InputError
from rac.fill_runs import open_fill_run
from rac.prediction_parts import PartNotes, PredictionJob, PredictionParts
from rac.quarantine import Quarantined
from rac.tables import open_table
from tests.hostile import runs
from tests.hostile.runs import SCHEMA, Damage, Killed, fill, flips, replaced, write_shop
from tests.hostile.table import Promise
from tests.toy import ToyEncoder

FLIPS = 200
TOLD_FLIPS = 10


@dataclass(frozen=True)
class Run:
    """A finished run, and the next job on a table that holds its fills."""

    table: Path
    folder: Path
    next_job: Prepared


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    made = tmp_path_factory.mktemp("made")
    table = write_shop(made / "shop")
    fill(table, made / "run")
    taken = made / "shop" / "taken.csv"
    shutil.copy(made / "run" / "filled.csv", taken)
    with RunFolder.locked(made / "next") as folder:
        job = prepare_fill(
            open_table(taken), parse_schema(SCHEMA), ToyEncoder(), folder,
            FillOptions(progress=False),
        )  # fmt: skip
    return Run(table, made / "run", job)


def undone(run: Run) -> object:
    made = Path(undo_fill(RunFolder(run.folder)).file)
    data = made.read_bytes()
    made.unlink()
    return data


def explained(run: Run) -> object:
    folder = RunFolder(run.folder)
    page = run.folder.with_name("page.html")
    page.unlink(missing_ok=True)
    return explain_row(folder, table_of_run(folder), "sku-3", page), page.read_bytes()


def reported(run: Run) -> object:
    read = open_fill_run(run.folder)
    cells = read.cells
    return (
        cells.attributes, cells.values, cells.best.tolist(), cells.filled.tolist(),
        cells.probability.tolist(), read.known, read.promises,
    )  # fmt: skip


def told(run: Run) -> object:
    return (
        attribute_columns(run.folder),
        fill_metadata(run.folder),
        len(read_fill_run(run.folder).cells),
    )


def next_filled(run: Run) -> object:
    """What the next job says of a table that holds the fills: never that it may go on."""
    with pytest.raises(InputError) as error:
        refuse_own_fills(run.next_job, RunFolder(run.folder))
    if "is not known without it" in str(error.value):
        raise error.value
    return str(error.value)


READERS = (undone, explained, reported, told, next_filled)


def tried(reader: Callable[[Any], object], given: object) -> tuple[object, str | None]:
    """Give what a reader gives, and what it says where it refuses."""
    try:
        return reader(given), None
    except (InputError, ReportFault) as error:
        return None, str(error)


def found_or_without_effect(run: Run, path: Path, seed: int, count: int = FLIPS) -> int:
    """Flip bits of a file, one at a time; give how many were found by a reader.

    A reader names the file, or gives what it gave without the flip.
    """
    right = [reader(run) for reader in READERS]
    found = 0
    for place, data in flips(path.read_bytes(), count, seed):
        with replaced(path, data):
            for reader, expected in zip(READERS, right, strict=True):
                result, said = tried(reader, run)
                assert result == expected if said is None else path.name in said, (place, reader)
                found += said is not None
    assert [reader(run) for reader in READERS] == right
    return found


def test_flips_in_the_ledger(run: Run) -> None:
    found = found_or_without_effect(run, run.folder / "ledger.parquet", seed=1)
    assert found == FLIPS * len(READERS)


def test_flips_in_the_record(run: Run) -> None:
    """Nearly all are found; one in the white space between words may have no effect."""
    found = found_or_without_effect(run, run.folder / "run.json", seed=2)
    assert found > 0.95 * FLIPS * len(READERS)


@pytest.mark.parametrize("name", ["summary.json", "state.json"])
def test_flips_in_what_is_told_to_people_alone(run: Run, name: str) -> None:
    assert found_or_without_effect(run, run.folder / name, seed=3, count=TOLD_FLIPS) == 0


def test_flips_in_drafts(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that goes on from drafts with a flip ends with the decisions of one without."""

    def killed(*_: object, **__: object) -> None:
        raise Killed

    for module in ("decide_job", "filled_copy"):
        for size in ("PART_ROWS", "BATCH_ROWS"):
            monkeypatch.setattr(f"rac.attributes.{module}.{size}", 8)
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "publish_ledger", killed)
        with pytest.raises(Killed):
            fill(run.table, tmp_path / "run")
    drafts = tmp_path / "run" / ".ledger"
    whole = DraftLedger(drafts)
    noted = whole.note()
    assert noted is not None
    assert len(noted.parts) == 5
    right = [whole.read(number).to_pylist() for number in whole.parts()]
    kept = {path: path.read_bytes() for path in drafts.iterdir()}
    for path, before in kept.items():
        for place, data in flips(before, FLIPS // len(kept), seed=4):
            path.write_bytes(data)
            damaged = DraftLedger(drafts).open(noted.key, "now")
            now = DraftLedger(drafts)
            # What was kept is right; what was not is said, and is decided again.
            left = [now.read(number).to_pylist() for number in now.parts()]
            assert left == right[: len(left)], (path.name, place)
            assert len(left) == len(right) or any(path.name in words for words in damaged)
            for one, original in kept.items():
                one.write_bytes(original)


PART_JOB = PredictionJob(
    table="items.csv", image="image", id="id", label=None, encoder="toy0", model="m", name="rac"
)


def opened_parts(folder: Path) -> object:
    parts = PredictionParts.open(folder, PART_JOB, restart=False)
    return [block.to_pylist() for block in parts.blocks()], parts.notes


def unfinished_prediction(folder: Path) -> Path:
    """Write two parts of three rows."""
    folder.mkdir()
    parts = PredictionParts.open(folder, PART_JOB, restart=False)
    for first in (0, 3):
        ids = [f"item-{row}" for row in range(first, first + 3)]
        rows = pa.table({"id": ids, "prediction": ["red", "green", None]})
        bad = [Quarantined(ids[2], first + 2, "c.png", "missing: no such file")]
        parts.add(rows, [(one, f"{one}.png") for one in ids], PartNotes(bad=bad, strange=["x"]))
    return folder


PART_DAMAGES: list[tuple[str, Damage]] = [
    (name, damage)
    for name in ("job.json", "parts.json", "part-000000000000.parquet", "part-000000000003.parquet")
    for damage in (
        runs.empty, runs.halve, runs.garbage, runs.nest, runs.write_latin, runs.make_folder,
        runs.link_to_itself, runs.remove,
    )
    if (name, damage) not in [("job.json", runs.remove), ("parts.json", runs.remove)]
]  # fmt: skip


@pytest.mark.parametrize(("name", "damage"), PART_DAMAGES)
def test_damaged_parts_of_a_prediction_are_named(name: str, damage: Damage, tmp_path: Path) -> None:
    folder = unfinished_prediction(tmp_path / "found.csv.unfinished")
    damage(folder / name)
    with pytest.raises(InputError) as error:
        PredictionParts.open(folder, PART_JOB, restart=False)
    assert str(folder / name) in str(error.value)
    assert "--restart" in str(error.value)


@pytest.mark.parametrize("name", ["job.json", "parts.json"])
def test_parts_without_their_list_are_taken_as_before_or_not_at_all(
    name: str, tmp_path: Path
) -> None:
    """Older releases kept no list; without a description there is no job to go on with."""
    folder = unfinished_prediction(tmp_path / "found.csv.unfinished")
    right = opened_parts(folder)
    (folder / name).unlink()
    assert opened_parts(folder) == (right if name == "parts.json" else ([], []))


def test_what_is_not_ours_stays_in_the_folder_of_a_prediction(tmp_path: Path) -> None:
    folder = unfinished_prediction(tmp_path / "found.csv.unfinished")
    marker = tmp_path / "marker"
    marker.write_text("kept")
    (folder / "part-of-mine.parquet").write_text("kept")
    (folder / "part-000000000009.parquet").symlink_to(marker)
    (folder / "part-000000000099.parquet").mkdir()
    parts = PredictionParts.open(folder, PART_JOB, restart=True)
    assert parts.rows == 0
    parts.remove()
    assert sorted(path.name for path in folder.iterdir()) == [
        "part-000000000009.parquet", "part-000000000099.parquet", "part-of-mine.parquet",
    ]  # fmt: skip
    assert marker.read_text() == "kept"


def test_flips_in_the_parts_of_a_prediction(tmp_path: Path) -> None:
    folder = unfinished_prediction(tmp_path / "found.parquet.unfinished")
    right = opened_parts(folder)
    found = 0
    kept = sorted(folder.iterdir())
    assert [path.name for path in kept] == [
        "job.json", "part-000000000000.parquet", "part-000000000003.parquet", "parts.json",
    ]  # fmt: skip
    for path in kept:
        for place, data in flips(path.read_bytes(), FLIPS // len(kept), seed=5):
            with replaced(path, data):
                result, said = tried(opened_parts, folder)
                if said is None:
                    assert result == right, (path.name, place)
                else:
                    assert str(folder) in said, (path.name, place)
                    assert "--restart" in said
                    found += 1
    assert found > 0.95 * FLIPS
    again = PredictionParts.open(folder, PART_JOB, restart=True)
    assert (again.rows, [path.name for path in folder.iterdir()]) == (0, ["job.json"])


PROMISES = [
    Promise(
        "flipped bits in a ledger",
        "undo, explain, report and the next fill name the ledger; none reads a cell of it",
        "single bits anywhere in the file",
        FLIPS,
    ),
    Promise(
        "flipped bits in a run's other files",
        "`run.json` is named, or the flip is in its white space; what is only told to people has "
        "no effect; drafts are decided again",
        "single bits in `run.json`, `summary.json`, `state.json`, and in an unfinished ledger",
        2 * FLIPS + 2 * TOLD_FLIPS,
    ),
    Promise(
        "flipped bits in an unfinished prediction",
        "the file is named with `--restart`, or every row is what it was",
        "single bits in each file of the folder",
        FLIPS,
    ),
    Promise(
        "damaged unfinished predictions",
        "the file is named with `--restart`; what is not ours stays in the folder",
        "each file emptied, cut, garbage, nested too deeply, wrongly encoded, a folder, a link, "
        "removed",
        len(PART_DAMAGES) + 3,
    ),
]
