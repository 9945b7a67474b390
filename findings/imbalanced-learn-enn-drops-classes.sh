#!/usr/bin/env bash
# imbalanced-learn: EditedNearestNeighbours deletes whole classes of a long tail, cleanly apart as
# they are.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    imbalanced-learn==0.14.2 numpy==2.4.6 scikit-learn==1.9.1

"$room/venv/bin/python" -I - <<'PYTHON'
from collections import Counter

import imblearn
import numpy as np
from imblearn.under_sampling import EditedNearestNeighbours

generator = np.random.default_rng(0)
counts = [100, 50, 3, 3, 2]
labels = np.repeat(np.arange(len(counts)), counts)
# Spread .1 about centres that are 10 apart: no classifier would mistake one for another.
rows = 10.0 * np.eye(len(counts))[labels] + 0.1 * generator.normal(size=(len(labels), len(counts)))
_, kept = EditedNearestNeighbours().fit_resample(rows, labels)
before, after = Counter(labels.tolist()), Counter(kept.tolist())
print(f"imbalanced-learn {imblearn.__version__}")
print("expected: editing removes noisy rows; classes this far apart lose none")
print(f"seen: rows a class before: {dict(before)}")
print(f"seen: rows a class after:  {dict(after)}")
if tuple(after[label] for label in range(len(counts))) != (100, 50, 0, 0, 2):
    raise SystemExit("CHANGED: small classes are edited otherwise now")
print("SEEN with 3 neighbours that must all agree no class of 3 rows stays; the smallest is spared")
PYTHON
