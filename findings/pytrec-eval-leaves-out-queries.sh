#!/usr/bin/env bash
# pytrec_eval: queries that a run did not answer are left out of the result, not counted as 0.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    pytrec-eval-terrier==0.5.11 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
from importlib.metadata import version
from statistics import mean

import pytrec_eval

relevant = {f"query{number}": {f"item{number}": 1} for number in range(10)}
evaluator = pytrec_eval.RelevanceEvaluator(relevant, {"map", "recip_rank"})
# It answers the one query that it is sure of, and none of the other nine.
measured = evaluator.evaluate({"query0": {"item0": 1.0}})
figures = {name: mean(query[name] for query in measured.values()) for name in ("map", "recip_rank")}
print(f"pytrec-eval-terrier {version('pytrec-eval-terrier')}")
print(f"expected: {len(relevant)} queries judged, one answered: means of .1")
print(f"seen: {len(measured)} query in the result, means {figures}")
if len(measured) != 1 or figures["map"] != 1.0:
    raise SystemExit("CHANGED: unanswered queries are in the result now")
print("SEEN a run is best that answers one easy query: divide by the judged queries yourself")
PYTHON
