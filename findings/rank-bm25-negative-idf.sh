#!/usr/bin/env bash
# rank-bm25: among titles that are much alike, those with the word asked for rank below one without
# it.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    rank-bm25==0.2.2 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version

from rank_bm25 import BM25Okapi

titles = [
    "red cotton shirt S",
    "red cotton shirt M",
    "red cotton shirt L",
    "red cotton shirt XL",
    "blue cotton shirt S",
]
index = BM25Okapi([title.split() for title in titles])
scores = dict(zip(titles, index.get_scores(["red"]).round(4).tolist()))
ranked = sorted(titles, key=lambda title: -scores[title])
print(f"rank-bm25 {version('rank-bm25')}")
print("expected: for 'red' a red shirt comes first; its epsilon is to keep common words from harm")
for title in ranked:
    print(f"seen: {scores[title]:+.4f}  {title}")
if ranked[0] != titles[-1] or max(scores[title] for title in titles[:-1]) >= 0:
    raise SystemExit("CHANGED: a match is worth something now")
print("SEEN the floor for common words is a share of the mean idf, which is itself below zero here")
PYTHON
