"""``rac index`` from the command line, with the toy encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rac.cli.index.told import index_text
from rac.errors import InputError, JobFailed
from retrieval_index import (
    Batch,
    CorruptMemory,
    DuplicateId,
    EncoderMismatch,
    IndexPlan,
    Memory,
    make_rows,
)
from tests.rac.cli.toy_memory import COLOURS, rac_index, write_catalogue
from tests.toy import write_toy_images

pytestmark = pytest.mark.usefixtures("toy_encoders")


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return write_catalogue(tmp_path / "catalogue", COLOURS)


def build(catalogue: Path, folder: Path, *options: str) -> dict[str, object]:
    result = rac_index("build", catalogue, "-o", folder, "--text", "caption", "--json", *options)
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize("metric", ["cosine", "whitened"])
@pytest.mark.parametrize(("space", "dim"), [("trunk", 12), ("embedding", 3)])
def test_what_is_built_is_found(
    catalogue: Path, tmp_path: Path, metric: str, space: str, dim: int
) -> None:
    folder = tmp_path / "memory"
    built = build(catalogue, folder, "--metric", metric, "--space", space)
    assert built["count"] == built["added"] == 6
    assert (built["dim"], built["metric"], built["space"]) == (dim, metric, space)
    write_toy_images(tmp_path / "new", ["white", "green"])
    result = rac_index("search", folder, tmp_path / "new/0001-green.png", "-k", 2, "--json")
    neighbours = json.loads(result.stdout)["neighbours"]
    assert [n["label"] for n in neighbours] == ["green", "green"]
    assert neighbours[0]["text"] == "a green [bold]thing"
    assert neighbours[0]["source"].endswith("-green.png")
    assert neighbours[0]["score"] >= neighbours[1]["score"]
    memory = Memory.open(folder)
    assert memory.rows.column("content_hash").null_count == 0


def test_the_printed_table_shows_text_as_it_is(catalogue: Path, tmp_path: Path) -> None:
    build(catalogue, tmp_path / "memory")
    result = rac_index("search", tmp_path / "memory", catalogue.parent / "0000-red.png", "-k", 1)
    assert "item0" in result.stdout
    assert "1.000" in result.stdout
    assert "[bold]" in result.stdout
    assert "item1" not in result.stdout


def test_bad_images_are_left_out_and_counted(catalogue: Path, tmp_path: Path) -> None:
    (catalogue.parent / "0003-green.png").write_text("not an image")
    result = rac_index("build", catalogue, "-o", tmp_path / "memory")
    assert "1 bad images are left out, the first is item3: " in result.stderr
    assert "version 1, 5 rows added, 5 in all (trunk, cosine)" in result.stdout
    assert "item3" not in Memory.open(tmp_path / "memory").ids


def test_no_usable_image_at_all_fails_the_job(catalogue: Path, tmp_path: Path) -> None:
    for path in catalogue.parent.glob("*.png"):
        path.write_text("not an image")
    rac_index("build", catalogue, "-o", tmp_path / "memory", fails=JobFailed)
    assert not (tmp_path / "memory").exists()


def test_adding(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    build(catalogue, folder)
    more = write_catalogue(tmp_path / "more", ["yellow"], ids=["item6"])
    added = json.loads(rac_index("add", folder, more, "--json").stdout)
    assert (added["added"], added["count"], added["version"]) == (1, 7, 2)
    assert Memory.open(folder).labels[-1] == "yellow"
    failed = rac_index("add", folder, more, fails=DuplicateId)
    assert "'item6'" in str(failed.exception)
    assert len(Memory.open(folder)) == 7


def test_the_encoder_that_made_it_is_used_and_another_refused(
    catalogue: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "memory"
    build(catalogue, folder, "--encoder", "special")
    image = catalogue.parent / "0000-red.png"
    rac_index("search", folder, image)
    failed = rac_index("search", folder, image, "--encoder", "mini", fails=EncoderMismatch)
    assert "--encoder special" in str(failed.exception)
    rac_index("add", folder, catalogue, "--encoder", "mini", fails=EncoderMismatch)


def test_a_bad_query_image_is_a_mistake_of_the_user(catalogue: Path, tmp_path: Path) -> None:
    build(catalogue, tmp_path / "memory")
    failed = rac_index("search", tmp_path / "memory", tmp_path / "none.png", fails=InputError)
    assert "none.png" in str(failed.exception)


def test_info(catalogue: Path, tmp_path: Path) -> None:
    build(catalogue, tmp_path / "memory", "--metric", "whitened")
    facts = json.loads(rac_index("info", tmp_path / "memory", "--json").stdout)
    assert (facts["count"], facts["labelled"], facts["classes"]) == (6, 6, 3)
    assert facts["encoder_name"] == "mini"
    assert (facts["index"]["kind"], facts["index"]["measured_recall"]) == ("flat", None)
    text = rac_index("info", tmp_path / "memory").stdout
    assert "6 in 3 classes" in text
    assert "flat, exact" in text


def test_a_memory_that_has_outgrown_the_exact_search_says_so(tmp_path: Path) -> None:
    memory = Memory.create(
        tmp_path / "m", np.eye(99), make_rows(list(map(str, range(99)))), encoder="e"
    )
    assert index_text(memory) == "flat, exact"
    slow = memory.manifest.model_copy(update={"plan": IndexPlan(latency_ms=0.001)})
    memory.manifest = slow
    assert "rac index compact builds a fast one" in index_text(memory)


def test_an_index_that_was_forced_says_what_it_misses(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(99, 4))
    rows = make_rows(list(map(str, range(99))))
    plan = IndexPlan(kind="ivf", latency_ms=1e-6)
    batch = Batch(vectors, rows)
    forced = Memory.build(tmp_path / "m", [batch], encoder="e", plan=plan, force=True)
    assert "; slower than the 1e-06 ms that were asked for" in index_text(forced)


def test_verify_names_the_damaged_file(catalogue: Path, tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    build(catalogue, folder)
    assert "version 1 is sound, 6 rows" in rac_index("verify", folder).stdout
    assert json.loads(rac_index("verify", folder, "--json").stdout)["ok"] is True
    path = folder / "versions/000001/vectors.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    failed = rac_index("verify", folder, fails=CorruptMemory)
    assert "vectors.npy: its bytes do not match" in str(failed.exception)
