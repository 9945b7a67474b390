"""The projection head of the embedded encoder: its start, its training, and how it is joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional

from training.mini.imagehead import (
    LOOKS,
    HeadPlan,
    Labelled,
    Painted,
    averaged,
    join,
    start_looks,
    start_meaning,
    train_head,
    train_looks,
    train_meaning,
)
from training.mini.space import EMBED_DIM, MEANING_DIM
from training.mini.teacher import Teacher
from training.mini.trunk import CLASSES, FEATURE_DIM

PLAN = replace(HeadPlan(), runs=2, steps=12, look_steps=60, batch=48)


def unit_rows(count: int, dim: int, draws: torch.Generator) -> torch.Tensor:
    return functional.normalize(torch.randn(count, dim, generator=draws), dim=-1)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    draws = torch.Generator().manual_seed(0)
    return Teacher(
        weight=torch.randn(CLASSES, FEATURE_DIM, generator=draws) * 0.1,
        bias=torch.zeros(CLASSES),
        places=torch.tensor([0, 1]),
        names=unit_rows(CLASSES, MEANING_DIM, draws),
        looks=functional.normalize(torch.eye(CLASSES)[:30] + torch.eye(CLASSES)[30:60], dim=-1),
        words=unit_rows(30, MEANING_DIM, draws),
    )


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(60, FEATURE_DIM, generator=draws).clamp(min=0.0)


@pytest.fixture(scope="module")
def scenes(teacher: Teacher) -> Labelled:
    """Two names; a scene's first feature is on where it is of the first colour."""
    draws = torch.Generator().manual_seed(2)
    features = torch.rand(80, FEATURE_DIM, generator=draws)
    name = torch.arange(80) % 2
    colours = functional.one_hot(name, 11).float()
    features[:, 0] = 10.0 * (1 - name)
    return Labelled(
        features=features,
        name=name,
        weight=np.ones(80, dtype=np.float32),
        colours=colours,
        pattern=torch.full((80,), -1),
        tinted=torch.zeros(80, dtype=torch.bool),
        meanings=teacher.words[:20],
    )


@pytest.fixture(scope="module")
def painted() -> Painted:
    """Pictures of the third colour, whose second feature is on, and one of unknown colours."""
    features = torch.rand(21, FEATURE_DIM, generator=torch.Generator().manual_seed(5))
    features[:, 1] = 10.0
    colours = functional.one_hot(torch.full((21,), 2), 11).float()
    colours[20] = 0.0
    return Painted(features, colours)


def test_before_any_training_a_photo_of_a_class_lies_at_its_name(teacher: Teacher) -> None:
    start = start_meaning(teacher, PLAN)
    showing = torch.tensor([5, 70, 999])
    features = teacher.weight[showing]
    with torch.no_grad():
        found = functional.normalize(start(features), dim=-1)
    assert torch.equal((found @ teacher.names.T).argmax(1), showing)


def test_before_any_training_the_head_weighs_names_as_a_softmax_does(teacher: Teacher) -> None:
    plain = replace(teacher, words=torch.zeros_like(teacher.words))
    draws = torch.Generator().manual_seed(7)
    # Logits of 1,000 classes with a deviation of 2: the highest of a photo lies between 5 and 9.
    features = torch.randn(200, FEATURE_DIM, generator=draws) * (2.0 / (0.1 * FEATURE_DIM**0.5))
    likely = functional.softmax(features @ plain.weight.T + plain.bias, dim=-1)
    with torch.no_grad():
        found = start_meaning(plain, PLAN)(features)
    nearness = functional.cosine_similarity(found, likely @ plain.names, dim=-1)
    assert nearness.min() > 0.9


def test_the_joined_head_says_what_its_parts_say(teacher: Teacher, photos: torch.Tensor) -> None:
    meaning, looks = start_meaning(teacher, PLAN), start_looks()
    with torch.no_grad():
        whole = join(meaning, looks)(photos)
        assert whole.shape == (len(photos), EMBED_DIM)
        assert torch.allclose(whole[:, :MEANING_DIM], meaning(photos), atol=1e-4)
        assert torch.allclose(whole[:, LOOKS], looks(photos), atol=1e-4)
        assert not whole[:, LOOKS.stop :].any()


def test_training_comes_nearer_to_the_teacher_and_to_the_names(
    teacher: Teacher, photos: torch.Tensor, scenes: Labelled
) -> None:
    def nearness(part: torch.nn.Sequential) -> tuple[float, float]:
        with torch.no_grad():
            taught = functional.cosine_similarity(part(photos), teacher(photos), dim=-1)
            named = functional.cosine_similarity(
                part(scenes.features), scenes.meanings[scenes.name], dim=-1
            )
        return float(taught.mean()), float(named.mean())

    before = nearness(start_meaning(teacher, PLAN))
    after = nearness(train_meaning(scenes, photos, teacher, replace(PLAN, steps=100), seed=0))
    assert after[0] > before[0] + 0.01
    assert after[1] > before[1] + 0.1


def test_looks_are_learnt(scenes: Labelled, painted: Painted) -> None:
    # So many steps that the answer does not hang on the seed.
    part = train_looks(scenes, painted, replace(PLAN, look_steps=300), seed=0)
    with torch.no_grad():
        found = part(scenes.features)[:, :11].argmax(1)
        other = part(painted.features)[:, :11].argmax(1)
    assert torch.equal(found, scenes.name)
    assert (other == 2).all()


def test_the_mean_of_networks_is_that_of_their_weights(teacher: Teacher) -> None:
    one, two = start_looks(), start_looks()
    mean = averaged([one, two])
    for kept, first, second in zip(
        mean.parameters(), one.parameters(), two.parameters(), strict=True
    ):
        assert torch.allclose(kept, (first + second) / 2)
        assert not torch.equal(kept, first)


def test_the_same_seed_gives_the_same_head(
    teacher: Teacher, photos: torch.Tensor, scenes: Labelled, painted: Painted
) -> None:
    short = replace(PLAN, steps=2, look_steps=2)
    one, two = (train_head(scenes, photos, painted, teacher, short, seed=3) for _ in range(2))
    other = train_head(scenes, photos, painted, teacher, short, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not any(
        torch.equal(a, b) and a.any()
        for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )
