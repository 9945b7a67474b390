"""What an edit does to classes, and which rows mislead, on toys that can be checked by eye."""

from __future__ import annotations

import numpy as np

from rac.leave_one_out import classify_by_others, deal_folds
from rac.memory_effect import edit_effect
from rac.memory_harm import harmful_rows
from retrieval_index import Batch, Memory, make_rows


def two_classes(wrong: dict[int, str] | None = None) -> Memory:
    """Five rows about 0 degrees ('x') and five about 90 ('y')."""
    angles = np.deg2rad([0, 4, 8, 12, 16, 90, 94, 98, 102, 106])
    labels = ["x"] * 5 + ["y"] * 5
    for row, label in (wrong or {}).items():
        labels[row] = label
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return Memory.in_ram(vectors, make_rows(list("abcdefghij"), labels=labels), encoder="e")


def test_rows_are_classified_by_the_others() -> None:
    outcome = classify_by_others(two_classes(), k=3)
    assert outcome.accuracy == 1.0
    assert outcome.predicted == ["x"] * 5 + ["y"] * 5
    outcome = classify_by_others(two_classes({2: "y"}), k=3)
    assert outcome.predicted[2] == "x"
    some = classify_by_others(two_classes(), k=3, rows=np.array([7, 1]))
    assert some.labels == ["y", "x"]


def test_rows_without_labels_neither_ask_nor_vote() -> None:
    memory = Memory.in_ram(np.eye(3), make_rows(list("abc"), labels=["x", None, None]), encoder="e")
    outcome = classify_by_others(memory)
    assert outcome.labels == ["x"]
    assert outcome.predicted == [None]
    assert (
        classify_by_others(Memory.in_ram(np.eye(2), make_rows(["a", "b"]), encoder="e")).accuracy
        is None
    )


def test_an_edit_that_adds_wrong_rows_is_seen_in_the_class_that_loses() -> None:
    memory = two_classes()
    angles = np.deg2rad(np.arange(16) + 0.5)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    wrong = Batch(vectors, make_rows([f"w{i}" for i in range(16)], labels=["y"] * 16))
    effect = edit_effect(memory, memory.preview(add=wrong), near_duplicate=1.0)
    assert effect.judged == 10
    assert effect.before == 1.0
    assert effect.after is not None
    assert effect.after < 1.0
    [worst, other] = effect.classes
    assert worst.label == "x"
    assert worst.gain < 0
    assert (worst.rows_before, worst.rows_after, worst.judged) == (5, 5, 5)
    assert (other.label, other.rows_after, other.gain) == ("y", 21, 0.0)
    assert effect.unchanged == 0


def test_deleting_a_wrong_row_helps_and_its_class_is_told() -> None:
    memory = two_classes({2: "y"})
    effect = edit_effect(memory, memory.preview(delete=["c"]))
    assert effect.judged == 9, "the deleted row is not judged"
    assert effect.after == 1.0
    assert [one.label for one in effect.classes] == ["y"]
    assert effect.classes[0].rows_after == 5


def test_a_relabelled_row_is_not_judged() -> None:
    memory = two_classes()
    same = Batch(memory.vectors[:1], make_rows(["a"], labels=["y"]))
    assert edit_effect(memory, memory.preview(add=same)).judged == 9
    assert edit_effect(memory, memory.preview(delete=["a"]), most=4).judged == 4


def test_the_wrong_label_floats_up() -> None:
    worst = harmful_rows(two_classes({2: "y"}), k=3)
    assert worst[0].id == "c"
    assert worst[0].label == "y"
    assert worst[0].others_say == "x"
    assert worst[0].own_support == 0.0
    # Its four mates each have it among their three nearest, except those with three nearer ones.
    assert worst[0].misled >= 3
    assert worst[0].helped == 0
    assert harmful_rows(two_classes(), k=3) == []


def noise(count: int = 60, dim: int = 200) -> Memory:
    """Vectors that say nothing of their labels, six classes, more dimensions than rows."""
    rng = np.random.default_rng(0)
    rows = make_rows([f"r{i}" for i in range(count)], labels=[str(i % 6) for i in range(count)])
    spread = np.arange(1, dim + 1) ** -0.5
    vectors = spread * rng.normal(size=(count, dim))
    return Memory.in_ram(vectors, rows, encoder="e", metric="whitened")


def test_a_metric_does_not_judge_the_rows_that_it_was_fitted_to() -> None:
    """Guards a figure that was always near 1: the whitened metric had learnt the answers."""
    memory = noise()
    near = memory.leave_one_out(1).rows[:, 0]
    flattered = np.mean([memory.labels[a] == memory.labels[b] for a, b in enumerate(near)])
    assert flattered == 1.0, "the trap is there"
    accuracy = classify_by_others(memory).accuracy
    assert accuracy is not None
    assert accuracy < 0.35, "six classes without any meaning"


def test_folds_spread_classes_keep_copies_together_and_stay_through_an_edit() -> None:
    memory = noise()
    folds = deal_folds(memory)
    for label in set(memory.labels):
        held = [
            folds[id] for id, own in zip(memory.ids, memory.labels, strict=True) if own == label
        ]
        assert np.bincount(held, minlength=5).tolist() == [2] * 5
    copies = Batch(memory.vectors[:4], make_rows(list("abcd"), labels=["0"] * 4))
    after = memory.preview(add=copies, delete=["r9"])
    both = deal_folds(memory, after)
    assert [both[name] for name in "abcd"] == [both[f"r{i}"] for i in range(4)]
    assert set(both) == {*memory.ids, *"abcd"}
    assert deal_folds(two_classes()) == {}, "the cosine learns nothing"


def test_a_class_in_one_fold_has_no_voter_but_is_judged() -> None:
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [0.1, 1.0], [0.2, 1.0]])
    rows = make_rows(list("abcd"), labels=["lone", "x", "x", "x"])
    memory = Memory.in_ram(vectors, rows, encoder="e", metric="whitened")
    outcome = classify_by_others(memory)
    assert outcome.labels[0] == "lone"
    assert outcome.predicted[0] == "x"
