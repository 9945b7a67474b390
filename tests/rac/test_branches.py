from __future__ import annotations

import numpy as np
import pytest

from rac.branches.base import CosineHead, class_means, log_softmax
from rac.branches.retrieval import Lookup, RetrievalBranch, choose_retrieval


def test_cosine_head_worked_by_hand() -> None:
    # Cosines 1 and 0 at scale ln 3: odds of 3 to 1.
    head = CosineHead(np.eye(2, dtype=np.float32), float(np.log(3)))
    said = np.exp(head.log_probabilities(np.array([[1.0, 0.0]], np.float32)))
    np.testing.assert_allclose(said, [[0.75, 0.25]], rtol=1e-6)


def test_class_means_are_unit_or_zero() -> None:
    means = class_means(np.eye(3, dtype=np.float32), np.array([0, 0, 2]), 4)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), [1, 0, 1, 0], atol=1e-6)


def test_log_softmax_is_safe_for_large_logits() -> None:
    np.testing.assert_allclose(log_softmax(np.array([[1e4, -1e4]])), [[0.0, -2e4]])


def test_only_the_k_nearest_are_heard() -> None:
    branch = RetrievalBranch(k=1, temperature=0.1, gamma=0.0)
    scores, classes = np.array([[0.5, 0.5]], np.float32), np.array([[1, 0]])
    assert branch.log_probabilities(scores, classes, np.array([1, 1])).argmax() == 1


def test_the_temperature_is_chosen_by_held_out_rows() -> None:
    # The nearest is always right and the two behind it always wrong: only a small k, or a small
    # temperature, hears the first alone.
    rows = 30
    truth = np.arange(rows) % 2
    lookup = Lookup(
        scores=np.tile(np.array([0.9, 0.8, 0.8], np.float32), (rows, 1)),
        classes=np.stack([truth, 1 - truth, 1 - truth], axis=1),
        counts=np.array([15, 15]),
        truth=truth,
        weights=np.ones(rows),
    )
    chosen = choose_retrieval([lookup], ks=(3,), temperatures=(1.0, 0.02), gammas=(0.5,))
    assert chosen.temperature == 0.02
    silent = Lookup(lookup.scores, lookup.classes, lookup.counts, truth, np.zeros(rows))
    with pytest.raises(ValueError, match="no held-out"):
        choose_retrieval([silent])
