#!/usr/bin/env bash
# FAISS, IndexHNSWFlat: a thousand equal rows (one placeholder picture) hide other rows from the
# graph.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    faiss-cpu==1.15.1 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import faiss
import numpy as np

faiss.omp_set_num_threads(1)
generator = np.random.default_rng(0)
different = generator.normal(size=(1000, 64)).astype(np.float32)
faiss.normalize_L2(different)


def finds_itself(rows):
    """Share of the thousand different rows whose search finds a row with their own score, 1."""
    index = faiss.IndexHNSWFlat(64, 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 200
    index.add(rows)
    index.hnsw.efSearch = 200
    scores, _ = index.search(different, 1)
    return float((scores[:, 0] > 0.999).mean())


without = finds_itself(different)
placeholder = np.repeat(different[:1], 1000, axis=0)
beside = finds_itself(np.concatenate([placeholder, different]))
print(f"faiss {faiss.__version__}")
print("expected: equal rows cost a little recall where they lie; efSearch 200 finds the rest")
print(f"seen: rows that find themselves: {without:.3f} alone, {beside:.3f} beside 1000 equal rows")
if not (without > 0.99 and beside < 0.95):
    raise SystemExit("CHANGED: equal rows no longer hide others")
print("SEEN rows that are there are not found, whatever the query, once many equal rows came first")
PYTHON
