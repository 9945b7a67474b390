#!/usr/bin/env bash
# MABWiser: UCB1 gives an arm that was never pulled the value 0, so that it is never tried.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    mabwiser==2.7.4 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
from collections import Counter
from importlib.metadata import version

from mabwiser.mab import MAB, LearningPolicy

reward = {"words": 0.5, "images": 0.1, "new": 1.0}
bandit = MAB(["words", "images"], LearningPolicy.UCB1(alpha=1.0), seed=1)
bandit.fit(["words", "images"] * 50, [reward["words"], reward["images"]] * 50)
bandit.add_arm("new")
values = {arm: round(float(value), 2) for arm, value in bandit.predict_expectations().items()}
pulled = Counter()
for _ in range(1000):
    arm = bandit.predict()
    pulled[arm] += 1
    bandit.partial_fit([arm], [reward[arm]])
print(f"mabwiser {version('mabwiser')}")
print("expected: what was never tried has no upper bound: UCB1 pulls each arm once first")
print(f"seen: bounds after the arm was added: {values}")
print(f"seen: 1000 pulls: {dict(pulled)}; the best arm is 'new'")
if values["new"] != 0 or pulled["new"] != 0:
    raise SystemExit("CHANGED: a new arm is tried now")
print("SEEN a new arm has bound 0, and with rewards above 0 it waits for ever")
PYTHON
