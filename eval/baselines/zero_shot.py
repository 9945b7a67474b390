"""The names of the classes alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.arrays import Ints
from eval.baselines.base import Baseline, Examples, Predictor, Prompts


@dataclass(frozen=True)
class ZeroShotSetting:
    """Nothing is chosen but the temperature."""


class ZeroShotPrompts(Baseline[ZeroShotSetting]):
    """The cosine of an image and the prompts of a class; no training row is looked at.

    Radford et al., Learning transferable visual models from natural language supervision, ICML
    2021, section 3.1.
    """

    name = "zero-shot"
    needs_prompts = True

    def grid(self) -> Sequence[ZeroShotSetting]:
        """The one candidate."""
        return [ZeroShotSetting()]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: ZeroShotSetting,
        seed: int,
    ) -> Predictor:
        """Fit nothing."""
        return required(prompts).logits


def required(prompts: Prompts | None) -> Prompts:
    """Give prompts that a method cannot do without.

    Raises:
        ValueError: there are none.
    """
    if prompts is None:
        raise ValueError("this method needs the names of the classes read by a text tower")
    return prompts
