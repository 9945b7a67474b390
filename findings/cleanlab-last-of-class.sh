#!/usr/bin/env bash
# cleanlab: the default filter never reports the last example of a class, however wrong its label
# is.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    cleanlab==2.9.0 numpy==2.4.6 scikit-learn==1.9.1

"$room/venv/bin/python" -I - <<'PYTHON'
import logging
import warnings

import cleanlab
import numpy as np
from cleanlab.filter import find_label_issues

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
# Two well-filled classes; class 2 has one row, class 3 has five. All six surely show class 0.
given = np.array([0] * 50 + [1] * 50 + [2] + [3] * 5)
chances = np.full((len(given), 4), 0.01)
chances[np.arange(len(given)), given] = 0.97
chances[100:] = [0.97, 0.01, 0.01, 0.01]
print(f"cleanlab {cleanlab.__version__}")
print("expected: the six rows of classes 2 and 3 are reported, or are with a minimum of 0")
found = {}
for name, options in {
    "default": {},
    "min_examples_per_class=0": {"min_examples_per_class": 0},
    "filter_by='predicted_neq_given'": {"filter_by": "predicted_neq_given"},
}.items():
    found[name] = np.flatnonzero(find_label_issues(given, chances, n_jobs=1, **options))
    print(f"seen: {name}: rows {found[name].tolist()}")
plain = found.pop("filter_by='predicted_neq_given'")
if plain.tolist() != list(range(100, 106)):
    raise SystemExit("CHANGED: predicted_neq_given reports other rows now")
if any(100 in rows or len(rows) != 4 for rows in found.values()):
    raise SystemExit("CHANGED: the last example of a class is reported now")
print("SEEN the default spares one row of each class: a label that occurs once is never reported")
PYTHON
