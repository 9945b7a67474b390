"""What the classifier is compared with: known methods on the same features."""

from __future__ import annotations

from typing import Any

from eval.baselines.base import Baseline, Examples, Predictor, Prompts, Queries
from eval.baselines.class_mean import ClassMean
from eval.baselines.cosine import CosineClassifier
from eval.baselines.gaussian import GaussianDiscriminant
from eval.baselines.lift import Lift
from eval.baselines.logistic import Logistic
from eval.baselines.nearest import NearestNeighbour
from eval.baselines.tip_adapter import TipAdapter
from eval.baselines.tip_adapter_f import TipAdapterF
from eval.baselines.tuning import Tuned, tune
from eval.baselines.whitened_mean import WhitenedMean
from eval.baselines.zero_shot import ZeroShotPrompts

__all__ = [
    "BASELINES",
    "Baseline",
    "Examples",
    "Predictor",
    "Prompts",
    "Queries",
    "Tuned",
    "tune",
]

BASELINES: tuple[Baseline[Any], ...] = (
    ZeroShotPrompts(),
    NearestNeighbour(),
    ClassMean(),
    WhitenedMean(),
    Logistic(),
    CosineClassifier(),
    GaussianDiscriminant(),
    TipAdapter(),
    TipAdapterF(),
    Lift(),
)
"""Every baseline, in the order that tables show them."""
