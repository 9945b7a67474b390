"""The cache of embeddings, damaged in every way we could think of: it costs time, never a job."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import rac.embedding.entries as entries_module
from rac.cli.app import main
from rac.embedding import EmbeddingCache, collect_features, embed_table
from rac.embedding.cache import ASIDE, DESCRIPTION, SUFFIX, caches_folder
from rac.embedding.entries import FILE, JOURNAL, LOG_FILES
from rac.embedding.upkeep import CacheState, list_caches, prune_caches
from rac.encoders.base import FloatArray
from rac.tables import open_table
from tests.hostile.flips import flipped_copies, in_child
from tests.hostile.table import Promise
from tests.toy import COLOURS, ToyEncoder, write_toy_images

IDENTITY = "70ab"
NAME = f"{IDENTITY}{SUFFIX}"
IMAGES = 12
PAGE = 4096
PAGES = 16
FLIPS = 200
PRECIOUS = "nobody may change this\n"

Damage = Callable[[Path], None]
"""Does something to the folder of a cache."""


def kept() -> dict[str, tuple[FloatArray, FloatArray]]:
    """What the cache knows besides the images of the shop: enough for a tree of pages."""
    draw = np.random.default_rng(5)
    return {
        draw.bytes(32).hex(): (
            draw.random(3, dtype=np.float32),
            draw.random(12, dtype=np.float32),
        )
        for _ in range(300)
    }


KEPT = kept()


@dataclass(frozen=True)
class Outcome:
    embedding: FloatArray
    trunk: FloatArray
    encoded: int
    told: list[str]


def look(cache: EmbeddingCache, table: Path, encoder: ToyEncoder) -> Outcome:
    """Ask for everything and embed the shop, as a job does."""
    for key, (embedding, trunk) in cache.get_many(KEPT).items():
        np.testing.assert_array_equal(embedding, KEPT[key][0])
        np.testing.assert_array_equal(trunk, KEPT[key][1])
    batches = embed_table(open_table(table), encoder, cache=cache, batch_size=4, progress=False)
    features = collect_features(batches, encoder)
    assert features.ok.all()
    return Outcome(features.embedding, features.trunk, encoder.images_encoded, [])


def run(table: Path, home: Path, while_open: Damage | None = None) -> Outcome:
    """A job with a cache; what it was told, and how many images it had to embed."""
    encoder, told = ToyEncoder(IDENTITY), list[str]()
    with EmbeddingCache(encoder, home, told=told.append) as cache:
        if while_open is not None:
            assert len(cache) > 0
            while_open(home / NAME)
        found = look(cache, table, encoder)
    return Outcome(found.embedding, found.trunk, found.encoded, told)


@dataclass(frozen=True)
class Place:
    """The shop, its embeddings without a cache, and a sound cache to be copied."""

    folder: Path
    table: Path
    pristine: Path
    right: Outcome

    def same(self, found: Outcome) -> None:
        np.testing.assert_array_equal(found.embedding, self.right.embedding)
        np.testing.assert_array_equal(found.trunk, self.right.trunk)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    # Not pytest's folder, which other users may not enter, as which some of the tests run.
    folder = Path(tempfile.mkdtemp(prefix="rac-test-"))
    folder.chmod(0o755)
    names = write_toy_images(folder / "shop", (list(COLOURS) * IMAGES)[:IMAGES])
    table = folder / "shop" / "items.csv"
    table.write_text("id,image\n" + "".join(f"{name},{name}\n" for name in names))
    encoder = ToyEncoder(IDENTITY)
    features = collect_features(embed_table(open_table(table), encoder, progress=False), encoder)
    right = Outcome(features.embedding, features.trunk, encoder.images_encoded, [])
    with EmbeddingCache(ToyEncoder(IDENTITY), folder / "pristine") as cache:
        cache.put(KEPT)
    assert run(table, folder / "pristine").encoded == IMAGES
    assert run(table, folder / "pristine").encoded == 0
    assert (folder / "pristine" / NAME / FILE).stat().st_size == PAGES * PAGE
    yield Place(folder, table, folder / "pristine", right)
    shutil.rmtree(folder)


@pytest.fixture
def home(place: Place) -> Iterator[Path]:
    copy = place.folder / "home"
    shutil.copytree(place.pristine, copy)
    yield copy
    shutil.rmtree(copy)


def cut(size: int) -> Damage:
    return lambda folder: os.truncate(folder / FILE, size)


def write(name: str, content: bytes) -> Damage:
    return lambda folder: _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def page(number: int, content: bytes) -> Damage:
    def spoil(folder: Path) -> None:
        with open(folder / FILE, "r+b") as handle:
            handle.seek(number * PAGE)
            handle.write(content)

    return spoil


def catalogue(old: bytes, new: bytes) -> Damage:
    """Change the statement that the database keeps of its table."""

    def spoil(folder: Path) -> None:
        content = (folder / FILE).read_bytes()
        assert old in content[:PAGE]
        (folder / FILE).write_bytes(content[:PAGE].replace(old, new) + content[PAGE:])

    return spoil


def remove(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


def in_place_of(name: str, make: Damage) -> Damage:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return spoil


def link(path: Path) -> None:
    """Put a link to a file that must not change."""
    precious = path.parent.parent / "precious.txt"
    precious.write_text(PRECIOUS)
    path.symlink_to(precious)


def dead_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "made-by-a-link.txt")


def sql(*statements: str) -> Damage:
    def spoil(folder: Path) -> None:
        with closing(sqlite3.connect(folder / FILE, isolation_level=None)) as database:
            for statement in statements:
                database.execute(statement)

    return spoil


def whole_folder(make: Damage) -> Damage:
    def spoil(folder: Path) -> None:
        shutil.rmtree(folder)
        make(folder)

    return spoil


def foreign_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "letter.txt").write_text(PRECIOUS)


def linked_folder(folder: Path) -> None:
    other = folder.parent / "elsewhere"
    foreign_folder(other)
    folder.symlink_to(other)


NOISE = np.random.default_rng(9).bytes(PAGE)
ASIDE_SAID = r"the cache is damaged \(.+\): it is set aside as .+, and embeddings are made anew"

SET_ASIDE: dict[str, Damage] = {
    **{
        f"cut to {size} bytes": cut(size)
        for size in (
            *(0, 1, 16, 18, 20, 99, 100, 512, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE, 5 * PAGE),
            *(PAGES * PAGE // 2 - 7, (PAGES - 1) * PAGE, PAGES * PAGE - 1),
        )
    },
    **{f"page {number} zeroed": page(number, bytes(PAGE)) for number in range(PAGES)},
    **{f"page {number} of noise": page(number, NOISE) for number in range(PAGES)},
    "all noise": write(FILE, NOISE * PAGES),
    "all text": write(FILE, b"these are no embeddings\n" * 999),
    "another format": write(FILE, b"PAR1" + bytes(9000) + b"PAR1"),
    "missing": remove(FILE),
    "a folder": in_place_of(FILE, Path.mkdir),
    "a link": in_place_of(FILE, link),
    "a dead link": in_place_of(FILE, dead_link),
    "a pipe": in_place_of(FILE, os.mkfifo),
    "a journal that is a folder": in_place_of(JOURNAL, Path.mkdir),
    "a journal that is a link": in_place_of(JOURNAL, link),
    "a journal that is a dead link": in_place_of(JOURNAL, dead_link),
    "a journal that is a pipe": in_place_of(JOURNAL, os.mkfifo),
    # The database would look after the other files that such a journal speaks of.
    "a journal of others": write(JOURNAL, NOISE + bytes.fromhex("d9d505f920a163d7")),
    "a write-ahead log": write(LOG_FILES[0], NOISE),
    "a log's index": write(LOG_FILES[1], NOISE),
    "a log for a journal": sql("PRAGMA journal_mode = WAL"),
    "another version": sql("PRAGMA user_version = 3"),
    "another program's": sql("PRAGMA application_id = 7"),
    "a further table": sql("CREATE TABLE more (value)"),
    "a trigger": sql(
        "CREATE TABLE ran (value)",
        "CREATE TRIGGER run AFTER INSERT ON entries BEGIN INSERT INTO ran VALUES (1); END",
    ),
    "a view": sql("ALTER TABLE entries RENAME TO e", "CREATE VIEW entries AS SELECT * FROM e"),
    "another table": sql("DROP TABLE entries", "CREATE TABLE entries (key, value)"),
    "no table": sql("DROP TABLE entries"),
    # The first page's end holds the catalogue: what the database says of it need not be text.
    "a catalogue in another encoding": catalogue(b"entries", b"entri\xd5s"),
    "a catalogue of another statement": catalogue(b"CREATE", b"DELETE"),
    "a catalogue of another type": catalogue(b"BLOB", b"TEXT"),
    "a file for the folder": whole_folder(lambda folder: _write(folder, b"no folder")),
    "a link for the folder": whole_folder(linked_folder),
    "a dead link for the folder": whole_folder(dead_link),
    "another's folder": whole_folder(foreign_folder),
}


def values(change: Callable[[sqlite3.Connection], None]) -> Damage:
    """Change values by the database's own means: its pages are sound."""

    def spoil(folder: Path) -> None:
        with closing(sqlite3.connect(folder / FILE)) as database:
            change(database)
            database.commit()

    return spoil


