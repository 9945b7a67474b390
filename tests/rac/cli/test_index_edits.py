"""``rac index``: edits, judgement, exchange and migration, with the toy encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import rac.encoders
from rac.cli.index.sizes import byte_count
from rac.errors import InputError, JobFailed
from retrieval_index import EncoderMismatch, Memory, MemoryFault, UnknownId
from tests.rac.cli.toy_memory import COLOURS, rac_index, write_catalogue
from tests.toy import ToyEncoder

pytestmark = pytest.mark.usefixtures("toy_encoders")


def said(*arguments: object) -> dict[str, object]:
    answer: dict[str, object] = json.loads(rac_index(*arguments, "--json").stdout)
    return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A memory of six toys in embedding space, with texts and a column of splits."""
    catalogue = write_catalogue(tmp_path / "catalogue", COLOURS)
    target = tmp_path / "memory"
    rac_index(
        "build",
        catalogue,
        "-o",
        target,
        "--text",
        "caption",
        "--space",
        "embedding",
        "--keep",
        "split",
        "--search-texts",
    )
    return target


def ids_found(*arguments: object) -> list[str]:
    return [n["id"] for n in said("search", *arguments)["neighbours"]]  # type: ignore[attr-defined]


def test_search_by_text_among_images_and_among_texts(folder: Path) -> None:
    assert sorted(ids_found(folder, "--text", "green", "-k", 2)) == ["item2", "item3"]
    among_texts = ids_found(folder, "--text", "blue", "--in", "texts", "-k", 2)
    assert sorted(among_texts) == ["item4", "item5"]


def test_filters_and_exclusions(folder: Path) -> None:
    image = folder.parent / "catalogue/0000-red.png"
    assert ids_found(folder, image, "--where", "split=train", "--where", "label=red,blue") == [
        "item1",
        "item5",
    ]
    assert "item0" not in ids_found(folder, image, "--exclude", "item0")
    # Toys of one colour are near-duplicates of each other.
    left = ids_found(folder, image, "--near-duplicate", "0.999")
    assert not {"item0", "item1"} & set(left)
    assert left
    failed = rac_index("search", folder, image, "--where", "colour=red", fails=MemoryFault)
    assert "no column 'colour'" in str(failed.exception)
    none = rac_index("search", folder, image, "--where", "split=dev").stdout
    assert "no row may be found; split holds test, train" in none
    rac_index("search", folder, image, "--where", "label", fails=InputError)
    rac_index("search", folder, fails=InputError)


def test_upsert_delete_compact_and_rollback(folder: Path, tmp_path: Path) -> None:
    changed = write_catalogue(
        tmp_path / "more", ["white", "yellow"], ids=["item0", "new"], labels=["white", "yellow"]
    )
    answer = said("upsert", folder, changed, "--text", "caption", "--keep", "split")
    assert (answer["added"], answer["replaced"], answer["count"]) == (1, 1, 7)
    memory = Memory.open(folder)
    assert memory.labels[memory.ids.index("item0")] == "white"
    # The images of the new table lie elsewhere, so their references are whole paths.
    assert Path(str(memory.sources[memory.ids.index("new")])).is_absolute()
    assert memory.sources[memory.ids.index("item1")] == "0001-red.png"
    listed = tmp_path / "ids.txt"
    listed.write_text("item2\n", encoding="utf-8")
    assert said("delete", folder, "item1", "--ids-from", listed)["count"] == 5
    rac_index("delete", folder, "item1", fails=UnknownId)
    rac_index("delete", folder, fails=InputError)
    compacted = said("compact", folder, "--metric", "whitened")
    assert (compacted["count"], compacted["metric"]) == (5, "whitened")
    assert said("rollback", folder)["metric"] == "cosine"
    assert said("verify", folder, "--recall")["recall_at_10"] is None
    assert "deleted" in rac_index("info", folder).stdout


def test_building_without_near_duplicates(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "c", ["red", "green", "red"])
    names = sorted((tmp_path / "c").glob("*-red.png"))
    names[1].write_bytes(names[0].read_bytes())
    answer = said("build", catalogue, "-o", tmp_path / "m", "--dedup", "0.9999")
    assert (answer["count"], answer["near_duplicates"]) == (2, 1)
    assert Memory.open(tmp_path / "m").ids == ["item0", "item1"]


