#!/usr/bin/env bash
# FAISS, HNSW with an IDSelector: fewer rows than asked come back, though more are allowed.
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
rows = generator.normal(size=(5000, 64)).astype(np.float32)
queries = generator.normal(size=(200, 64)).astype(np.float32)
index = faiss.IndexHNSWFlat(64, 32)
index.add(rows)
allowed = np.arange(0, 5000, 500)
chosen = faiss.SearchParametersHNSW(sel=faiss.IDSelectorBatch(allowed), efSearch=64)
_, found = index.search(queries, 5, params=chosen)
flat = faiss.IndexFlatL2(64)
flat.add(rows)
exact = faiss.SearchParameters(sel=faiss.IDSelectorBatch(allowed))
_, truth = flat.search(queries, 5, params=exact)
missing = (found < 0).sum(axis=1)
print(f"faiss {faiss.__version__}")
print(f"expected: 5 of the {len(allowed)} allowed rows for every query, as IndexFlat gives")
print(f"seen: IndexFlat leaves {(truth < 0).sum()} of {found.size} places empty (id -1)")
print(f"seen: HNSW {missing.sum()}, and {(missing > 0).sum()} of {len(queries)} queries fall short")
if (truth < 0).any() or not (missing > 0).mean() > 0.2:
    raise SystemExit("CHANGED: a filtered HNSW search fills its places now")
print("SEEN the filter sifts what the walk passes; the walk does not go on until k are found")
PYTHON