def exchange(database: sqlite3.Connection) -> None:
    """Give two images each other's embeddings."""
    (first, one), (second, other) = database.execute("SELECT number, value FROM entries LIMIT 2")
    for number, value in ((first, other), (second, one)):
        database.execute("UPDATE entries SET value = ? WHERE number = ?", (value, number))


def first_seven(value: str) -> Damage:
    return sql(f"UPDATE entries SET value = {value} WHERE number <= 7")  # noqa: S608


#: And how many entries are damaged by it.
VALUES: dict[str, tuple[Damage, int]] = {
    "zeros": (first_seven("zeroblob(68)"), 7),
    "ones": (first_seven(f"x'{'ff' * 68}'"), 7),
    "a byte too many": (first_seven("CAST(value || x'00' AS BLOB)"), 7),
    "a byte too few": (first_seven("substr(value, 1, 67)"), 7),
    "nothing": (first_seven("x''"), 7),
    "a megabyte": (first_seven("zeroblob(1000000)"), 7),
    "a text": (first_seven("'no embedding'"), 7),
    "a number": (first_seven("17"), 7),
    "without checksum": (first_seven("substr(value, 9)"), 7),
    "another's checksum": (
        first_seven("CAST(substr(value, 1, 7) || x'00' || substr(value, 9) AS BLOB)"),
        7,
    ),
    "another's embedding": (values(exchange), 2),
    "all of them": (sql("UPDATE entries SET value = zeroblob(68)"), len(KEPT) + IMAGES),
}


