#!/usr/bin/env bash
# scikit-learn: IsolationForest tells unseen classes of unit-norm embeddings from seen ones no
# better than a coin.
set -euo pipefail

room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check \
    scikit-learn==1.9.1 numpy==2.4.6

"$room/venv/bin/python" -I - <<'PYTHON'
import numpy as np
import sklearn
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

DIM, KNOWN, NOVEL = 512, 100, 20
forest, nearest = [], []
for seed in range(3):
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(KNOWN + NOVEL, DIM))

    def embeddings(classes, each):
        vectors = np.repeat(centres[classes], each, axis=0)
        vectors = vectors + generator.normal(size=vectors.shape)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    known = embeddings(np.arange(KNOWN), 20)
    asked = np.concatenate(
        [embeddings(np.arange(KNOWN), 5), embeddings(np.arange(KNOWN, KNOWN + NOVEL), 25)]
    )
    novel = np.arange(len(asked)) >= 5 * KNOWN
    trees = IsolationForest(n_estimators=200, random_state=seed).fit(known)
    forest.append(roc_auc_score(novel, -trees.score_samples(asked)))
    distance, _ = NearestNeighbors(n_neighbors=1).fit(known).kneighbors(asked)
    nearest.append(roc_auc_score(novel, distance[:, 0]))
print(f"scikit-learn {sklearn.__version__}")
print(f"expected: {NOVEL} new classes stand out among {KNOWN} known ones (AUROC near 1)")
print(f"seen: distance to the nearest row: AUROC {np.mean(nearest):.2f}")
print(f"seen: IsolationForest: AUROC {np.mean(forest):.2f}")
if not (np.mean(nearest) > 0.99 and 0.35 < np.mean(forest) < 0.65):
    raise SystemExit("CHANGED: the forest sees something, or the distance does not")
print("SEEN cuts along single axes say nothing where no axis means anything; the nearest row does")
PYTHON
