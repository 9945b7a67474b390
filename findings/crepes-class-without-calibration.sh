#!/usr/bin/env bash
# crepes: the conformal p-value of a class without calibration rows is a random number.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    crepes==0.9.1 numpy==2.4.6 scikit-learn==1.9.1

"$room/venv/bin/python" -I - <<'PYTHON'
import crepes
import numpy as np
from crepes import WrapClassifier
from sklearn.linear_model import LogisticRegression

generator = np.random.default_rng(0)


def rows(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    return generator.normal(size=(len(labels), 4)) + 4.0 * labels[:, np.newaxis], labels


model = WrapClassifier(LogisticRegression(max_iter=1000))
model.fit(*rows([150, 147, 3]))
# The three rows of the rare class were all needed for training: none is left to calibrate with.
model.calibrate(*rows([100, 100]), class_cond=True)
same = np.full((1000, 4), 0.0)
chance = model.learner.predict_proba(same[:1])[0, 2]
values = model.predict_p(same, seed=0)[:, 2]
print(f"crepes {crepes.__version__}")
print("expected: p = 1 (nothing is known against the class), an error, or a warning")
print(f"seen: 1000 times the same item, which the model gives to class 2 with {chance:.0e}:")
spread = f"from {values.min():.2f} to {values.max():.2f}, median {np.median(values):.2f}"
print(f"seen: p of class 2 {spread}")
plain = model.predict_p(same[:1], smoothing=False)[0, 2]
print(f"seen: with smoothing=False it is {plain:.0f}")
if not (values.min() < 0.05 and values.max() > 0.95 and plain == 1):
    raise SystemExit("CHANGED: a class that was not calibrated has no random p-value any more")
print("SEEN at 90 % the class stands in nine sets of ten, drawn by lot, whatever the item shows")
PYTHON
