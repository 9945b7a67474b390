#!/usr/bin/env bash
# hnswlib: a loaded index has neither the search effort nor the space that it was saved with.
# (There is no wheel of it: pip needs a C++ compiler.)
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    hnswlib==0.8.0 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import hnswlib
import numpy as np

generator = np.random.default_rng(0)


def unit(count):
    vectors = generator.normal(size=(count, 64)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


rows, queries = unit(5000), unit(200)
truth = np.argsort(-queries @ rows.T, axis=1)[:, :10]


def recall(index):
    found, _ = index.knn_query(queries, k=10)
    return np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, truth)])


index = hnswlib.Index("cosine", 64)
index.init_index(len(rows), M=16, ef_construction=200, random_seed=1)
index.add_items(rows, num_threads=1)
index.set_ef(500)
print(f"hnswlib {version('hnswlib')}")
print("expected: a loaded index answers as the saved one did, or refuses another space")
with TemporaryDirectory() as folder:
    path = str(Path(folder) / "index")
    index.save_index(path)
    loaded = hnswlib.Index("cosine", 64)
    loaded.load_index(path)
    other = hnswlib.Index("l2", 64)
    other.load_index(path)
before, after = recall(index), recall(loaded)
print(f"seen: ef {index.ef}, recall@10 {before:.2f} -> after loading ef {loaded.ef}, {after:.2f}")
_, cosine = index.knn_query(rows[:1], k=2)
_, squared = other.knn_query(rows[:1], k=2)
distances = f"{cosine[0, 1]:.3f} -> {squared[0, 1]:.3f}"
print(f"seen: loaded as 'l2' without an error; distance of the second row {distances}")
if not (index.ef == 500 and loaded.ef == 10 and before > 0.99 and after < 0.7):
    raise SystemExit("CHANGED: ef, or the recall, survives loading")
if abs(squared[0, 1] - 2 * cosine[0, 1]) > 1e-3:
    raise SystemExit("CHANGED: the space is no longer taken from the one who loads")
print("SEEN ef falls back to 10 and the space to whatever is named, both without a word")
PYTHON
