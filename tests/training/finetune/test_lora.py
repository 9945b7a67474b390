from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from rac.encoders.factory import create_model
from rac.errors import InputError
from training.finetune.lora import add_lora, merged


def test_without_peft_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(InputError, match="pip install peft"):
        add_lora(nn.Linear(2, 2), 2)


@pytest.mark.parametrize("kind", ["timm", "vit", "resnet"])
def test_additions_begin_at_nothing_and_merge_into_the_weights(
    towers: dict[str, Path], kind: str
) -> None:
    pytest.importorskip("peft")
    tower = create_model(f"local-dir:{towers[kind]}")[0].visual.eval()
    names = set(tower.state_dict())
    size = 32 if kind == "vit" else 64
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = tower(images)
    adapted = add_lora(tower, 2)
    trained = [name for name, weight in tower.named_parameters() if weight.requires_grad]
    assert trained
    assert all("lora_" in name for name in trained)
    with torch.inference_mode():
        torch.testing.assert_close(tower(images), before)
        for name, weight in tower.named_parameters():
            if "lora_" in name:
                weight.add_(0.3 * torch.randn_like(weight))
        changed = tower(images)
        assert (changed - before).abs().max() > 1e-3
        plain = merged(adapted)
        assert set(plain.state_dict()) == names
        torch.testing.assert_close(
            plain(images), changed, rtol=1e-2, atol=1e-3 * float(changed.abs().max())
        )
        # A copy was merged: the tower goes on as it was.
        torch.testing.assert_close(tower(images), changed)


def test_a_tower_without_such_layers_is_refused() -> None:
    pytest.importorskip("peft")
    with pytest.raises(InputError, match="no layer for LoRA"):
        add_lora(nn.ReLU(), 2)
