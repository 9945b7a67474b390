"""The projection head of the embedded encoder: its looks, and how it is joined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from training.mini.imagehead import LOOKS, LookPlan, join, start_looks, train_looks
from training.mini.labelled import Labelled, Painted
from training.mini.space import EMBED_DIM, MEANING_DIM, SIGHT_DIM
from training.mini.trunk import CLASSES, FEATURE_DIM

PLAN = replace(LookPlan(), steps=60, batch=48)


@pytest.fixture(scope="module")
def scenes() -> Labelled:
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
        meanings=torch.eye(2, MEANING_DIM),
    )


@pytest.fixture(scope="module")
def painted() -> Painted:
    """Pictures of the third colour, whose second feature is on, and one of unknown colours."""
    features = torch.rand(21, FEATURE_DIM, generator=torch.Generator().manual_seed(5))
    features[:, 1] = 10.0
    colours = functional.one_hot(torch.full((21,), 2), 11).float()
    colours[20] = 0.0
    return Painted(features, colours)


def test_the_joined_head_says_what_its_parts_say() -> None:
    photos = torch.rand(60, FEATURE_DIM, generator=torch.Generator().manual_seed(1))
    units = CLASSES + SIGHT_DIM
    sight = nn.Sequential(
        nn.Linear(FEATURE_DIM, units), nn.GELU(), nn.Linear(units, SIGHT_DIM, bias=True)
    )
    looks = start_looks()
    with torch.no_grad():
        whole = join(sight, looks)(photos)
        assert whole.shape == (len(photos), EMBED_DIM)
        assert torch.allclose(whole[:, :SIGHT_DIM], sight(photos), atol=1e-4)
        assert torch.allclose(whole[:, LOOKS], looks(photos), atol=1e-4)
        assert not whole[:, LOOKS.stop :].any()


def test_looks_are_learnt(scenes: Labelled, painted: Painted) -> None:
    # So many steps that the answer does not hang on the seed.
    part = train_looks(scenes, painted, replace(PLAN, steps=300), seed=0)
    with torch.no_grad():
        found = part(scenes.features)[:, :11].argmax(1)
        other = part(painted.features)[:, :11].argmax(1)
    assert torch.equal(found, scenes.name)
    assert (other == 2).all()


def test_the_same_seed_gives_the_same_looks(scenes: Labelled, painted: Painted) -> None:
    short = replace(PLAN, steps=2)
    one, two = (train_looks(scenes, painted, short, seed=3) for _ in range(2))
    other = train_looks(scenes, painted, short, seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert not any(
        torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True)
    )
