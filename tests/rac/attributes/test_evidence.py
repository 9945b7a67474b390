from __future__ import annotations

import math

import numpy as np
import pytest

from rac.attributes.attribute import Attribute, Value
from rac.attributes.cells import vocabulary_of
from rac.attributes.evidence.fitted import Evidence, FittedEvidence, FittedSources
from rac.attributes.evidence.head import HeadEvidence
from rac.attributes.evidence.nearest_of_all import NearestOfAllEvidence, log_shares
from rac.attributes.evidence.nearest_row import NearestRowEvidence
from rac.attributes.evidence.value_mean import ValueMeanEvidence
from rac.attributes.evidence.value_rows import ValueRowsEvidence
from rac.attributes.model.evidence_fusion import EvidenceFusion, FusionFit
from rac.attributes.rows import Cells
from rac.attributes.schema import parse_schema
from rac.attributes.task.class_statistics import ClassStatistics
from rac.attributes.task.cooccurrence import Columns, Cooccurrence
from rac.attributes.task.folds import NEAR_DUPLICATE, assign_folds
from rac.attributes.task.memory import AttributeMemory
from rac.attributes.task.projection import Projection
from rac.attributes.task.queries import AskedRows
from rac.attributes.zero_shot import (
    PromptBank,
    Prompts,
    centred_scores,
    zero_shot_probabilities,
)
from retrieval_index.duplicate_groups import near_duplicate_groups
from tests.toy import ToyEncoder


def clusters(seed: int, rows: int, values: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(values, 20))
    codes = rng.integers(0, values, rows)
    features = centres[codes] + noise * rng.normal(size=(rows, 20))
    return features.astype(np.float32), codes


def look(memory: AttributeMemory, features: np.ndarray) -> Evidence:
    """What the sources say that speak through a memory alone."""
    sources = (
        NearestRowEvidence(),
        NearestOfAllEvidence(),
        ValueMeanEvidence(),
        HeadEvidence(),
        ValueRowsEvidence(),
    )
    nothing = np.zeros((len(features), 0), np.float32)
    rows = AskedRows(features, nothing, None, Columns.none().members({}, len(features)))
    return FittedEvidence(memory, FittedSources(Columns.none(), sources)).of(rows)


def test_near_duplicates_share_a_fold_unless_they_are_most_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 30)).astype(np.float32)
    features[30:40] = features[:10] * 3
    groups = near_duplicate_groups(features, NEAR_DUPLICATE)
    assert len(np.unique(groups)) == 50
    assert (groups[:10] == groups[30:40]).all()
    folds = assign_folds(np.zeros(60, np.int64), groups, 5, seed=1)
    assert (folds[:10] == folds[30:40]).all()
    assert np.bincount(folds).max() <= 16
    alone = assign_folds(np.zeros(60, np.int64), np.zeros(60, np.int64), 5, seed=1)
    assert np.bincount(alone).tolist() == [12] * 5


def test_blocks_of_the_near_duplicate_search_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = np.repeat(np.random.default_rng(0).normal(size=(20, 8)), 2, axis=0).astype("f4")
    whole = near_duplicate_groups(features, NEAR_DUPLICATE)
    monkeypatch.setattr("retrieval_index.duplicate_groups._BLOCK", 7)
    assert near_duplicate_groups(features, NEAR_DUPLICATE).tolist() == whole.tolist()


def test_every_value_is_dealt_over_all_folds() -> None:
    codes = np.repeat(np.arange(4), 10)
    folds = assign_folds(codes, np.arange(40), 5, seed=0)
    for code in range(4):
        assert np.bincount(folds[codes == code], minlength=5).tolist() == [2] * 5


def test_evidence_speaks_for_the_right_value() -> None:
    features, codes = clusters(0, 90, 3, 0.3)
    asked, truth = clusters(1, 60, 3, 0.3)
    memory = AttributeMemory(features, codes, 4)
    evidence = look(memory, asked)
    assert evidence.scores.shape == (5, 60, 4)
    assert np.isfinite(evidence.scores).all()
    for place in range(4):
        assert (evidence.scores[place].argmax(axis=1) == truth).all()
    # The fourth value has no row: nothing speaks for it.
    assert (evidence.scores[2, :, 3] <= evidence.scores[2].min(axis=1)).all()
    assert (
        evidence.scores[4].tolist()
        == [np.log1p(np.bincount(codes, minlength=4)).astype("f4").tolist()] * 60
    )
    assert (codes[evidence.neighbours[:, 0]] == truth).all()