def test_duplicates_name_contradicting_labels(tmp_path: Path) -> None:
    catalogue = write_catalogue(tmp_path / "c", ["red", "green", "red"], labels=["a", "b", "c"])
    names = sorted((tmp_path / "c").glob("*-red.png"))
    names[1].write_bytes(names[0].read_bytes())
    rac_index("build", catalogue, "-o", tmp_path / "m")
    answer = said("duplicates", tmp_path / "m", "--threshold", "0.9999")
    [pair] = answer["pairs"]  # type: ignore[misc]
    assert (pair["first"], pair["second"], pair["contradict"]) == ("item0", "item2", True)
    assert len(Memory.open(tmp_path / "m")) == 3
    text = rac_index("duplicates", tmp_path / "m", "--threshold", "0.9999", "--delete").stdout
    assert "1 pairs, 1 of them with different labels" in text
    assert len(Memory.open(tmp_path / "m")) == 2


def test_trying_an_edit_publishes_nothing(folder: Path, tmp_path: Path) -> None:
    wrong = write_catalogue(
        tmp_path / "wrong", ["red"] * 3, ids=["w0", "w1", "w2"], labels=["blue"] * 3
    )
    answer = said("try", folder, "--add", wrong, "--near-duplicate", "1.0", "--keep", "split")
    assert answer["judged"] == 6
    assert answer["after"] < answer["before"]  # type: ignore[operator]
    worst = answer["classes"][0]  # type: ignore[index]
    assert worst["label"] == "red"
    assert worst["gain"] < 0
    assert Memory.open(folder).manifest.version == 1
    text = rac_index("try", folder, "--delete", "item0").stdout
    assert "nothing was published" in text
    rac_index("try", folder, fails=InputError)


def test_a_wrong_label_is_the_most_harmful(tmp_path: Path) -> None:
    labels = ["red"] * 4 + ["green"] * 4
    labels[2] = "green"
    catalogue = write_catalogue(tmp_path / "c", ["red"] * 4 + ["green"] * 4, labels=labels)
    rac_index("build", catalogue, "-o", tmp_path / "m")
    rows = said("harmful", tmp_path / "m", "-k", 3)["rows"]
    assert rows[0]["id"] == "item2"  # type: ignore[index]
    assert rows[0]["others_say"] == "red"  # type: ignore[index]
    assert (
        "item2: labelled green, neighbours say red"
        in rac_index("harmful", tmp_path / "m", "-k", 3).stdout
    )


def test_export_and_import_give_the_same_memory(folder: Path, tmp_path: Path) -> None:
    import faiss

    said("compact", folder, "--metric", "whitened")
    rac_index("export", folder, "-o", tmp_path / "plain")
    old = Memory.open(folder)
    index = faiss.read_index(str(tmp_path / "plain/index.faiss"))
    found, _ = index.search(old.searchable[:1], 1), None
    assert found[1][0, 0] == 0
    rac_index("export", folder, "-o", tmp_path / "plain", fails=MemoryFault)
    failed = rac_index("import", folder, "-o", tmp_path / "again", fails=MemoryFault)
    assert str(failed.exception).endswith("holds no exported memory (no memory.json)")
    rac_index("import", tmp_path / "plain", "-o", tmp_path / "again")
    new = Memory.open(tmp_path / "again")
    assert new.rows.equals(old.rows)
    np.testing.assert_array_equal(new.vectors, old.vectors)
    np.testing.assert_array_equal(new.searchable, old.searchable)
    np.testing.assert_array_equal(new.text_vectors, old.text_vectors)
    assert new.manifest.encoder == old.manifest.encoder


