#!/usr/bin/env bash
# FAISS, IndexFlat: which of several equal rows stands first depends on k and on the metric.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    faiss-cpu==1.15.1 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import faiss
import numpy as np

rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
faiss.normalize_L2(rows)
rows[100:200] = rows[0]
print(f"faiss {faiss.__version__}")
print("expected: an exact search has one best row, whatever k: the first k are those of a larger k")
first = {}
for kind in (faiss.IndexFlatIP, faiss.IndexFlatL2):
    index = kind(8)
    index.add(rows)
    first[kind] = [int(index.search(rows[:1], k)[1][0, 0]) for k in (1, 3, 10, 100)]
    print(f"seen: {kind.__name__}, best row at k = 1, 3, 10, 100: {first[kind]}")
if len(set(first[faiss.IndexFlatIP])) < 3 or len(set(first[faiss.IndexFlatL2])) != 1:
    raise SystemExit("CHANGED: ties are broken otherwise now")
print("SEEN by inner product the best of equal rows changes with k; by L2 it does not")
PYTHON
