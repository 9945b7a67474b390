#!/usr/bin/env bash
# bm25s: the default tokenizer drops words of one letter, so sizes S, M and L are the same to it.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    bm25s==0.3.16 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import bm25s

titles = ["red shirt size S", "red shirt size M", "red shirt size L", "blue dress", "green hat"]
index = bm25s.BM25()
index.index(bm25s.tokenize(titles, show_progress=False), show_progress=False)
print(f"bm25s {bm25s.__version__}")
print("expected: for 'size M' the shirt of size M scores above those of S and L")
asked = bm25s.tokenize(["size M"], show_progress=False)
found, said = index.retrieve(asked, k=3, show_progress=False)
best = {titles[row]: round(float(score), 4) for row, score in zip(found[0], said[0])}
print(f"seen: words kept of the query: {sorted(asked.vocab)}")
print(f"seen: {best}")
if "m" in asked.vocab or len(set(best.values())) != 1:
    raise SystemExit("CHANGED: words of one letter count now")
print("SEEN every size scores the same: words of one letter are neither indexed nor asked for")
PYTHON