def test_import_of_foreign_vectors_and_of_a_raw_index(tmp_path: Path) -> None:
    import faiss

    vectors = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "v.npy", vectors)
    table = pa.table({"key": list(range(20)), "class": ["a", "b"] * 10})
    pq.write_table(table, tmp_path / "r.parquet")
    options = ["--rows", tmp_path / "r.parquet", "--id", "key", "--label", "class"]
    rac_index("import", *options, "--vectors", tmp_path / "v.npy", "-o", tmp_path / "a")
    memory = Memory.open(tmp_path / "a")
    assert memory.ids[:2] == ["0", "1"]
    assert memory.labels[:2] == ["a", "b"]
    index = faiss.index_factory(3, "IVF2,Flat")
    index.train(vectors)
    index.add(vectors)
    faiss.write_index(index, str(tmp_path / "i.faiss"))
    rac_index("import", *options, "--faiss", tmp_path / "i.faiss", "-o", tmp_path / "b")
    np.testing.assert_array_equal(Memory.open(tmp_path / "b").vectors, memory.vectors)
    np.save(tmp_path / "short.npy", vectors[:5])
    failed = rac_index(
        "import",
        *options,
        "--vectors",
        tmp_path / "short.npy",
        "-o",
        tmp_path / "c",
        fails=MemoryFault,
    )
    assert "holds 5 vectors" in str(failed.exception)
    rac_index("import", *options, "-o", tmp_path / "c", fails=InputError)
    np.save(tmp_path / "number.npy", np.float32(1))
    number = ["--vectors", tmp_path / "number.npy", "-o", tmp_path / "c"]
    failed = rac_index("import", *options, *number, fails=MemoryFault)
    assert "number.npy: is not one array of vectors" in str(failed.exception)
    no_array = ["--vectors", tmp_path / "r.parquet", "-o", tmp_path / "c"]
    failed = rac_index("import", *options, *no_array, fails=MemoryFault)
    assert str(failed.exception).endswith("r.parquet: is not a .npy file of numbers")


def test_migration_compares_and_publishes(folder: Path) -> None:
    answer = said("migrate", folder, "--encoder", "other", "--dry-run")
    assert (answer["published"], answer["rows"], answer["embedded"]) == (False, 6, 6)
    assert answer["overlap"] == 1.0, "the toys see alike"
    assert answer["old_accuracy"] == answer["new_accuracy"]
    assert Memory.open(folder).manifest.encoder_name == "mini"
    old = Memory.open(folder)
    said("migrate", folder, "--encoder", "other")
    moved = Memory.open(folder)
    assert moved.manifest.encoder_name == "other"
    assert moved.rows.equals(old.rows)
    assert moved.text_dim == 3
    image = folder.parent / "catalogue/0000-red.png"
    rac_index("search", folder, image, "--encoder", "mini", fails=EncoderMismatch)
    rac_index("rollback", folder)
    assert Memory.open(folder).manifest.encoder_name == "mini"


def test_a_migration_that_loses_too_much_is_not_published(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = rac.encoders.load_encoder

    def blind(name: str = "mini", **options: object) -> ToyEncoder:
        toy = load(name, **options)
        if name == "blind":
            toy._forward_images = lambda pixels: (  # type: ignore[method-assign]
                np.random.default_rng(0).normal(size=(len(pixels), 3)).astype(np.float32),
                np.zeros((len(pixels), 12), np.float32),
            )
        return toy

    monkeypatch.setattr(rac.encoders, "load_encoder", blind)
    failed = rac_index("migrate", folder, "--encoder", "blind", fails=JobFailed)
    assert "nothing was published" in str(failed.exception)
    assert Memory.open(folder).manifest.version == 1


def test_migration_from_a_table_and_without_references(folder: Path, tmp_path: Path) -> None:
    memory = Memory.open(folder)
    rows = memory.rows.set_column(3, "source", pa.nulls(6, pa.string()))
    bare = tmp_path / "bare"
    Memory.create(
        bare,
        memory.vectors,
        rows,
        encoder=memory.manifest.encoder,
        encoder_name="mini",
        space="embedding",
    )
    failed = rac_index("migrate", bare, "--encoder", "other", fails=InputError)
    assert "--table" in str(failed.exception)
    table = tmp_path / "catalogue/items.csv"
    assert said("migrate", bare, "--encoder", "other", "--table", table)["embedded"] == 6


@pytest.mark.parametrize("text", ["", "much", "0", "3 XB", "-1MB"])
def test_amounts_of_memory_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="no amount of memory"):
        byte_count(text)
