"""The stream from table to embeddings: order, bad images, cache."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from rac.embedding import EmbeddingCache, Features, collect_features, embed_table
from rac.embedding.job import write_embeddings
from rac.errors import JobFailed
from rac.tables import Table, open_table
from tests.toy import ToyEncoder, write_toy_images

COLOURS = ["red", "green", "blue", "yellow", "black", "white", "red"]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Seven good images, and among them a missing, a text and a truncated one."""
    folder = tmp_path / "shop"
    names = write_toy_images(folder, COLOURS)
    (folder / "text.png").write_text("no image at all")
    data = (folder / names[0]).read_bytes()
    (folder / "truncated.png").write_bytes(data[: len(data) // 2])
    names[2:2] = ["missing.png"]
    names[5:5] = ["text.png", "truncated.png"]
    with (folder / "items.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image"])
        writer.writerows([f"sku-{number}", name] for number, name in enumerate(names))
    return open_table(folder / "items.csv")


def embedded(table: Table, encoder: ToyEncoder, **options: Any) -> Features:
    return collect_features(embed_table(table, encoder, progress=False, **options), encoder)


def test_rows_come_in_order_and_each_bad_image_falls_alone(table: Table) -> None:
    features = embedded(table, ToyEncoder(), batch_size=4)
    assert [item.id for item in features.items] == [f"sku-{number}" for number in range(10)]
    assert np.flatnonzero(~features.ok).tolist() == [2, 5, 6]
    assert [features.reasons[row] is None for row in range(10)] == features.ok.tolist()
    assert not features.embedding[~features.ok].any()
    np.testing.assert_allclose(
        np.linalg.norm(features.embedding[features.ok], axis=1), 1, rtol=1e-5
    )
    # The hash of a bad image's bytes is known, where there were bytes to read.
    assert [features.hashes[row] is None for row in (2, 5, 6)] == [True, False, False]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_batch_size_changes_nothing(table: Table, batch_size: int) -> None:
    whole = embedded(table, ToyEncoder(), batch_size=10)
    other = embedded(table, ToyEncoder(), batch_size=batch_size)
    np.testing.assert_allclose(whole.embedding, other.embedding, atol=1e-6)
    np.testing.assert_allclose(whole.trunk, other.trunk, atol=1e-6)
    assert whole.reasons == other.reasons


def test_a_second_run_encodes_nothing_again(table: Table, tmp_path: Path) -> None:
    encoder = ToyEncoder()
    with EmbeddingCache(encoder, tmp_path / "cache") as cache:
        first = embedded(table, encoder, cache=cache)
        assert encoder.images_encoded == 7
        again = embedded(table, encoder, cache=cache)
        assert encoder.images_encoded == 7
        assert len(cache) == 7
    np.testing.assert_array_equal(first.embedding, again.embedding)
    np.testing.assert_array_equal(first.trunk, again.trunk)


def test_a_changed_encoder_is_a_miss(table: Table, tmp_path: Path) -> None:
    for identity in ("one", "two"):
        encoder = ToyEncoder(identity)
        with EmbeddingCache(encoder, tmp_path / "cache") as cache:
            embedded(table, encoder, cache=cache)
        assert encoder.images_encoded == 7


def test_too_many_bad_images_end_the_job_and_say_so(table: Table) -> None:
    with pytest.raises(JobFailed, match="3 of the first 10 images are bad"):
        list(embed_table(table, ToyEncoder(), max_bad=0.2, progress=False))
    assert len(list(embed_table(table, ToyEncoder(), max_bad=0.3, progress=False))) == 1


def test_the_embedding_file_has_every_row_and_its_encoder(table: Table, tmp_path: Path) -> None:
    encoder = ToyEncoder()
    summary = write_embeddings(
        table, encoder, tmp_path / "out", batch_size=3, trunk=True, progress=False
    )
    assert (summary.rows, summary.bad_images) == (10, 3)
    written = pq.read_table(summary.file)
    assert written["id"].to_pylist() == [f"sku-{number}" for number in range(10)]
    assert written["status"].to_pylist().count("bad") == 3
    assert written["embedding"][2].as_py() is None
    assert written.schema.metadata[b"rac.embeddings"].count(b"toy0") == 1
    features = embedded(table, encoder)
    # Missing vectors keep their place: pyarrow's flatten() passes them over and moves the rest up.
    vectors = {"embedding": features.embedding, "trunk": features.trunk}
    for name, expected in vectors.items():
        values = written[name].combine_chunks()
        assert values.is_valid().to_pylist() == features.ok.tolist()
        assert len(values.flatten()) == 7 * expected.shape[1]
        for row in np.flatnonzero(features.ok):
            np.testing.assert_array_equal(values[int(row)].as_py(), expected[row])


def test_a_failed_embedding_job_leaves_no_file(table: Table, tmp_path: Path) -> None:
    with pytest.raises(JobFailed):
        write_embeddings(table, ToyEncoder(), tmp_path / "out", max_bad=0.0, progress=False)
    assert not (tmp_path / "out" / "embeddings.parquet").exists()


def test_a_picture_in_every_mode_is_embedded(tmp_path: Path) -> None:
    modes = ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16"]
    for mode in modes:
        image = Image.new("RGB", (12, 12), (200, 40, 40))
        suffix = "tif" if mode == "CMYK" else "png"
        converted = image.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
        converted.save(tmp_path / f"{mode.replace(';', '')}.{suffix}")
    features = embedded(open_table(f"imagefolder:{tmp_path}"), ToyEncoder())
    assert len(features.items) == len(modes)
    assert features.ok.all(), features.reasons
