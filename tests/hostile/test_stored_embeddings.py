"""Embeddings that lie in a run's folder, in an unfinished job's, and images in a training's."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rac.attributes import store as store_module
from rac.attributes.store import StoredEmbeddings, ensure_store, open_store
from rac.attributes.store_files import DamagedStore
from rac.cli.app import main
from rac.embedding import job as job_module
from rac.embedding import parts as parts_module
from rac.embedding.job import EmbeddingSummary, write_embeddings
from rac.embedding.own_files import checksum_at, naming
from rac.embedding.parts import EmbeddingJob, Parts
from rac.embedding.stages import Stages
from rac.embedding.stream import embed_rows
from rac.encoders.base import FloatArray
from rac.errors import InputError, JobFailed
from rac.images import Pixels
from rac.tables import open_table
from tests.hostile.flips import flipped_copies, in_child
from tests.hostile.table import Promise
from tests.toy import COLOURS, ToyEncoder, write_toy_images
from training.finetune.store import ImageStore, shrink, store_images

ROWS = 40
STRETCH = 8
FLIPS = 200
PART_FLIPS = 100
BAD_ROW = 13
PRECIOUS = b"nobody may change this\n"
NOISE = np.random.default_rng(2).bytes(4096)

Damage = Callable[[Path], None]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images, one of which cannot be read."""
    folder = tmp_path_factory.mktemp("shop")
    names = write_toy_images(folder, (list(COLOURS) * ROWS)[:ROWS])
    (folder / names[BAD_ROW]).write_bytes(b"no image")
    path = folder / "items.csv"
    path.write_text("id,image\n" + "".join(f"{n},{name}\n" for n, name in enumerate(names)))
    return path


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_COMMIT_ROWS", STRETCH)
    monkeypatch.setattr(parts_module, "PART_ROWS", STRETCH)


# ---------------------------------------------------------------- the embeddings of a run


@pytest.fixture(scope="module")
def pristine(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "embeddings"
    before, store_module._COMMIT_ROWS = store_module._COMMIT_ROWS, STRETCH
    try:
        assert stored(folder, table)[1] == ROWS
    finally:
        store_module._COMMIT_ROWS = before
    assert len(list(folder.glob("rows-*.parquet"))) == ROWS // STRETCH
    return folder


def stored(folder: Path, table: Path) -> tuple[StoredEmbeddings, int]:
    opened, encoder = open_table(table), ToyEncoder()
    embed = partial(
        embed_rows, base=opened.base, encoder=encoder, cache=None, limits=None, stages=Stages()
    )
    return ensure_store(folder, opened, encoder, embed, batch_size=4)


def assert_same(found: StoredEmbeddings, pristine: Path) -> None:
    right = open_store(pristine)
    np.testing.assert_array_equal(found.embedding, right.embedding)
    np.testing.assert_array_equal(found.trunk, right.trunk)
    np.testing.assert_array_equal(found.ok, right.ok)
    assert (found.ids, found.images, found.bad) == (right.ids, right.images, right.bad)
    assert found.manifest == right.manifest


def rows_file(folder: Path, stretch: int) -> Path:
    return sorted(folder.glob("rows-*.parquet"))[stretch]


def at(name: str | int, change: Damage) -> Damage:
    """Do something to a file by its name, or to the rows of a stretch by its number."""
    return lambda folder: change(
        rows_file(folder, name) if isinstance(name, int) else folder / name
    )


def cut(size: int) -> Damage:
    return lambda path: os.truncate(path, size)


def fill(content: bytes) -> Damage:
    return lambda path: (path.write_bytes(content), None)[1]


def overwrite(place: int, content: bytes) -> Damage:
    def spoil(path: Path) -> None:
        with open(path, "r+b") as handle:
            handle.seek(place)
            handle.write(content)

    return spoil


def longer(path: Path) -> None:
    with open(path, "ab") as handle:
        handle.write(NOISE)


def link(path: Path) -> None:
    """Move the file away and put a link to it in its place: what is written would go there."""
    precious = path.parent.parent / "precious"
    path.rename(precious)
    path.symlink_to(precious)


def dead_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "made-by-a-link")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def exchange(folder: Path) -> None:
    """Let two stretches' rows have each other's first rows."""
    one, other = rows_file(folder, 1), rows_file(folder, 2)
    first, second = (path.name.split(".")[0] for path in (one, other))
    one.rename(folder / one.name.replace(first, "aside"))
    other.rename(folder / other.name.replace(second, first))
    (folder / one.name.replace(first, "aside")).rename(folder / one.name.replace(first, second))


