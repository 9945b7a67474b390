#!/usr/bin/env bash
# rapidfuzz: extractOne takes 'red' for the 'red' in 'multicoloured', by its default scorer.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    rapidfuzz==3.14.6

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version

from rapidfuzz import fuzz, process

values = ["multicoloured", "dark red", "maroon", "wine"]
found = process.extract("red", values, limit=4)
print(f"rapidfuzz {version('rapidfuzz')}")
print("expected: of these colours 'dark red' is nearest to 'red', by far")
print(f"seen: {[(value, round(score)) for value, score, _ in found]}")
best, score, _ = process.extractOne("red", values)
upper = fuzz.WRatio("RED", "red")
print(f"seen: the one best is {best!r} with {score:.0f} of 100; 'RED' and 'red' have {upper:.0f}")
if best != "multicoloured" or score != 90 or upper != 0:
    raise SystemExit("CHANGED: a part of a word counts otherwise now")
print("SEEN any longer text with 'red' in it scores 90, inside of words too; the first one wins")
PYTHON