def out_of_reach(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    folder.parent.write_text("no folder")


def no_rights(path: Callable[[Path], Path], mode: int) -> Damage:
    return lambda folder: path(folder).chmod(mode)


def link_to_itself(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    folder.parent.symlink_to(folder.parent.name)


def dead_link_above(folder: Path) -> None:
    shutil.rmtree(folder.parent)
    folder.parent.symlink_to("nowhere")


#: And what is said. All run as a user who owns nothing of it.
PASSED_BY: dict[str, tuple[Damage, str]] = {
    "a file where the caches lie": (out_of_reach, "File exists|Not a directory"),
    "a link to itself": (link_to_itself, "symbolic links|File exists"),
    "a dead link": (dead_link_above, "File exists|Permission denied"),
    "no rights to the caches": (no_rights(lambda folder: folder.parent, 0), "Permission denied"),
    "no rights to the cache": (no_rights(lambda folder: folder, 0), "Permission denied"),
    "no rights to the file": (no_rights(lambda folder: folder / FILE, 0), "Permission denied"),
    "none there, and none may be made": (
        lambda folder: (shutil.rmtree(folder), folder.parent.chmod(0o555))[0],
        "Permission denied",
    ),
    "damaged, and not to be renamed": (
        lambda folder: (cut(PAGE)(folder), folder.chmod(0o755), folder.parent.chmod(0o555))[0],
        "Permission denied",
    ),
}


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody else for the length of the block, where this is the administrator."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def renamed(folder: Path) -> None:
    folder.rename(folder.with_name(f"{folder.name}{ASIDE}by-another"))


def begun_anew(folder: Path) -> None:
    """Another process has set it aside, and uses a new one."""
    renamed(folder)
    with EmbeddingCache(ToyEncoder(IDENTITY), folder.parent, told=lambda line: None) as other:
        other.put(KEPT)


#: Done while a job has the cache open; and what it says, if anything.
WHILE_OPEN: dict[str, tuple[Damage, str | None]] = {
    **{f"cut to {size} bytes": (cut(size), ASIDE_SAID) for size in (0, 1, 100, PAGE, 6 * PAGE)},
    "overwritten with noise": (page(0, NOISE * PAGES), ASIDE_SAID),
    "overwritten with zeros": (page(0, bytes(PAGES * PAGE)), ASIDE_SAID),
    "a page of noise": (page(PAGES - 2, NOISE), ASIDE_SAID),
    "removed": (shutil.rmtree, None),
    "pruned": (lambda folder: (prune_caches(0, folder.parent), None)[1], None),
    "renamed": (renamed, None),
    "set aside by another": (begun_anew, None),
}


#: Of the file that names the encoder; and whether that is said.
DESCRIPTIONS: dict[str, tuple[Damage, bool]] = {
    "missing": (remove(DESCRIPTION), True),
    "empty": (write(DESCRIPTION, b""), True),
    "noise": (write(DESCRIPTION, NOISE), True),
    "deep": (write(DESCRIPTION, b"[" * 60_000), True),
    "a list": (write(DESCRIPTION, b'["encoder"]'), True),
    "a number": (write(DESCRIPTION, b'{"encoder": 7}'), True),
    "another encoding": (write(DESCRIPTION, '{"encoder": "é"}'.encode("latin-1")), True),
    "endless": (write(DESCRIPTION, b" " * (1 << 20)), True),
    "another name": (write(DESCRIPTION, b'{"encoder": "other"}'), False),
    "a link": (in_place_of(DESCRIPTION, link), True),
    "a dead link": (in_place_of(DESCRIPTION, dead_link), True),
    "a pipe": (in_place_of(DESCRIPTION, os.mkfifo), True),
}


@pytest.mark.parametrize("name", SET_ASIDE)
def test_a_damaged_cache_is_set_aside(name: str, place: Place, home: Path) -> None:
    SET_ASIDE[name](home / NAME)
    found = run(place.table, home)
    place.same(found)
    assert found.encoded == IMAGES
    assert len(found.told) == 1, found.told
    assert re.search(ASIDE_SAID, found.told[0]), found.told
    assert str(home / NAME) in found.told[0]
    [aside] = [path for path in home.iterdir() if ASIDE in path.name]
    assert aside.name in found.told[0]
    for precious in (*home.rglob("precious.txt"), *home.rglob("letter.txt")):
        assert precious.read_text() == PRECIOUS
    assert not (home / "made-by-a-link.txt").exists()
    # Nothing of what was set aside is in the new one, and it serves.
    again = run(place.table, home)
    assert (again.encoded, again.told) == (0, [])
    assert again.embedding.tobytes() == found.embedding.tobytes()
    if name == "a trigger":
        with closing(sqlite3.connect(aside / FILE)) as database:
            assert database.execute("SELECT count(*) FROM ran").fetchone() == (0,)


@pytest.mark.parametrize("name", VALUES)
def test_a_damaged_value_is_not_believed(name: str, place: Place, home: Path) -> None:
    damage, count = VALUES[name]
    damage(home / NAME)
    found = run(place.table, home)
    place.same(found)
    assert found.told == [f"{home / NAME}: damaged entries, embedded anew: {count}"]
    assert not [path for path in home.iterdir() if ASIDE in path.name]


def test_what_was_embedded_anew_is_kept_in_the_place_of_the_damaged(
    place: Place, home: Path
) -> None:
    sql("UPDATE entries SET value = zeroblob(68) WHERE number > 300")(home / NAME)
    assert run(place.table, home).encoded == IMAGES
    again = run(place.table, home)
    assert (again.encoded, again.told) == (0, [])


def test_an_index_that_leads_to_another_row_gives_nothing(home: Path) -> None:
    """The row is whole, and of another image: not of one that was asked for, or of one that was."""
    with closing(sqlite3.connect(home / NAME / FILE)) as database:
        (one, first), (other, second) = database.execute("SELECT key, value FROM entries LIMIT 2")
    content = (home / NAME / FILE).read_bytes()
    assert content.count(one + first) == 1
    (home / NAME / FILE).write_bytes(content.replace(one + first, other + second))
    told: list[str] = []
    with EmbeddingCache(ToyEncoder(IDENTITY), home, told=told.append) as cache:
        assert cache.get(one.hex()) is None
        found = cache.get_many([one.hex(), other.hex()])
        assert set(found) <= {other.hex()}
        for embedding, trunk in found.values():
            np.testing.assert_array_equal(embedding, KEPT[other.hex()][0])
            np.testing.assert_array_equal(trunk, KEPT[other.hex()][1])
    assert told == [f"{home / NAME}: damaged entries, embedded anew: 1"]


@pytest.mark.parametrize("name", PASSED_BY)
def test_a_cache_out_of_reach_is_passed_by(name: str, place: Place, home: Path) -> None:
    damage, said = PASSED_BY[name]
    damage(home / NAME)
    try:
        with without_rights():
            found = run(place.table, home)
    finally:
        if home.is_symlink() or not home.is_dir():
            home.unlink()
            home.mkdir()
        for path in (home, home / NAME):
            if path.exists():
                path.chmod(0o755)
    place.same(found)
    assert found.encoded == IMAGES
    assert len(found.told) == 1, found.told
    assert found.told[0].startswith(f"{home / NAME}: ")
    assert found.told[0].endswith("; this job goes on without the cache")
    assert re.search(said, found.told[0]), found.told


def forget_the_shop(folder: Path) -> None:
    sql("DELETE FROM entries WHERE number > 300")(folder)


def read_only(home: Path) -> AbstractContextManager[object]:
    home.chmod(0o755)
    (home / NAME / FILE).chmod(0o444)
    (home / NAME).chmod(0o555)
    return without_rights()


def no_file_beside(home: Path) -> AbstractContextManager[object]:
    home.chmod(0o755)
    (home / NAME / FILE).chmod(0o666)
    (home / NAME).chmod(0o555)
    return without_rights()


@contextmanager
def no_space(home: Path) -> Iterator[None]:
    """No file may grow, and none of a page's size may be made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Another process is in the middle of adding, and stands still."""
    with closing(sqlite3.connect(home / NAME / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


#: Reading goes on; and what is said of the writing.
UNKEPT: dict[str, tuple[Callable[[Path], AbstractContextManager[object]], str]] = {
    "read-only": (read_only, "it may not be written"),
    "no file may be made beside it": (no_file_beside, "no file may be made|may not be written"),
    "no space": (no_space, "the disk"),
    "held by another": (held, "another process has held it"),
}


@pytest.mark.parametrize("name", UNKEPT)
def test_what_cannot_be_kept_is_said_once_and_the_rest_is_used(
    name: str, place: Place, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries_module, "_PATIENCE_S", 0.01)
    forget_the_shop(home / NAME)
    hindrance, said = UNKEPT[name]
    with hindrance(home):
        encoder, told = ToyEncoder(IDENTITY), list[str]()
        with EmbeddingCache(encoder, home, told=told.append) as cache:
            assert len(cache.get_many(KEPT)) == len(KEPT)
            found = look(cache, place.table, encoder)
            assert len(cache.get_many(KEPT)) == len(KEPT)
    (home / NAME).chmod(0o755)
    place.same(found)
    assert found.encoded == IMAGES
    assert len(told) == 1, told
    assert re.search(said, told[0]), told
    assert told[0].endswith("; this job goes on without keeping its embeddings")
    # The next job finds nothing half kept.
    assert run(place.table, home).encoded == IMAGES


@pytest.mark.parametrize("name", WHILE_OPEN)
def test_what_befalls_an_open_cache_ends_no_job(name: str, place: Place, home: Path) -> None:
    damage, said = WHILE_OPEN[name]
    forget_the_shop(home / NAME)
    found = run(place.table, home, while_open=damage)
    place.same(found)
    assert found.encoded == IMAGES
    assert len(found.told) == (said is not None), found.told
    if said is not None:
        assert re.search(said, found.told[0]), found.told
    # Whatever it was: from then on there is a cache again.
    assert run(place.table, home).told == []
    assert run(place.table, home).encoded == 0


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_damaged_description_is_written_anew(name: str, place: Place, home: Path) -> None:
    damage, said = DESCRIPTIONS[name]
    damage(home / NAME)
    listed = list_caches(home)
    assert [(cache.state, cache.entries) for cache in listed] == [
        (CacheState.sound, len(KEPT) + IMAGES)
    ]
    assert listed[0].encoder == ("unknown" if said else "other")
    found = run(place.table, home)
    place.same(found)
    assert found.encoded == 0
    assert [line.partition(" did not name")[0] for line in found.told] == (
        [str(home / NAME / DESCRIPTION)] if said else []
    )
    assert list_caches(home)[0].encoder == "toy"
    assert not (home / NAME / DESCRIPTION).is_symlink()
    for precious in home.rglob("precious.txt"):
        assert precious.read_text() == PRECIOUS
    assert not (home / "made-by-a-link.txt").exists()


def test_a_folder_for_the_description_hinders_nothing(place: Place, home: Path) -> None:
    in_place_of(DESCRIPTION, Path.mkdir)(home / NAME)
    found = run(place.table, home)
    place.same(found)
    assert found.encoded == 0
    assert list_caches(home)[0].encoder == "unknown"


def test_a_cache_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    with EmbeddingCache(ToyEncoder(IDENTITY)) as cache:
        cache.put(KEPT)
    assert cache.path == caches_folder() / NAME
    assert caches_folder().stat().st_mode & 0o777 == 0o700
    assert cache.path.stat().st_mode & 0o777 == 0o700
    assert (cache.path / FILE).stat().st_mode & 0o777 == 0o600
    assert (cache.path / JOURNAL).stat().st_mode & 0o777 == 0o600


def test_a_cache_of_the_first_version_is_left_alone(place: Place, tmp_path: Path) -> None:
    """Its file is one that could end the process, and is never opened."""
    old = tmp_path / IDENTITY
    old.mkdir()
    (old / "data.mdb").write_bytes(NOISE)
    (old / "lock.mdb").write_bytes(b"")
    (old / DESCRIPTION).write_text('{"encoder": "mini"}')
    found = run(place.table, tmp_path)
    place.same(found)
    assert (found.encoded, found.told) == (IMAGES, [])
    assert (old / "data.mdb").read_bytes() == NOISE
    states = {cache.path.name: cache.state for cache in list_caches(tmp_path)}
    assert states == {IDENTITY: CacheState.earlier, NAME: CacheState.sound}
    assert {cache.path for cache in prune_caches(0, tmp_path).removed} == {old, tmp_path / NAME}
    assert list(tmp_path.iterdir()) == []


def ask_and_keep(home: Path) -> tuple[int, list[str]]:
    """Ask for all that was kept, and keep again what is not known; give how many were known."""
    told: list[str] = []
    with EmbeddingCache(ToyEncoder(IDENTITY), home, told=told.append) as cache:
        known = cache.get_many(KEPT)
        cache.put({key: KEPT[key] for key in KEPT if key not in known})
        again = cache.get_many(KEPT)
        # What was kept just now is known, unless it was thereby that the damage was felt.
        assert again.keys() >= KEPT.keys() - known.keys() or "is set aside" in "".join(told)
        for key, found in [*known.items(), *again.items()]:
            for kind in (0, 1):
                assert found[kind].tobytes() == KEPT[key][kind].tobytes()
    return len(known), told


def flip_bits(pristine: Path, killed: Path, copy: Path) -> None:
    """In a process of its own, which a signal may end."""
    for folder, seed in ((pristine, 3), (killed, 4)):
        felt = 0
        for where in flipped_copies(folder, copy, FLIPS, seed):
            known, told = ask_and_keep(copy)
            assert len(told) <= 1, (where, told)
            for line in told:
                assert re.search("embedded anew: 1$|is set aside|did not name", line), where
            felt += bool(told)
            # A key that leads nowhere is as one that never was, and needs no word: those of a page.
            assert told or known > len(KEPT) // 2, where
            pruned = prune_caches(0, copy)
            assert (pruned.left, list(copy.iterdir())) == ([], []), where
        # Else the bits would not lie where it matters.
        assert felt > FLIPS // 12, felt


def test_no_flipped_bit_gives_a_wrong_embedding(place: Place, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    shutil.copytree(place.pristine, whole)
    with closing(sqlite3.connect(whole / NAME / FILE, isolation_level=None)) as writer:
        # Of so many pages as do not stay in memory, until the transaction is done.
        writer.execute("PRAGMA journal_mode = TRUNCATE")
        writer.execute("PRAGMA cache_size = 2")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE entries SET value = zeroblob(300)")
        shutil.copytree(whole, killed)
        writer.execute("ROLLBACK")
    assert (killed / NAME / JOURNAL).stat().st_size > PAGE
    undisturbed = tmp_path / "undisturbed"
    shutil.copytree(killed, undisturbed)
    assert ask_and_keep(undisturbed) == (len(KEPT), [])
    in_child(flip_bits, place.pristine, killed, tmp_path / "copy")


#: How `rac cache` and `rac doctor` find a damaged cache home.
UPKEEP = [
    "cut to 0 bytes",
    "cut to 100 bytes",
    f"cut to {PAGE} bytes",
    "page 0 zeroed",
    "page 0 of noise",
    "all text",
    "missing",
    "a folder",
    "a link",
    "a pipe",
    "a journal that is a link",
    "a write-ahead log",
    "a trigger",
    "another version",
    "a file for the folder",
    "a link for the folder",
    "a dead link for the folder",
]


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs ``rac`` with arguments; gives the exit code and what was printed on both streams."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rac", *arguments])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


@pytest.fixture
def caches(tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(place.pristine, caches_folder())
    return caches_folder()


@pytest.mark.parametrize("name", UPKEEP)
def test_upkeep_works_on_any_damage(
    name: str, caches: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    SET_ASIDE[name](caches / NAME)
    code, out, err = command("cache", "info")
    assert (code, err) == (0, "")
    assert f"{caches / NAME}  DAMAGED: " in out
    code, out, err = command("cache", "info", "--json")
    assert code == 0
    [listed] = [one for one in json.loads(out) if one["path"] == str(caches / NAME)]
    assert (listed["state"], listed["entries"]) == ("damaged", None)
    assert listed["fault"]
    before = {path for path in caches.parent.rglob("*.txt") if path.is_file()}
    code, out, err = command("cache", "prune")
    assert (code, err) == (0, "")
    assert out.startswith("1 caches removed, ")
    assert not os.path.lexists(caches / NAME)
    assert before == {path for path in caches.parent.rglob("*.txt") if path.is_file()}
    code, out, _ = command("cache", "info")
    assert (code, "DAMAGED" in out) == (0, False)


@pytest.mark.parametrize("name", ["cut to 0 bytes", "page 0 of noise", "a trigger", "a link"])
def test_doctor_names_a_damaged_cache(
    name: str, caches: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    SET_ASIDE[name](caches / NAME)
    code, out, _ = command("doctor", "--json")
    assert code == 0
    [finding] = [one for one in json.loads(out) if one["topic"] == "kept embeddings"]
    assert finding["state"] == "note"
    assert f"{NAME} (damaged)" in finding["found"]
    assert finding["advice"] == "rac cache prune"


@pytest.mark.parametrize("make", [lambda home: home.write_text("a file"), dead_link])
def test_a_cache_home_that_is_none_stops_no_command(
    make: Damage,
    tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = tmp_path / "inner" / "cache"
    home.parent.mkdir()
    make(home)
    monkeypatch.setenv("RAC_CACHE_HOME", str(home))
    assert command("cache", "info") == (0, "no embeddings are kept\n", "")
    assert command("cache", "prune")[0] == 0
    code, out, _ = command("doctor", "--json")
    findings = {one["topic"]: one for one in json.loads(out)}
    assert (code, findings["cache"]["state"]) == (0, "note")
    assert str(home) in findings["cache"]["found"]


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (folder / "letter.txt").write_text(PRECIOUS),
        lambda folder: (folder / "more").mkdir(),
        lambda folder: (folder / FILE).rename(folder / "mine.sqlite"),
        lambda folder: ((folder / FILE).unlink(), (folder / FILE / "deep").mkdir(parents=True)),
    ],
)
def test_prune_removes_only_what_is_ours(
    make: Damage, caches: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    make(caches / NAME)
    content = [
        path for path in (caches / NAME).rglob("*") if path.name not in (JOURNAL, DESCRIPTION)
    ]
    code, out, err = command("cache", "prune", "--unused-days", "0")
    assert code == 1
    assert f"{caches / NAME} is left: " in err
    assert out.startswith("0 caches removed")
    assert content
    assert all(path.exists() for path in content)


PROMISES = [
    Promise(
        "cache of embeddings, its files",
        "the same embeddings as without a cache; what is damaged is set aside, in one line",
        "cut short, zeroed and noisy pages, links, pipes, folders, other databases",
        len(SET_ASIDE),
    ),
    Promise(
        "cache of embeddings, its values",
        "a value that is not what was kept is not used, counted, told and embedded anew",
        "exchanged, cut, zeroed, of another type",
        len(VALUES),
    ),
    Promise(
        "cache of embeddings, flipped bits",
        "no wrong embedding, no signal; what it costs is that images are embedded again",
        "single bits of all files, of a whole cache and of one whose writer was killed",
        2 * FLIPS,
    ),
    Promise(
        "cache of embeddings, while it is open",
        "the job ends with the same embeddings, and the next one has a cache",
        "cut short, overwritten, removed, pruned, renamed, set aside by another process",
        len(WHILE_OPEN),
    ),
    Promise(
        "cache of embeddings, out of reach",
        "passed by in one line; what can be read is used, where only writing fails",
        "no rights, read-only, no space, held by another, files and links in the way",
        len(PASSED_BY) + len(UNKEPT),
    ),
    Promise(
        "cache of embeddings, its description",
        "written anew, through no link",
        "missing, noise, deep, wrongly encoded, a link, a pipe",
        len(DESCRIPTIONS),
    ),
    Promise(
        "`rac cache`, `rac doctor`",
        "list, report and remove a damaged cache; nothing that is not a cache's",
        "the damages above, foreign files in a cache's folder",
        len(UPKEEP) + 10,
    ),
]


def test_closing_amid_a_read_of_the_same_thread_waits_for_nobody(tmp_path: Path) -> None:
    """Guards against a job that hung: garbage collection closed a cache that was being read."""
    cache = EmbeddingCache(ToyEncoder(), tmp_path)
    entries = cache._entries
    assert entries is not None

    def close() -> None:
        with entries._held():
            cache.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert entries._connection is None
