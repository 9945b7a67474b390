"""How deep in an image tower each weight lies, for rates that rise with the depth."""

from __future__ import annotations

import re

from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from timm.models import group_parameters
from torch import nn

_TRANSFORMER_STEM = ("conv1.", "class_embedding", "positional_embedding", "ln_pre.")
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.")
_STAGE = re.compile(r"layer(\d+)\.")


def depths(visual: nn.Module) -> dict[str, int]:
    """Number the blocks of an image tower from its input on, and tell each weight's.

    Args:
        visual: of an open_clip model. In a tower of an unknown kind all weights lie equally deep.

    Returns:
        The depth of each named parameter, from 0; what follows the last block lies deepest.
    """
    names = [name for name, _ in visual.named_parameters()]
    if isinstance(visual, TimmModel) and hasattr(visual.trunk, "group_matcher"):
        found = group_parameters(
            visual.trunk, visual.trunk.group_matcher(coarse=False), reverse=True
        )
        deepest = max(found.values(), default=0) + 1
        return {name: found.get(name.removeprefix("trunk."), deepest) for name in names}
    if isinstance(visual, VisionTransformer):
        behind = len(visual.transformer.resblocks) + 1
        return {
            name: 0 if name.startswith(_TRANSFORMER_STEM) else _numbered(_BLOCK, name, 1, behind)
            for name in names
        }
    if isinstance(visual, ModifiedResNet):
        return {
            name: 5 if name.startswith("attnpool") else _numbered(_STAGE, name, 0, 0)
            for name in names
        }
    return dict.fromkeys(names, 0)


def _numbered(pattern: re.Pattern[str], name: str, first: int, otherwise: int) -> int:
    found = pattern.match(name)
    return int(found[1]) + first if found else otherwise
