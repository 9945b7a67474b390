"""Losses for long tails, as functions of logits; a class with one image or none is safe in all."""

from __future__ import annotations

from training.losses.focal import focal
from training.losses.margin import ldam
from training.losses.named import Loss, LossName, loss_named
from training.losses.reweighting import Reweighting, class_balanced_weights, weighted_mean
from training.losses.softmax import balanced_softmax, cross_entropy, logit_adjusted

__all__ = [
    "Loss",
    "LossName",
    "Reweighting",
    "balanced_softmax",
    "class_balanced_weights",
    "cross_entropy",
    "focal",
    "ldam",
    "logit_adjusted",
    "loss_named",
    "weighted_mean",
]
