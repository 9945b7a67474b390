#!/usr/bin/env bash
# LightGBM: a query without any relevant row counts as a perfect ranking, NDCG 1 and MAP 1.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    lightgbm==4.7.0 numpy==2.4.6 scikit-learn==1.9.1

"$room/venv/bin/python" -I - <<'PYTHON'
import warnings

import lightgbm
import numpy as np

warnings.simplefilter("ignore")
generator = np.random.default_rng(0)
features = generator.normal(size=(200, 3))
relevant = np.zeros(200, dtype=int)
relevant[::10] = 1
queries = [10] * 20
# The same 20 queries to validate by; then 180 more, for which the catalogue has nothing.
empty = generator.normal(size=(1800, 3))
ranker = lightgbm.LGBMRanker(n_estimators=1, num_leaves=2, metric=["ndcg", "map"], verbose=-1)
held_out = generator.normal(size=(200, 3))
more = (np.concatenate([held_out, empty]), np.concatenate([relevant, np.zeros(1800, dtype=int)]))
ranker.fit(
    features,
    relevant,
    group=queries,
    eval_set=[(held_out, relevant), more],
    eval_group=[queries, [10] * 200],
    eval_at=[3],
)
few, many = (
    {name: round(float(values[-1]), 3) for name, values in measured.items()}
    for measured in ranker.evals_result_.values()
)
print(f"lightgbm {lightgbm.__version__}")
print("expected: queries with nothing to find are left out, or count 0 as trec_eval has them")
print(f"seen: 20 queries, features pure noise: {few}")
print(f"seen: the same and 180 with no relevant row: {many}")
if any(abs(many[name] - (0.1 * few[name] + 0.9)) > 0.002 for name in few):
    raise SystemExit("CHANGED: queries without a relevant row count otherwise now")
print("SEEN nothing to find counts as found: nine such queries in ten lift noise above .9")
PYTHON
