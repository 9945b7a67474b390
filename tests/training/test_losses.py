from __future__ import annotations

import math

import pytest
import torch

from training.losses import balanced_softmax, cross_entropy, logit_adjusted, loss_named


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


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logit_adjustment_equals_the_slow_loop(tau: float) -> None:
    torch.manual_seed(0)
    logits = torch.randn(9, 4, dtype=torch.float64)
    targets, counts = torch.tensor([0, 1, 3] * 3), torch.tensor([50, 1, 0, 7])
    found = logit_adjusted(logits, targets, counts, tau=tau)
    expected = slow_logit_adjusted(logits.tolist(), targets.tolist(), counts.tolist(), tau)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_balanced_softmax_worked_by_hand() -> None:
    # exp(ln 2) * 1 against exp(0) * 3: 2 / 5 for the first class, 3 / 5 for the second.
    logits = torch.tensor([[math.log(2.0), 0.0]] * 2)
    found = torch.exp(-balanced_softmax(logits, torch.tensor([0, 1]), torch.tensor([1, 3])))
    torch.testing.assert_close(found, torch.tensor([0.4, 0.6]))


def test_equal_counts_leave_plain_cross_entropy() -> None:
    torch.manual_seed(1)
    logits, targets = torch.randn(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    counts = torch.tensor([5, 5, 5])
    plain = cross_entropy(logits, targets, counts)
    torch.testing.assert_close(logit_adjusted(logits, targets, counts), plain)
    torch.testing.assert_close(balanced_softmax(logits, targets, counts), plain)


def test_a_class_without_a_row_gives_finite_losses_and_no_gradient() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = logit_adjusted(logits, torch.tensor([0, 1]), torch.tensor([1, 1, 0])).sum()
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert (logits.grad[:, 2] == 0).all()


def test_losses_by_name() -> None:
    logits, targets, counts = torch.randn(4, 3), torch.tensor([0, 1, 2, 0]), torch.tensor([9, 3, 1])
    torch.testing.assert_close(
        loss_named("logit-adjusted", tau=0.0)(logits, targets, counts),
        loss_named("cross-entropy")(logits, targets, counts),
    )
    with pytest.raises(ValueError, match="no loss"):
        loss_named("focal")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tau"):
        loss_named("logit-adjusted", tau=-1)
