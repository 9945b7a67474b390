from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from rac.errors import InputError
from tests.reference.losses import (
    slow_balanced_softmax,
    slow_class_balanced_weights,
    slow_focal,
    slow_ldam,
    slow_logit_adjusted,
)
from training.losses import (
    LossName,
    balanced_softmax,
    class_balanced_weights,
    cross_entropy,
    focal,
    ldam,
    logit_adjusted,
    loss_named,
    weighted_mean,
)

COUNTS = torch.tensor([50, 1, 0, 7])
TARGETS = torch.tensor([0, 1, 3] * 3)


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def check(found: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_logit_adjustment_equals_the_slow_loop(logits: torch.Tensor, tau: float) -> None:
    expected = slow_logit_adjusted(logits.tolist(), TARGETS.tolist(), COUNTS.tolist(), tau)
    check(logit_adjusted(logits, TARGETS, COUNTS, tau=tau), expected)


def test_balanced_softmax_equals_the_slow_loop(logits: torch.Tensor) -> None:
    expected = slow_balanced_softmax(logits.tolist(), TARGETS.tolist(), COUNTS.tolist())
    check(balanced_softmax(logits, TARGETS, COUNTS), expected)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_equals_the_slow_loop(logits: torch.Tensor, gamma: float) -> None:
    expected = slow_focal(logits.tolist(), TARGETS.tolist(), gamma)
    check(focal(logits, TARGETS, COUNTS, gamma=gamma), expected)


@pytest.mark.parametrize(("margin", "scale"), [(0.5, 30.0), (0.3, 4.0), (0.0, 10.0)])
def test_ldam_equals_the_slow_loop(logits: torch.Tensor, margin: float, scale: float) -> None:
    expected = slow_ldam(logits.tolist(), TARGETS.tolist(), COUNTS.tolist(), margin, scale)
    # The margins are worked out in float32.
    found = ldam(logits, TARGETS, COUNTS, margin=margin, scale=scale)
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.999, 0.9999])
def test_class_balanced_weights_equal_the_slow_loop(beta: float) -> None:
    expected = slow_class_balanced_weights(COUNTS.tolist(), beta)
    torch.testing.assert_close(class_balanced_weights(COUNTS, beta=beta), torch.tensor(expected))


def test_balanced_softmax_worked_by_hand() -> None:
    # exp(ln 2) * 1 against exp(0) * 3: 2 / 5 for the first class, 3 / 5 for the second.
    logits = torch.tensor([[math.log(2.0), 0.0]] * 2)
    found = torch.exp(-balanced_softmax(logits, torch.tensor([0, 1]), torch.tensor([1, 3])))
    torch.testing.assert_close(found, torch.tensor([0.4, 0.6]))


def test_focal_worked_by_hand() -> None:
    # exp(ln 3) against exp(0): 3 / 4 for the target. (1 / 4)^2 * ln(4 / 3).
    logits = torch.tensor([[math.log(3.0), 0.0]])
    found = focal(logits, torch.tensor([0]), torch.ones(2), gamma=2.0)
    torch.testing.assert_close(found, torch.tensor([math.log(4 / 3) / 16]))


def test_ldam_worked_by_hand() -> None:
    # 81 rows have a third of the margin of one row: 0.3 and 0.1. Times the scale of 10, the even
    # logits become -3 against 0 for the rare class and -1 against 0 for the common one.
    found = ldam(
        torch.zeros(2, 2), torch.tensor([0, 1]), torch.tensor([1, 81]), margin=0.3, scale=10.0
    )
    expected = torch.tensor([math.log1p(math.exp(3.0)), math.log1p(math.exp(1.0))])
    torch.testing.assert_close(found, expected)


def test_class_balanced_weights_worked_by_hand() -> None:
    # beta 0.9: one row covers 1, two cover 1.9. Weights of 1 and 1 / 1.9 sum to 2.9 / 1.9; scaled
    # to a sum of 2 they are 3.8 / 2.9 and 2 / 2.9.
    found = class_balanced_weights(torch.tensor([1, 2]), beta=0.9)
    torch.testing.assert_close(found, torch.tensor([3.8 / 2.9, 2 / 2.9]))


