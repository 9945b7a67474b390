"""Our classifier in the comparison, whole and with parts taken away."""

from __future__ import annotations

import numpy as np

from eval.baselines import Examples
from rac.bench.classify_data import ClassifyData
from rac.cli.bench.challengers import ABLATIONS, ours
from rac.text_vectors import TextVectors


def two_blobs_and_a_single(seed: int, rows: int) -> Examples:
    """Two classes of many rows and one of few, well apart."""
    random = np.random.default_rng(seed)
    classes = np.array([0] * rows + [1] * rows + [2] * 3)
    centres = np.eye(3, 8) * 4
    trunk = (centres[classes] + random.normal(size=(len(classes), 8))).astype(np.float32)
    return Examples(trunk, trunk / np.linalg.norm(trunk, axis=1, keepdims=True), classes)


def test_every_part_taken_away_still_gives_probabilities_of_its_own() -> None:
    train, test = two_blobs_and_a_single(0, 20), two_blobs_and_a_single(1, 10)
    data = ClassifyData(
        name="blobs",
        encoder="none",
        encoder_identity="0" * 32,
        classes=("a", "b", "c"),
        train=train,
        validation=None,
        test=test,
        prompts=None,
        ids=[str(row) for row in range(len(train))],
        texts=[None] * len(train),
        left_out=0,
        text_vectors=TextVectors(
            dict(zip("abc", np.eye(3, dtype=np.float32), strict=True)), captions=None
        ),
    )
    answers = {"rac": ours(data, 0).probabilities(test.queries)}
    for name, challenger in ABLATIONS.items():
        answers[name] = challenger(data, 0).probabilities(test.queries)
    for name, said in answers.items():
        assert said.shape == (len(test), 3), name
        np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-3, err_msg=name)
        assert (said.argmax(axis=1) == test.classes).mean() > 0.8, name
    # There was one view only, and with text or without is what held-out rows decide between.
    same = {"rac, one view", "rac, text on", "rac, text off"}
    differing = {said.tobytes() for name, said in answers.items() if name not in same}
    assert len(differing) == len(answers) - len(same)
    assert (answers["rac, one view"] == answers["rac"]).all()
    on, off = answers["rac, text on"], answers["rac, text off"]
    assert (on != off).any()
    assert any((answers["rac"] == one).all() for one in (on, off))