def test_one_row_is_enough_of_a_memory() -> None:
    memory = AttributeMemory(np.ones((1, 5), np.float32), np.array([1]), 2)
    evidence = look(memory, np.ones((2, 5), np.float32))
    assert evidence.neighbours[:, :2].tolist() == [[0, -1], [0, -1]]
    assert np.isfinite(evidence.scores).all()


def test_fusion_finds_the_temperature_and_ignores_noise() -> None:
    """Values drawn from softmax(2 x): the weight of x must come out near 2, of noise near 0."""
    rng = np.random.default_rng(0)
    scores = np.zeros((7, 4000, 5), np.float32)
    scores[1] = rng.normal(size=(4000, 5))
    scores[2] = rng.normal(size=(4000, 5))
    chances = np.exp(2 * scores[1])
    chances /= chances.sum(axis=1, keepdims=True)
    codes = (chances.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    fusion = FusionFit.of(scores, codes, np.arange(7) < 6).fit()
    assert fusion.weights[1] == pytest.approx(2.0, abs=0.15)
    assert fusion.weights[2] == pytest.approx(0.0, abs=0.1)
    assert fusion.weights[[0, 3, 4, 5, 6]].tolist() == [0] * 5
    assert np.abs(fusion.probabilities(scores) - chances).max() < 0.06


def test_fusion_matches_a_plain_loop() -> None:
    fusion = EvidenceFusion(np.array([0.5, 1.0, 0.0, 2.0, 0.1, 0.3, -1.0]))
    scores = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
    for cell in range(3):
        powers = [np.exp(sum(fusion.weights * scores[:, cell, value])) for value in range(4)]
        expected = [power / sum(powers) for power in powers]
        assert fusion.probabilities(scores)[cell] == pytest.approx(expected, rel=1e-5)


def test_the_projection_keeps_what_tells_images_apart() -> None:
    features, codes = clusters(0, 200, 3, 0.1)
    projection = Projection.fit(features, 3)
    projected = projection.apply(features)
    assert projected.shape == (200, 3)
    means = np.stack([projected[codes == code].mean(axis=0) for code in range(3)])
    nearest = ((projected[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == codes).all()
    assert Projection.fit(features[:0]).apply(features[:2]).shape == (2, 1)
    assert Projection.fit(features[:1]).apply(features[:2]).shape == (2, 1)


def test_an_impossible_answer_gets_nothing_and_the_rest_adds_to_one() -> None:
    fusion = EvidenceFusion(np.array([0.5, 1.0, 0.0, 2.0, 0.1, 0.3, -1.0]))
    scores = np.random.default_rng(0).normal(size=(7, 3, 4)).astype(np.float32)
    possible = np.arange(4) != 2
    shares = fusion.probabilities(scores, np.tile(possible, (3, 1)))
    assert shares[:, 2].tolist() == [0, 0, 0]
    assert shares.sum(axis=1) == pytest.approx(np.ones(3))
    rest = fusion.probabilities(scores[:, :, [0, 1, 3]])
    assert shares[:, [0, 1, 3]] == pytest.approx(rest)


def test_each_value_speaks_through_its_nearest_row() -> None:
    """Against a plain loop in the metric of the definition, with its covariance inverted."""
    features, codes = clusters(0, 40, 3, 1.0)
    asked, _ = clusters(1, 10, 3, 1.0)
    centre = features.mean(axis=0)
    means = np.stack([features[codes == code].mean(axis=0) for code in range(3)])
    within = (features - means[codes]).T @ (features - means[codes])
    inverse = np.linalg.inv(0.8 * within + 0.2 * np.trace(within) / 20 * np.eye(20))
    evidence = look(AttributeMemory(features, codes, 3), asked)

    def product(one: np.ndarray, other: np.ndarray) -> float:
        return float((one - centre) @ inverse @ (other - centre))

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return product(one, other) / math.sqrt(product(one, one) * product(other, other))

    for query in range(10):
        near = np.array([cosine(asked[query], row) for row in features])
        for code in range(3):
            expected = (
                near[codes == code].max(),
                cosine(asked[query], means[code]),
                product(asked[query], means[code]) - product(means[code], means[code]) / 2,
            )
            found = evidence.scores[[0, 2, 3], query, code]
            assert found == pytest.approx(expected, abs=1e-3)
        assert evidence.neighbours[query].tolist() == np.argsort(-near)[:5].tolist()


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features, codes = clusters(0, 40, 3, 1.0)
    memory = AttributeMemory(features, codes, 4)
    whole = look(memory, features)
    monkeypatch.setattr("rac.attributes.task.memory._QUERIES_TOGETHER", 7)
    parts = look(memory, features)
    assert parts.scores == pytest.approx(whole.scores, abs=1e-4)
    assert parts.neighbours.tolist() == whole.neighbours.tolist()


def test_shares_grow_with_nearness_and_stay_finite() -> None:
    """By hand: exp(.03 / .03) = e against 1, and nothing of a slot far off but the smoothing."""
    shares = np.exp(log_shares(np.array([[0.53, 0.5, -1.0]], np.float32)))[0]
    assert shares[:2] == pytest.approx(
        0.999 * np.array([np.e, 1]) / (np.e + 1) + 0.001 / 3, abs=1e-4
    )
    assert shares[2] == pytest.approx(0.001 / 3, rel=1e-3)


def test_cells_that_go_together_speak_for_each_other() -> None:
    """20 rows: apple goes with fruit, milk with packages. By hand, with two rows of the prior (one
    half each): (10 + 1) / (10 + 2) against one half."""
    answers = np.repeat([0, 1], 10)
    codes = np.repeat([0, 1], 10).astype(np.int32)
    columns = Columns.of({"department": 2, "free text": 10_000_000}, 2)
    counted = Cooccurrence.count(answers, {"department": codes}, columns, 2)
    speaks = counted.scores()
    assert speaks.table[0, 0] == pytest.approx(np.log((10 + 1) / 12 / 0.5))
    found = speaks.of_members(columns.members({"department": np.array([0, 1, -1], np.int32)}, 3))
    assert found[0, 0] > 0 > found[0, 1]
    assert found[1].tolist() == found[0, ::-1].tolist()
    assert found[2].tolist() == [0, 0]
    fewer = counted.without(Cooccurrence.count(answers[:9], {"department": codes[:9]}, columns, 2))
    assert fewer.counts.tolist() == [[1, 0], [0, 10]]


def test_what_several_cells_say_adds_up() -> None:
    draw = np.random.default_rng(0)
    codes = {name: draw.integers(-2, 3, 50).astype(np.int32) for name in ("colour", "size")}
    answers = draw.integers(0, 4, 50)
    columns = Columns.of({"colour": 3, "size": 3}, 4)
    speaks = Cooccurrence.count(answers, codes, columns, 4).scores()
    table, found = speaks.table, speaks.of_members(columns.members(codes, 50))
    for row in range(50):
        expected = np.zeros(4, np.float32)
        for first, name in ((0, "colour"), (3, "size")):
            if codes[name][row] >= 0:
                expected += table[first + codes[name][row]]
        assert found[row].tolist() == expected.tolist()


def test_rows_whose_values_are_looked_up_are_counted_as_columns_are() -> None:
    draw = np.random.default_rng(1)
    codes = {name: draw.integers(-2, 3, 50).astype(np.int32) for name in ("colour", "size")}
    answers = draw.integers(0, 4, 50)
    columns = Columns.of({"colour": 3, "size": 3}, 4)
    some = np.array([3, 4, 20, 49])
    found = Cooccurrence.among(answers[some], columns.members(codes, 50)[some], columns, 4)
    expected = Cooccurrence.count(
        answers[some], {name: column[some] for name, column in codes.items()}, columns, 4
    )
    assert found.counts.tolist() == expected.counts.tolist()
    assert found.answers.tolist() == expected.answers.tolist()
    nothing = Columns.of({}, 4)
    alone = Cooccurrence.among(answers, nothing.members({}, 50), nothing, 4)
    assert alone.counts.shape == (0, 4)


def test_a_memory_is_the_same_whether_its_moments_are_summed_or_what_others_had_is_taken_off() -> (
    None
):
    features, codes = clusters(0, 90, 3, 0.3)
    codes[40:][codes[40:] == 2] = 1
    rest = ClassStatistics.of(features, codes, 3).without(
        ClassStatistics.of(features[:40], codes[:40], 3)
    )
    assert rest.counts.tolist() == np.bincount(codes[40:], minlength=3).tolist()
    assert rest.means[2].tolist() == [0] * 20
    asked, _ = clusters(1, 20, 3, 0.3)
    direct, taken_off = (
        look(AttributeMemory(features[40:], codes[40:], 3, statistics=statistics), asked)
        for statistics in (None, rest)
    )
    assert taken_off.scores == pytest.approx(direct.scores, rel=1e-3, abs=2e-3)
    assert taken_off.neighbours[:, 0].tolist() == direct.neighbours[:, 0].tolist()


def test_a_hub_loses_its_pull() -> None:
    """A prompt near every image wins every plain cosine; about their means it does not."""
    attribute = Attribute(name="colour", values=(Value(name="red"), Value(name="green")))
    words = vocabulary_of(attribute, [])
    vectors = np.array([[[0.8, 0.6, 0.0], [0.0, 0.1, 0.995]]], np.float32)
    bank = PromptBank({"colour": Prompts(words, (), {}, (("{}",),), vectors)}, 10)
    cells = Cells({"colour": words}, {"colour": np.full(2, -1, np.int32)})
    images = np.array([[0.9, 0.436, 0.0], [0.9, 0.0, 0.436]], np.float32)
    rows = np.arange(2)
    plain = bank.scores("colour", images, np.zeros(3, np.float32), cells, rows)
    assert plain.argmax(axis=1).tolist() == [0, 0]
    centred = bank.scores("colour", images, images.mean(axis=0), cells, rows)
    assert centred.argmax(axis=1).tolist() == [0, 1]


def test_a_prompt_takes_up_the_words_of_other_cells() -> None:
    schema = parse_schema(
        """
        attributes:
          size: {values: [small], templates: ["a {} {kind}", "{}"]}
          kind: {values: [red, blue]}
        """
    )
    words = {name: vocabulary_of(one, []) for name, one in schema.attributes.items()}
    cells = Cells(words, {"size": np.full(3, -1, np.int32), "kind": np.array([1, -1, 0], np.int32)})
    bank = PromptBank.encode(cells, ["size"], ToyEncoder())
    prompts = bank.prompts["size"]
    context = prompts.context_of(cells, np.arange(3))
    assert context is not None
    assert [prompts.words(0, number) for number in context.tolist()] == [
        ["a small blue", "small"], ["small"], ["a small red", "small"],
    ]  # fmt: skip
    red = ToyEncoder().encode_texts(["red"])
    scores = bank.scores("size", np.repeat(red, 3, axis=0), np.zeros(3, "f4"), cells, np.arange(3))
    assert scores[2, 0] > scores[1, 0] > scores[0, 0]


def test_centring_takes_a_hub_off() -> None:
    """Two images, a prompt near both and a prompt near the second only.

    Plainly the hub wins both: 0.9 > 0.1 and 0.9 > 0.6. About the mean image the hub has nothing
    left, and the second prompt tells them apart: 0.1 - 0.35 < 0 < 0.6 - 0.35.
    """
    images = np.array([[0.9, 0.1], [0.9, 0.6]], np.float32)
    prompts = np.eye(2, dtype=np.float32)
    assert (images @ prompts.T).argmax(axis=1).tolist() == [0, 0]
    centred = centred_scores(images, prompts, images.mean(axis=0))
    np.testing.assert_allclose(centred, [[0, -0.25], [0, 0.25]], atol=1e-6)
    assert centred.argmax(axis=1).tolist() == [0, 1]


def test_zero_shot_probabilities_are_shy_of_the_encoders_scale() -> None:
    shares = zero_shot_probabilities(np.array([[0.1, 0.0, 0.0]], np.float32), 40.0)
    assert shares[0, 0] == pytest.approx(np.exp(2) / (np.exp(2) + 2))