def other_rows(folder: Path) -> None:
    """Put the first stretch's content into the second's file."""
    rows_file(folder, 1).write_bytes(rows_file(folder, 0).read_bytes())


def noted(**changed: object) -> Damage:
    """Change what the manifest says, its checksum left as it was."""

    def spoil(folder: Path) -> None:
        path = folder / "manifest.json"
        content = json.loads(path.read_text()) | changed
        kept = {name: value for name, value in content.items() if value is not None}
        path.write_text(json.dumps(kept))

    return spoil


E, T = 4 * 3, 4 * 12  # bytes of a row of the two files of numbers

#: What is done to a store, how many of its rows must be embedded anew, and what is named.
STORES: dict[str, tuple[Damage, int, str]] = {
    **{
        f"{name} cut to {size} bytes": (at(name, cut(size)), fresh, name)
        for name, step in (("embedding.f32", E), ("trunk.f32", T))
        for size, fresh in (
            (0, ROWS),
            (1, ROWS),
            (STRETCH * step - 1, ROWS),
            (STRETCH * step, ROWS - STRETCH),
            (ROWS * step // 2 + 3, 3 * STRETCH),
            (ROWS * step - 1, STRETCH),
        )
    },
    **{
        f"{name} {what}": (at(name, change), fresh, name)
        for name, step in (("embedding.f32", E), ("trunk.f32", T))
        for what, change, fresh in (
            ("with a zeroed row", overwrite(5 * step, bytes(step)), STRETCH),
            ("with two rows of noise", overwrite((STRETCH - 1) * step, NOISE[: 2 * step]), 16),
            ("of noise", fill(NOISE[: ROWS * step]), ROWS),
            ("of zeros", fill(bytes(ROWS * step)), ROWS),
            ("missing", Path.unlink, ROWS),
            ("as a link", link, ROWS),
            ("as a dead link", dead_link, ROWS),
        )
    },
    **{
        f"rows of stretch {number} {what}": (at(number, change), STRETCH, "rows-")
        for number in (0, 2, 4)
        for what, change in (
            ("cut to nothing", cut(0)),
            ("cut to 100 bytes", cut(100)),
            ("of noise", fill(NOISE)),
            ("with a byte changed", overwrite(200, b"\x07")),
            ("with a further byte", longer),
            ("as a link", link),
            ("as a dead link", dead_link),
        )
    },
    "rows of a stretch missing": (at(3, Path.unlink), STRETCH, "a file of rows is missing"),
    "rows of two stretches missing": (
        lambda folder: (rows_file(folder, 1).unlink(), rows_file(folder, 1).unlink(), None)[2],
        2 * STRETCH,
        "a file of rows is missing",
    ),
    "all rows missing": (
        lambda folder: [path.unlink() for path in folder.glob("rows-*")] and None,
        ROWS,
        "a file of rows is missing",
    ),
    "stretches exchanged": (exchange, 2 * STRETCH, ".f32"),
    "a stretch's rows with another's content": (other_rows, STRETCH, "rows-"),
    **{
        f"manifest {what}": (change, ROWS, "manifest.json")
        for what, change in (
            ("empty", at("manifest.json", cut(0))),
            ("cut short", at("manifest.json", cut(70))),
            ("of noise", at("manifest.json", fill(NOISE))),
            ("of deep lists", at("manifest.json", fill(b"[" * 100_000))),
            ("in another encoding", at("manifest.json", fill(b'{"encoder": "\xe9"}'))),
            ("of another kind", at("manifest.json", fill(b"[1, 2]"))),
            ("with more rows", noted(rows=ROWS + 1)),
            ("with fewer rows", noted(rows=STRETCH)),
            ("with rows beyond measure", noted(rows=10**30)),
            ("with negative rows", noted(rows=-1)),
            ("with more bad rows", noted(bad=2)),
            ("unfinished", noted(complete=False)),
            ("with another width", noted(embedding_dim=4)),
            ("with other items", noted(items="0" * 64)),
            ("of another encoder", noted(encoder_identity="toy1")),
            ("with a further key", noted(run="x")),
            ("without checksum", noted(checksum=None)),
            ("of a version to come", noted(version=3)),
        )
    },
}


@pytest.mark.parametrize("name", STORES)
def test_damaged_rows_are_embedded_anew_and_no_others(
    name: str, table: Path, pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, fresh, named = STORES[name]
    folder = tmp_path / "run" / "embeddings"
    shutil.copytree(pristine, folder)
    damage(folder)
    precious = folder.parent / "precious"
    before = precious.read_bytes() if precious.exists() else None
    found, embedded = stored(folder, table)
    assert_same(found, pristine)
    assert embedded == fresh
    said = [line for line in capsys.readouterr().err.splitlines() if "embedded anew" in line]
    assert len(said) == 1, said
    assert str(folder) in said[0]
    assert named in said[0]
    assert before == (precious.read_bytes() if precious.exists() else None)
    assert not (folder.parent / "made-by-a-link").exists()
    assert not [path for path in folder.iterdir() if path.is_symlink()]
    # And it is whole again.
    again, embedded = stored(folder, table)
    assert_same(again, pristine)
    assert embedded == 0
    assert capsys.readouterr().err == ""


#: What is no damage, or none that matters.
HARMLESS: dict[str, Damage] = {
    "further bytes behind the embeddings": at("embedding.f32", longer),
    "further bytes behind the trunk features": at("trunk.f32", longer),
    "rows that were being written": lambda folder: fill(NOISE)(
        folder / f"rows-{ROWS:012d}.parquet"
    ),
    "a draft": lambda folder: fill(NOISE)(folder / ".manifest.json.abcd1234.part"),
    "somebody's file": lambda folder: fill(PRECIOUS)(folder / "rows-mine.parquet"),
    "somebody's folder": lambda folder: (folder / "rows").mkdir(),
    "rows without a checksum in their name": lambda folder: (
        rows_file(folder, 1).rename(folder / f"rows-{STRETCH:012d}.parquet"),
        None,
    )[1],
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_no_damage_costs_nothing(
    name: str, table: Path, pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "embeddings"
    shutil.copytree(pristine, folder)
    HARMLESS[name](folder)
    found, embedded = stored(folder, table)
    assert_same(found, pristine)
    assert embedded == 0
    assert capsys.readouterr().err == ""
    if name == "somebody's file":
        assert (folder / "rows-mine.parquet").read_bytes() == PRECIOUS


#: What we do not take out of the way: the job ends, and names it.
REFUSED: dict[str, tuple[Damage, str]] = {
    "a folder for the embeddings": (at("embedding.f32", folder_instead), "embedding.f32"),
    "a folder for the trunk features": (at("trunk.f32", folder_instead), "trunk.f32"),
    "a pipe for the embeddings": (at("embedding.f32", pipe), "embedding.f32"),
    "a pipe for the trunk features": (at("trunk.f32", pipe), "trunk.f32"),
    "a folder for the manifest": (at("manifest.json", folder_instead), "manifest.json"),
    "a folder for rows": (at(2, folder_instead), f"rows-{2 * STRETCH:012d}"),
    "a file for the folder": (
        lambda folder: (shutil.rmtree(folder), fill(PRECIOUS)(folder), None)[2],
        "embeddings",
    ),
    "a link for the folder": (link, "is a link"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_ours_is_named_and_left(
    name: str, table: Path, pristine: Path, tmp_path: Path
) -> None:
    damage, named = REFUSED[name]
    folder = tmp_path / "run" / "embeddings"
    shutil.copytree(pristine, folder)
    damage(folder)
    kinds = {path: path.stat().st_mode for path in (tmp_path / "run").rglob("*")}
    with pytest.raises((InputError, OSError)) as refused:
        stored(folder, table)
    assert named in str(refused.value)
    if isinstance(refused.value, OSError):
        # One that the command line tells without a traceback.
        assert refused.value.errno in (errno.EEXIST, errno.EISDIR, errno.ENOTDIR)
    strange = {path for path, mode in kinds.items() if named in path.name}
    assert all(path.exists() and path.stat().st_mode == kinds[path] for path in strange)


def first_version(folder: Path) -> None:
    """Make of a store one of the version that wrote no checksums."""
    for path in folder.glob("rows-*.parquet"):
        rows = pq.read_table(path).replace_schema_metadata(None)
        pq.write_table(rows, folder / f"{path.name.split('.')[0]}.parquet")
        path.unlink()
    noted(version=1, checksum=None)(folder)


#: What becomes of a store without checksums, and how many rows must be embedded anew.
FIRST_VERSION: dict[str, tuple[Damage, int]] = {
    "whole": (lambda folder: None, 0),
    "rows cut short": (at(1, cut(300)), STRETCH),
    "rows of noise": (at(1, fill(NOISE)), STRETCH),
    "rows missing": (at(1, Path.unlink), STRETCH),
    "embeddings cut short": (at("embedding.f32", cut(ROWS * E - 1)), STRETCH),
    "trunk features missing": (at("trunk.f32", Path.unlink), ROWS),
}


@pytest.mark.parametrize("name", FIRST_VERSION)
def test_a_store_without_checksums_is_read_as_before(
    name: str, table: Path, pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage, fresh = FIRST_VERSION[name]
    folder = tmp_path / "embeddings"
    shutil.copytree(pristine, folder)
    first_version(folder)
    damage(folder)
    found, embedded = stored(folder, table)
    np.testing.assert_array_equal(found.embedding, open_store(pristine).embedding)
    np.testing.assert_array_equal(found.trunk, open_store(pristine).trunk)
    assert found.bad == open_store(pristine).bad
    assert embedded == fresh
    assert ("embedded anew" in capsys.readouterr().err) == (fresh > 0)


def test_a_damaged_store_is_not_opened(pristine: Path, tmp_path: Path) -> None:
    folder = tmp_path / "embeddings"
    shutil.copytree(pristine, folder)
    overwrite(E, b"\x00\x01")(folder / "embedding.f32")
    with pytest.raises(DamagedStore, match=r"embedding.f32: rows 1 to 8 are not what was written"):
        open_store(folder)
    with pytest.raises(FileNotFoundError, match="no embeddings are kept"):
        open_store(tmp_path / "nowhere")


def test_a_killed_mending_is_gone_on_with(
    table: Path, pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the numbers of a stretch and its rows, and then the mending goes through."""
    folder = tmp_path / "embeddings"
    shutil.copytree(pristine, folder)
    overwrite(0, bytes(ROWS * E))(folder / "embedding.f32")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rac.attributes.store_files.NumberedFile.write", killed)
        with pytest.raises(KeyboardInterrupt):
            stored(folder, table)
    found, embedded = stored(folder, table)
    assert_same(found, pristine)
    assert embedded == ROWS


def test_stored_embeddings_are_for_their_owner_alone(pristine: Path) -> None:
    assert pristine.stat().st_mode & 0o777 == 0o700
    assert (pristine / "embedding.f32").stat().st_mode & 0o777 == 0o600


def test_no_space_names_the_file(tmp_path: Path, table: Path) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        with pytest.raises(OSError, match="too large") as failed:
            stored(tmp_path / "embeddings", table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert failed.value.filename == str(tmp_path / "embeddings" / "embedding.f32")
    with pytest.raises(OSError, match="left") as failed, naming(tmp_path / "x.parquet"):
        raise OSError(errno.ENOSPC, "Arrow says something long")
    assert (failed.value.errno, failed.value.filename) == (
        errno.ENOSPC,
        str(tmp_path / "x.parquet"),
    )
    with pytest.raises(JobFailed, match=r"x\.parquet: it will not"), naming(tmp_path / "x.parquet"):
        raise OSError("it will not")


def flip_a_store(table: Path, pristine: Path, copy: Path) -> None:
    """In a process of its own: each flip is named; a few are mended, which is much slower."""
    told: list[str] = []
    store_module.say = told.append
    store_module._COMMIT_ROWS = STRETCH
    for number, where in enumerate(flipped_copies(pristine, copy, FLIPS, seed=6)):
        try:
            open_store(copy)
        except DamagedStore as damaged:
            assert where.partition(":")[0] in str(damaged), (where, str(damaged))  # noqa: PT017
        else:
            raise AssertionError(f"{where} was not found")
        if number % 20 == 0:
            told.clear()
            found, embedded = stored(copy, table)
            assert_same(found, pristine)
            assert embedded in (STRETCH, ROWS), where
            assert len(told) == 1, (where, told)


def test_every_flipped_bit_of_a_store_is_named(table: Path, pristine: Path, tmp_path: Path) -> None:
    in_child(flip_a_store, table, pristine, tmp_path / "copy")


# ---------------------------------------------------------------- an unfinished `rac embed`

PARTS_DONE = 4


class Breaking(ToyEncoder):
    """Is broken off when four parts are done."""

    def _forward_images(self, pixels: Pixels) -> tuple[FloatArray, FloatArray]:
        if self.images_encoded + len(pixels) > PARTS_DONE * STRETCH:
            raise KeyboardInterrupt
        return super()._forward_images(pixels)


def embed(
    table: Path, out: Path, encoder: ToyEncoder | None = None, *, restart: bool = False
) -> EmbeddingSummary:
    return write_embeddings(
        open_table(table),
        encoder or ToyEncoder(),
        out,
        batch_size=4,
        trunk=True,
        restart=restart,
        progress=False,
    )


@dataclass(frozen=True)
class Unfinished:
    folder: Path
    whole: pa.Table


@pytest.fixture(scope="module")
def unfinished(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Unfinished:
    folder = tmp_path_factory.mktemp("unfinished")
    before, parts_module.PART_ROWS = parts_module.PART_ROWS, STRETCH
    try:
        whole = pq.read_table(embed(table, folder / "whole").file)
        with pytest.raises(KeyboardInterrupt):
            embed(table, folder / "out", Breaking())
    finally:
        parts_module.PART_ROWS = before
    # The last of them is written beside the work that was broken off.
    for _ in range(500):
        if len(list((folder / "out" / "unfinished").glob("part-*.parquet"))) == PARTS_DONE:
            break
        time.sleep(0.02)
    assert len(list((folder / "out" / "unfinished").iterdir())) == PARTS_DONE + 1
    return Unfinished(folder / "out", whole)


def part(number: int, change: Damage) -> Damage:
    return lambda folder: change(sorted(folder.glob("part-*.parquet"))[number])


def exchange_parts(folder: Path) -> None:
    one, other = sorted(folder.glob("part-*.parquet"))[:2]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def nameless(change: Damage) -> Damage:
    """Let the parts be of the version that had no checksums in their names."""

    def spoil(folder: Path) -> None:
        for path in folder.glob("part-*.parquet"):
            path.rename(folder / f"{path.name.split('.')[0]}.parquet")
        change(folder)

    return spoil


#: What is done to the parts of a job, and how many of its rows are taken over from them.
PARTS: dict[str, tuple[Damage, int]] = {
    **{
        f"part {number} {what}": (part(number, change), number * STRETCH)
        for number in (0, 1, 3)
        for what, change in (
            ("cut to nothing", cut(0)),
            ("cut to four bytes", cut(4)),
            ("cut in half", lambda path: os.truncate(path, path.stat().st_size // 2)),
            ("cut by a byte", lambda path: os.truncate(path, path.stat().st_size - 1)),
            ("of noise", fill(NOISE)),
            ("with a byte changed", overwrite(300, b"\x07")),
            (
                "with its end changed",
                lambda path: overwrite(path.stat().st_size - 9, b"\xff")(path),
            ),
            ("missing", Path.unlink),
            ("as a link", link),
            ("as a dead link", dead_link),
        )
    },
    "parts exchanged": (exchange_parts, 0),
    "an older part cut in half": (
        nameless(part(1, lambda path: os.truncate(path, path.stat().st_size // 2))),
        STRETCH,
    ),
    "an older part of noise": (nameless(part(1, fill(NOISE))), STRETCH),
    "older parts": (nameless(lambda folder: None), PARTS_DONE * STRETCH),
    "a part that was being written": (
        lambda folder: fill(NOISE)(folder / ".part-000000000024.0123456789abcdef.parquet.ab.part"),
        PARTS_DONE * STRETCH,
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_damaged_parts_are_done_again(
    name: str,
    table: Path,
    unfinished: Unfinished,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage, resumed = PARTS[name]
    out = tmp_path / "out"
    shutil.copytree(unfinished.folder, out)
    damage(out / "unfinished")
    summary = embed(table, out)
    assert summary.resumed_rows == resumed
    assert pq.read_table(out / "embeddings.parquet").equals(unfinished.whole)
    assert summary.checksum == checksum_at(out / "embeddings.parquet")
    assert json.loads((out / "manifest.json").read_text())["checksum"] == summary.checksum
    said = [line for line in capsys.readouterr().err.splitlines() if "embedded anew" in line]
    # A missing last part is as one that was never written.
    assert bool(said) == (resumed < PARTS_DONE * STRETCH and name != "part 3 missing"), said
    assert all("part-" in line for line in said)
    assert not (out / "unfinished").exists()
    assert not (out / "made-by-a-link").exists()


def flip_parts(table: Path, folder: Path, copy: Path, whole: Path) -> None:
    """In a process of its own: each flip is told and its rows are done again, or is refused."""
    told: list[str] = []
    parts_module.say = told.append
    parts_module.PART_ROWS = STRETCH
    right = pq.read_table(whole)
    for number, where in enumerate(flipped_copies(folder, copy, PART_FLIPS, seed=8)):
        told.clear()
        name = where.partition(":")[0]
        job = EmbeddingJob.model_validate_json((folder / "unfinished" / "job.json").read_bytes())
        schema = right.schema.remove_metadata()
        try:
            parts = Parts.open(copy / "unfinished", job, schema, restart=False)
        except InputError as error:
            assert name == "unfinished/job.json", where
            assert "unfinished" in str(error), where  # noqa: PT017
            continue
        if name != "unfinished/job.json":
            assert name in told[0], (where, told)
            assert parts.rows == int(name[-37:-25]), where
        if number % 20 == 0:
            embed(table, copy)
            assert pq.read_table(copy / "embeddings.parquet").equals(right), where


def test_every_flipped_bit_of_a_part_is_named(
    table: Path, unfinished: Unfinished, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.parquet"
    pq.write_table(unfinished.whole, whole)
    folder = tmp_path / "parts"
    shutil.copytree(unfinished.folder, folder)
    in_child(flip_parts, table, folder, tmp_path / "copy", whole)


#: What no job has put there: it is named, and neither followed nor removed.
STRANGE: dict[str, Damage] = {
    "a link for the folder": lambda folder: link(folder),
    "a dead link for the folder": lambda folder: (
        shutil.rmtree(folder),
        folder.symlink_to("nowhere"),
        None,
    )[2],
    "somebody's file": lambda folder: fill(PRECIOUS)(folder / "letter.txt"),
    "somebody's part": lambda folder: fill(PRECIOUS)(folder / "part-mine.parquet"),
    "somebody's folder": lambda folder: (folder / "letters").mkdir(),
    "a folder for a part": part(1, folder_instead),
    "a hidden file": lambda folder: fill(PRECIOUS)(folder / ".letter"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_restart_removes_only_what_is_ours(
    name: str, table: Path, unfinished: Unfinished, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(unfinished.folder, out)
    STRANGE[name](out / "unfinished")
    before = sorted(out.rglob("*"))
    with pytest.raises(InputError, match="unfinished"):
        embed(table, out, restart=True)
    assert sorted(out.rglob("*")) == before


def test_a_part_that_is_damaged_while_the_job_runs_ends_it(
    table: Path, unfinished: Unfinished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(unfinished.folder, out)
    settled = parts_module.Parts.settle

    def settle(self: parts_module.Parts) -> None:
        settled(self)
        overwrite(300, b"\x07")(sorted((out / "unfinished").glob("part-*.parquet"))[0])

    with monkeypatch.context() as patch:
        patch.setattr(parts_module.Parts, "settle", settle)
        with pytest.raises(JobFailed, match=r"part-000000000000\..+ run it again"):
            embed(table, out)
    assert not (out / "embeddings.parquet").exists()
    assert embed(table, out).rows == ROWS
    assert pq.read_table(out / "embeddings.parquet").equals(unfinished.whole)


def test_what_cannot_be_read_again_is_not_called_done(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_module, "checksum_at", lambda path: None)
    with pytest.raises(JobFailed, match=r"embeddings.parquet: what was written cannot be read"):
        embed(table, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (part(1, cut(50)), 0, "part-000000000008"),
        (lambda folder: link(folder), 2, "unfinished is a link"),
        (lambda folder: fill(b"[[[")(folder / "job.json"), 2, "--restart"),
    ],
)
def test_the_command_tells_of_damaged_parts_without_traceback(
    damage: Damage,
    code: int,
    said: str,
    table: Path,
    unfinished: Unfinished,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import rac.encoders

    monkeypatch.setattr(rac.encoders, "load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    out = tmp_path / "out"
    shutil.copytree(unfinished.folder, out)
    damage(out / "unfinished")
    monkeypatch.setattr(sys, "argv", ["rac", "embed", str(table), "-o", str(out), "--trunk"])
    try:
        main()
        ended: object = 0
    except SystemExit as end:
        ended = end.code
    assert ended in ({0, None} if code == 0 else {code})
    found = capsys.readouterr().err
    assert said in found
    assert "Traceback" not in found


# ---------------------------------------------------------------- the images of a training


@pytest.fixture
def images(table: Path, tmp_path: Path) -> ImageStore:
    opened = open_table(table)
    items = [item for cells in opened.batches() for item in opened.items(cells)]
    store, _ = store_images(
        items, opened.base, tmp_path / "images.bin", partial(shrink, side=8), target=8
    )
    return store


IMAGE_FILES: dict[str, Damage] = {
    "cut to nothing": cut(0),
    "cut to half an image": cut(200),
    "of noise": fill(NOISE),
    "of zeros": fill(bytes(4096)),
    "with a byte changed": overwrite(150, b"\x07"),
    "cut while it is read": cut(0),
}


@pytest.mark.parametrize("name", IMAGE_FILES)
def test_a_damaged_image_is_not_learnt_from(name: str, images: ImageStore) -> None:
    if name == "cut while it is read":
        assert images.read(1).shape[0] == 8
    IMAGE_FILES[name](images.path)
    with pytest.raises(JobFailed, match=r"images.bin: image 1 is not what was written"):
        images.read(0)


PROMISES = [
    Promise(
        "stored embeddings of a run",
        "damaged rows are named and embedded anew, no others; the rest is used as it was",
        "cut, zeroed, noisy, missing, exchanged files; links; manifests that say another thing",
        len(STORES) + len(HARMLESS) + len(REFUSED),
    ),
    Promise(
        "stored embeddings, flipped bits",
        "every one is named, and its rows are embedded anew",
        "single bits of all files of a run's embeddings",
        FLIPS,
    ),
    Promise(
        "stored embeddings without checksums",
        "read as before; what cannot be read is embedded anew",
        "stores of the first version, whole and damaged",
        len(FIRST_VERSION),
    ),
    Promise(
        "unfinished `rac embed`",
        "what is whole is taken over, the rest done again and said; no foreign file is removed",
        "parts cut, exchanged, missing, of noise; links and foreign files in the folder",
        len(PARTS) + len(STRANGE) + 3,
    ),
    Promise(
        "unfinished `rac embed`, flipped bits",
        "named, and the rows done again, or the job refused by name",
        "single bits of all files of an unfinished job",
        PART_FLIPS,
    ),
    Promise(
        "images of a training",
        "a damaged one ends the training by name; no signal",
        "cut, zeroed and changed files, also while they are read",
        len(IMAGE_FILES),
    ),
]
