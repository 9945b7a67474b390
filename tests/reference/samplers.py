"""The sampling rules of long tails as plain loops over classes."""

from __future__ import annotations


def slow_class_probabilities(sampling: str, counts: list[int], progress: float) -> list[float]:
    """Equations 1 and 2 of Kang et al. (2020), one class at a time; absent classes are left out."""
    if sampling == "progressive":
        first = slow_class_probabilities("instance", counts, progress)
        last = slow_class_probabilities("class-balanced", counts, progress)
        return [(1 - progress) * a + progress * b for a, b in zip(first, last, strict=True)]
    power = {"instance": 1.0, "square-root": 0.5, "class-balanced": 0.0}[sampling]
    total = sum(count**power for count in counts if count > 0)
    return [count**power / total if count > 0 else 0.0 for count in counts]
