from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

from rac.encoders.factory import create_model
from training.finetune.depth import depths


def visual(folder: Path) -> nn.Module:
    return create_model(f"local-dir:{folder}")[0].visual


@pytest.mark.parametrize(
    ("kind", "first", "middle", "last"),
    [
        (
            "timm",
            "trunk.conv_stem.weight",
            "trunk.blocks.1.0.conv_exp.weight",
            "head.mlp.fc1.weight",
        ),
        ("vit", "class_embedding", "transformer.resblocks.0.mlp.c_fc.weight", "proj"),
        ("resnet", "conv1.weight", "layer2.0.conv1.weight", "attnpool.q_proj.weight"),
    ],
)
def test_weights_near_the_input_lie_shallow(
    towers: dict[str, Path], kind: str, first: str, middle: str, last: str
) -> None:
    tower = visual(towers[kind])
    found = depths(tower)
    assert set(found) == {name for name, _ in tower.named_parameters()}
    assert found[first] == 0
    assert 0 < found[middle] < found[last] == max(found.values())
    assert set(found.values()) == set(range(found[last] + 1))


def test_a_tower_of_another_kind_is_of_one_depth() -> None:
    assert set(depths(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))).values()) == {0}
