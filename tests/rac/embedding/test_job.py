"""Embedding jobs that are killed, resumed, refused."""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from rac.embedding import parts
from rac.embedding.job import METADATA_KEY, write_embeddings
from rac.errors import InputError, JobFailed
from rac.tables import open_table
from tests.toy import COLOURS, ToyEncoder, write_toy_images

ROOT = Path(__file__).resolve().parents[3]
ROWS = 400


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 400 rows over 30 images; every 50th row has none."""
    folder = tmp_path_factory.mktemp("shop")
    words = list(COLOURS)
    names = write_toy_images(folder, [words[n % len(words)] for n in range(30)])
    write_table(folder / "items.csv", [names[n % 30] for n in range(ROWS)])
    return folder


def write_table(path: Path, names: list[str]) -> None:
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image"])
        writer.writerows(
            [f"sku-{n}", "gone.png" if n % 50 == 49 else name] for n, name in enumerate(names)
        )


def embed(table: Path, out: Path, encoder: ToyEncoder | None = None, **options: object) -> object:
    return write_embeddings(
        open_table(table),
        encoder or ToyEncoder(),
        out,
        batch_size=4,
        trunk=True,
        progress=False,
        **options,  # type: ignore[arg-type]
    )


def stop_after(rows: int, table: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a job and break it off, with ``rows`` rows done at least."""
    monkeypatch.setattr(parts, "PART_ROWS", 16)
    seen = 0

    class Breaking(ToyEncoder):
        def encode_images(self, pixels: np.ndarray) -> object:  # type: ignore[override]
            nonlocal seen
            seen += 4
            if seen > rows:
                raise KeyboardInterrupt
            return super().encode_images(pixels)

    with pytest.raises(KeyboardInterrupt):
        embed(table, out, Breaking())


def test_killed_at_ten_random_moments_it_ends_as_if_undisturbed(shop: Path, tmp_path: Path) -> None:
    undisturbed = embed(shop / "items.csv", tmp_path / "whole")
    out = tmp_path / "killed"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        str(Path(__file__).with_name("killed_job.py")),
        str(shop / "items.csv"),
        str(out),
    ]
    moments = random.Random(7)
    kills = 0
    for _ in range(60):
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        if kills < 10:
            _until_it_works(out, process)
            time.sleep(moments.uniform(0.0, 0.12))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.communicate()
            continue
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
        break
    assert kills == 10
    whole = pq.read_table(tmp_path / "whole" / "embeddings.parquet")
    pieced = pq.read_table(out / "embeddings.parquet")
    assert pieced.equals(whole)
    assert pieced.schema.metadata[METADATA_KEY] == whole.schema.metadata[METADATA_KEY]
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["rows"], manifest["bad_images"]) == (ROWS, ROWS // 50)
    assert manifest["rows"] == undisturbed.rows  # type: ignore[attr-defined]
    assert not (out / "unfinished").exists()


def _until_it_works(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until this process has added a part to those that were there."""
    before = len(list(out.glob("unfinished/part-*.parquet")))
    for _ in range(1500):
        if process.poll() is not None:
            return
        if len(list(out.glob("unfinished/part-*.parquet"))) > before:
            return
        time.sleep(0.02)


def test_a_resumed_job_encodes_only_what_is_left(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(200, shop / "items.csv", tmp_path, monkeypatch)
    encoder = ToyEncoder()
    summary = embed(shop / "items.csv", tmp_path, encoder)
    assert summary.resumed_rows > 100  # type: ignore[attr-defined]
    assert encoder.images_encoded <= ROWS - summary.resumed_rows  # type: ignore[attr-defined]
    assert summary.rows == ROWS  # type: ignore[attr-defined]
    assert pq.read_table(tmp_path / "embeddings.parquet")["id"].to_pylist() == [
        f"sku-{n}" for n in range(ROWS)
    ]


def test_a_table_that_changed_is_not_gone_on_with(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = shop / "changing.csv"
    rows = [f"{n % 30:04d}-{list(COLOURS)[n % 30 % len(COLOURS)]}.png" for n in range(ROWS)]
    write_table(table, rows)
    stop_after(200, table, tmp_path, monkeypatch)
    write_table(table, [rows[1], *rows[1:]])
    with pytest.raises(InputError, match="changed since the last run"):
        embed(table, tmp_path)
    write_table(table, rows[:20])
    with pytest.raises(InputError, match="changed since the last run"):
        embed(table, tmp_path)
    summary = embed(table, tmp_path, restart=True)
    assert (summary.rows, summary.resumed_rows) == (20, 0)  # type: ignore[attr-defined]


def test_another_encoder_does_not_go_on_with_the_parts(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(200, shop / "items.csv", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"encoder_identity is 'toy0', not 'other'.*--restart"):
        embed(shop / "items.csv", tmp_path, ToyEncoder("other"))


def test_bad_images_before_the_stop_count_too(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_after(300, shop / "items.csv", tmp_path, monkeypatch)
    with pytest.raises(JobFailed, match="images are bad"):
        embed(shop / "items.csv", tmp_path, max_bad=0.01)
    assert embed(shop / "items.csv", tmp_path, max_bad=0.02).bad_images == ROWS // 50  # type: ignore[attr-defined]


def test_two_jobs_do_not_share_a_folder(shop: Path, tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / ".lock"),
        pytest.raises(InputError, match="another process works in"),
    ):
        embed(shop / "items.csv", tmp_path)


def test_a_table_without_rows_gives_a_file_without_rows(tmp_path: Path) -> None:
    (tmp_path / "none.csv").write_text("id,image\n")
    summary = embed(tmp_path / "none.csv", tmp_path / "out")
    written = pq.read_table(summary.file)  # type: ignore[attr-defined]
    assert written.num_rows == 0
    assert written.column_names == ["id", "embedding", "trunk", "status", "reason", "content_hash"]
    assert set(summary.waited_s) == {"table", "images", "network", "disk"}  # type: ignore[attr-defined]
