from __future__ import annotations

import numpy as np
import pytest

from eval.predictions import Predictions


@pytest.fixture(scope="session")
def make_predictions():
    """Random predictions with everything that a run can have, or without what is said."""

    def make(seed=0, rows=60, classes=8, neighbours=3, tested=None, **changes):
        rng = np.random.default_rng(seed)
        names = [f"class {i}" for i in range(classes)]
        labels = rng.integers(0, tested or classes, rows)
        scores = rng.integers(1, 6, (rows, classes)).astype(np.float32)  # many ties
        scores /= scores.sum(axis=1, keepdims=True)
        given = scores.argmax(axis=1)
        values = {
            "name": f"run {seed}",
            "ids": [f"item {i}" for i in range(rows)],
            "labels": [names[i] for i in labels],
            "predictions": [names[i] for i in given],
            "classes": names,
            "confidence": np.round(scores.max(axis=1).astype(float), 1) if rows else np.zeros(0),
            "train_counts": rng.integers(0, 200, classes),
            "scores": scores,
            "base_scores": rng.integers(0, 4, (rows, classes)).astype(np.float32),
            "retrieval_scores": _log(rng.integers(0, 3, (rows, classes))),
            "neighbour_ids": [[f"train {i} {k}" for k in range(neighbours)] for i in range(rows)],
            "neighbour_labels": [
                [names[rng.integers(classes)] for _ in range(neighbours)] for _ in range(rows)
            ],
            "neighbour_scores": rng.uniform(-1, 1, (rows, neighbours)).astype(np.float32),
            "metadata": {"encoder": "toy", "k": neighbours},
        }
        return Predictions(**{**values, **changes})

    return make


def _log(votes):
    with np.errstate(divide="ignore"):
        return np.log(votes.astype(np.float32))