def test_weights_of_counts_that_swamp_beta() -> None:
    """With beta^n under the smallest float, 1 - beta^n is 1 and not a division by zero."""
    weights = class_balanced_weights(torch.tensor([10_000_000, 1]))
    # The common class covers all that there is, 1 / (1 - beta) = 10,000 rows.
    assert weights[1] / weights[0] == pytest.approx(10_000, rel=1e-3)


def test_beta_out_of_its_range() -> None:
    with pytest.raises(ValueError, match="beta"):
        class_balanced_weights(COUNTS, beta=1.0)


def test_equal_counts_leave_plain_cross_entropy(logits: torch.Tensor) -> None:
    counts = torch.tensor([5, 5, 5, 5])
    plain = cross_entropy(logits, TARGETS, counts)
    torch.testing.assert_close(logit_adjusted(logits, TARGETS, counts), plain)
    torch.testing.assert_close(balanced_softmax(logits, TARGETS, counts), plain)
    torch.testing.assert_close(class_balanced_weights(counts), torch.ones(4))


def test_without_their_settings_losses_are_plain_cross_entropy(logits: torch.Tensor) -> None:
    plain = cross_entropy(logits, TARGETS, COUNTS)
    torch.testing.assert_close(focal(logits, TARGETS, COUNTS, gamma=0.0), plain)
    torch.testing.assert_close(ldam(logits, TARGETS, COUNTS, margin=0.0), plain)


@pytest.mark.parametrize("name", get_args(LossName))
@pytest.mark.parametrize("size", [0.0, 1e4])
@pytest.mark.parametrize("reweighted", [False, True])
def test_classes_with_one_row_or_none_are_safe(
    name: LossName, size: float, reweighted: bool
) -> None:
    """Finite losses and gradients, also where a row is answered with full certainty."""
    counts = torch.tensor([1000, 1, 0])
    logits = (size * torch.tensor([[1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]])).requires_grad_()
    targets = torch.tensor([0, 1])
    losses = loss_named(name, gamma=0.5)(logits, targets, counts)
    assert losses.shape == (2,)
    weights = class_balanced_weights(counts) if reweighted else None
    weighted_mean(losses, targets, weights).backward()
    assert torch.isfinite(losses).all()
    assert (losses >= 0).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", get_args(LossName))
def test_one_class_alone_costs_nothing_or_its_margin(name: LossName) -> None:
    losses = loss_named(name)(torch.zeros(1, 1), torch.tensor([0]), torch.tensor([1]))
    torch.testing.assert_close(losses, torch.zeros(1))


def test_a_class_without_a_row_gets_no_gradient_from_adjusted_logits() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    logit_adjusted(logits, torch.tensor([0, 1]), torch.tensor([1, 1, 0])).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[:, 2] == 0).all()


def test_the_weighted_mean() -> None:
    losses, targets = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0, 0, 1])
    torch.testing.assert_close(weighted_mean(losses, targets, None), torch.tensor(3.0))
    # (1 + 2 + 3 * 6) / (1 + 1 + 3)
    found = weighted_mean(losses, targets, torch.tensor([1.0, 3.0]))
    torch.testing.assert_close(found, torch.tensor(4.2))


def test_losses_by_name(logits: torch.Tensor) -> None:
    expected = {
        "cross-entropy": cross_entropy(logits, TARGETS, COUNTS),
        "logit-adjusted": logit_adjusted(logits, TARGETS, COUNTS, tau=0.4),
        "balanced-softmax": balanced_softmax(logits, TARGETS, COUNTS),
        "ldam": ldam(logits, TARGETS, COUNTS, margin=0.2, scale=7.0),
        "focal": focal(logits, TARGETS, COUNTS, gamma=3.0),
    }
    assert set(expected) == set(get_args(LossName))
    for name in get_args(LossName):
        loss = loss_named(name, tau=0.4, gamma=3.0, margin=0.2, scale=7.0)
        torch.testing.assert_close(loss(logits, TARGETS, COUNTS), expected[name])


def test_what_is_no_loss_or_setting() -> None:
    with pytest.raises(InputError, match=r"no loss.*focal"):
        loss_named("hinge")  # type: ignore[arg-type]
    for setting in ("tau", "gamma", "margin"):
        with pytest.raises(InputError, match=setting):
            loss_named("focal", **{setting: -1})
    with pytest.raises(InputError, match="scale"):
        loss_named("ldam", scale=0)
