"""The losses of long tails as plain loops over rows and classes."""

from __future__ import annotations

import math


def slow_logit_adjusted(
    logits: list[list[float]], targets: list[int], counts: list[int], tau: float
) -> list[float]:
    """Equation 10 of Menon et al. (2021), one class at a time; absent classes are left out."""
    losses = []
    for row, target in zip(logits, targets, strict=True):
        adjusted = {
            label: logit + tau * math.log(counts[label] / sum(counts))
            for label, logit in enumerate(row)
            if counts[label] > 0
        }
        total = sum(math.exp(value) for value in adjusted.values())
        losses.append(-math.log(math.exp(adjusted[target]) / total))
    return losses


def slow_balanced_softmax(
    logits: list[list[float]], targets: list[int], counts: list[int]
) -> list[float]:
    """Equation 3 of Ren et al. (2020): every exponential times its class's count."""
    losses = []
    for row, target in zip(logits, targets, strict=True):
        shares = [count * math.exp(logit) for count, logit in zip(counts, row, strict=True)]
        losses.append(-math.log(shares[target] / sum(shares)))
    return losses


def slow_focal(logits: list[list[float]], targets: list[int], gamma: float) -> list[float]:
    """Equation 4 of Lin et al. (2017) with the probabilities of a softmax."""
    losses = []
    for row, target in zip(logits, targets, strict=True):
        probability = math.exp(row[target]) / sum(math.exp(logit) for logit in row)
        losses.append(-((1 - probability) ** gamma) * math.log(probability))
    return losses


def slow_ldam(
    logits: list[list[float]],
    targets: list[int],
    counts: list[int],
    margin: float,
    scale: float,
) -> list[float]:
    """Equations 12 and 13 of Cao et al. (2019); their constant makes the largest margin."""
    constant = margin / max(count**-0.25 for count in counts if count > 0)
    losses = []
    for row, target in zip(logits, targets, strict=True):
        held = math.exp(row[target] - scale * constant * counts[target] ** -0.25)
        others = sum(math.exp(logit) for label, logit in enumerate(row) if label != target)
        losses.append(-math.log(held / (held + others)))
    return losses


def slow_class_balanced_weights(counts: list[int], beta: float) -> list[float]:
    """Equation 2 of Cui et al. (2019), by its sum, inverted; then a mean of 1 where rows are."""
    weights = [1 / sum(beta**row for row in range(count)) if count else 0.0 for count in counts]
    there = sum(1 for count in counts if count)
    return [weight * there / sum(weights) for weight in weights]
