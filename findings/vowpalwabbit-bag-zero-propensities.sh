#!/usr/bin/env bash
# Vowpal Wabbit, --cb_explore_adf --bag: actions get probability 0, which no off-policy estimate
# survives.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    vowpalwabbit==9.11.9

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version

import vowpalwabbit


def smallest(options):
    """The least probability that any of three actions gets in 300 rounds."""
    learner = vowpalwabbit.Workspace(f"--cb_explore_adf {options} --quiet --random_seed 1")
    least = 1.0
    for turn in range(300):
        shared = f"shared | person{turn % 3}"
        actions = [f"| action{action}" for action in range(3)]
        least = min(least, *learner.predict([shared, *actions]))
        taken = turn * 7 % 5 % 3
        cost = -1.0 if taken == turn % 3 else 0.0
        actions[taken] = f"0:{cost}:0.33 {actions[taken]}"
        learner.learn([shared, *actions])
    learner.finish()
    return least


print(f"vowpalwabbit {version('vowpalwabbit')}")
print("expected: an exploration policy leaves every action a chance, as the others below do")
tried = ("--epsilon 0.2", "--cover 3", "--squarecb", "--bag 5 --epsilon 0.1", "--bag 5")
found = {options: smallest(options) for options in tried}
for options, least in found.items():
    print(f"seen: {options}: least probability {least:.4f}")
if found.pop("--bag 5") != 0 or min(found.values()) <= 0:
    raise SystemExit("CHANGED: --bag explores every action now, or another one does not")
print("SEEN --bag alone gives 0 to what no bag votes for, and inverse propensities divide by it")
PYTHON
