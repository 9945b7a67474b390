"""The memory's benchmark, on few vectors: every figure is there and makes sense."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rac.bench import memory as bench_module
from rac.bench import memory_peer
from rac.bench.memory import Clusters, bench_memory, recall_at_ten
from rac.cli.bench import app


@pytest.fixture(autouse=True)
def without_autofaiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_peer, "find_spec", lambda name: None)
    monkeypatch.setattr(bench_module, "_ROUNDS", 1)


def test_the_made_vectors_are_the_same_again_and_lie_in_clusters() -> None:
    clusters = Clusters.for_rows(5000, 32)
    vectors = clusters.draw(2000, 1)
    np.testing.assert_array_equal(vectors, Clusters.for_rows(5000, 32).draw(2000, 1))
    assert not np.array_equal(vectors, clusters.draw(2000, 2))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-5)
    cosines = np.sort(vectors[:100] @ vectors.T, axis=1)
    assert cosines[:, -2].mean() > 0.6 > 0.1 > abs(np.median(cosines))


def test_recall_counts_the_true_ones_that_are_found() -> None:
    truth = np.array([[1, 2, 3, 4]])
    assert recall_at_ten(np.array([[4, 9, 8, 1]]), truth) == 0.5


def test_both_sides_are_measured(tmp_path: Path) -> None:
    measured = bench_memory(4000, 16, folder=tmp_path)
    assert measured.recall_at_10 >= 0.95
    assert measured.peer is not None
    assert measured.peer.startswith("raw FAISS")
    assert measured.peer_recall_at_10 is not None
    assert measured.peer_recall_at_10 >= 0.95
    assert measured.peer_batch_qps is not None
    assert measured.ratio_to_peer == pytest.approx(
        measured.batch_qps / measured.peer_batch_qps, abs=0.01
    )
    assert measured.build_peak_bytes > 10**6
    assert list(tmp_path.iterdir()) == [], "the files are removed"


def test_the_command_prints_the_keys(tmp_path: Path) -> None:
    options = ["memory", "--rows", "2500", "--dim", "16", "--no-peer", "--max-memory", "1MB"]
    result = CliRunner().invoke(app, [*options, "--folder", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    measured = json.loads(result.stdout)
    assert {
        *("recall_at_10", "p50_ms", "batch_qps", "peer_batch_qps", "ratio_to_peer"),
        *("open_s", "build_s", "build_peak_bytes", "index"),
    } <= set(measured)
    assert measured["peer_batch_qps"] is None
    assert measured["max_memory"] == 10**6
