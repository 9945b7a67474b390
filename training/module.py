"""The Lightning module: the base branch's head and its cross-fitting companions, in one tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from eval.metrics import accuracy, macro_accuracy
from rac.branches.base import CosineHead, class_means
from rac.errors import InputError
from training.data import Batch, FeatureData
from training.losses import (
    LossName,
    Reweighting,
    class_balanced_weights,
    loss_named,
    weighted_mean,
)
from training.trained_on import FaithfulModule

if TYPE_CHECKING:
    from rac.classifier import RacClassifier


class CosineHeads(FaithfulModule):
    """Cosine classifiers that are trained side by side: one on all rows, one without each fold.

    The directions begin as the class means (in the whitened metric those are hard to beat) and are
    held near them by ``anchor``, since a head with more numbers than rows would otherwise fit the
    training rows in a few steps and forget what the means know.

    Args:
        loss: see :mod:`training.losses`.
        tau: strength of the logit adjustment, >= 0; heard by ``logit-adjusted``.
        gamma: how much less rows count for that are answered well, >= 0; heard by ``focal``.
        margin: of the rarest class, in cosines, >= 0; heard by ``ldam``, which takes the cosines
            to be multiplied by ``scale``.
        reweight: ``class-balanced`` weighs rows by the effective number of their class; with any
            loss.
        reweight_from_epoch: the first epoch whose rows are weighed, from 0; later ones defer it.
        learning_rate: of the directions, > 0.
        scale_rate: learning rate of the log scale, > 0.
        scale: logit of a query that lies on a class's direction, at the start, > 0.
        anchor: weight of the squared distance from the class means, >= 0.
        out: folder that the model is exported to; ``model`` in the trainer's root folder if null.
    """

    directions: torch.nn.Parameter
    log_scale: torch.nn.Parameter
    anchors: Tensor
    counts: Tensor

    def __init__(
        self,
        loss: LossName = "logit-adjusted",
        tau: float = 1.0,
        gamma: float = 2.0,
        margin: float = 0.5,
        reweight: Reweighting = "none",
        reweight_from_epoch: int = 0,
        learning_rate: float = 1e-3,
        scale_rate: float = 0.02,
        scale: float = 20.0,
        anchor: float = 0.02,
        out: str | None = None,
    ) -> None:
        super().__init__()
        if not (learning_rate > 0 and scale_rate > 0 and scale > 0 and anchor >= 0):
            raise InputError("learning rates and scale must be above 0, anchor at least 0")
        if reweight_from_epoch < 0:
            raise InputError(f"reweight_from_epoch must be at least 0, got {reweight_from_epoch}")
        if reweight not in get_args(Reweighting):
            raise InputError(
                f"no re-weighting is called {reweight!r}: {', '.join(get_args(Reweighting))}"
            )
        self.save_hyperparameters()
        self.loss = loss_named(loss, tau=tau, gamma=gamma, margin=margin, scale=scale)
        self.reweight = reweight
        self.reweight_from_epoch = reweight_from_epoch
        self.learning_rate = learning_rate
        self.scale_rate = scale_rate
        self.start_scale = scale
        self.anchor = anchor
        self.out = out
        self.classifier: RacClassifier | None = None
        self._answers: list[tuple[Tensor, Tensor]] = []

    @property
    def data(self) -> FeatureData:
        """The trainer's data module."""
        found = getattr(self.trainer, "datamodule", None)
        if not isinstance(found, FeatureData):
            raise InputError("the heads are trained with a FeatureData module")
        return found

    @property
    def model_folder(self) -> Path:
        """Where the model is exported to, and read from by test and predict."""
        return Path(self.out) if self.out else Path(self.trainer.default_root_dir) / "model"

    def configure_model(self) -> None:
        """Begin at the class means of the training rows; called again, do nothing."""
        if self.trainer.state.fn != "fit" or hasattr(self, "directions"):
            return
        data = self.data.fitted
        means = [
            class_means(mapped[member], data.classes[member], len(data.names))
            for mapped, member in zip(data.mapped, data.member, strict=True)
        ]
        start = torch.from_numpy(np.stack(means))
        self.directions = torch.nn.Parameter(start.clone())
        self.log_scale = torch.nn.Parameter(torch.full((data.heads,), self.start_scale).log())
        self.register_buffer("anchors", start, persistent=False)
        self.register_buffer("counts", torch.from_numpy(data.counts), persistent=False)

    def head(self, index: int) -> CosineHead:
        """Give head ``index``; 0 is the one that saw all rows."""
        directions = normalize(self.directions[index].detach(), dim=1)
        return CosineHead(
            directions.cpu().numpy().astype(np.float32), float(self.log_scale[index].detach().exp())
        )

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Mean loss of each head over the rows that it may see, summed over the heads."""
        directions = normalize(self.directions, dim=2)
        logits = torch.bmm(batch["vectors"], directions.transpose(1, 2))
        logits = logits * self.log_scale.exp()[:, None, None]
        total = self.anchor * ((self.directions - self.anchors) ** 2).sum()
        for head in range(len(logits)):
            member = batch["member"][head]
            if member.any():
                weights = class_balanced_weights(self.counts[head]) if self._reweighs else None
                losses = self.loss(
                    logits[head, member], batch["classes"][member], self.counts[head]
                )
                total = total + weighted_mean(losses, batch["classes"][member], weights)
        self.log("train/loss", total / len(logits), prog_bar=True)
        return total

    def on_validation_start(self) -> None:
        """Outside of training, it is the exported model that is judged."""
        if self.trainer.state.fn == "validate":
            self._open_classifier()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Judge rows by a head that has not seen them, or by the exported model."""
        if "features" in batch:
            self._classify(batch)
            return
        directions = normalize(self.directions, dim=2)
        heads, vectors = batch["heads"], batch["vectors"]
        best = torch.empty_like(heads)
        for head in torch.unique(heads):
            rows = heads == head
            best[rows] = (vectors[rows] @ directions[head].T).argmax(dim=1)
        self._answers.append((batch["classes"].cpu(), best.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log macro and plain accuracy of the base branch (of the whole model in `validate`)."""
        classes = self.classifier.classes if self.classifier else self.data.fitted.names
        if self.classifier is not None:
            truth = self._truth("validate")
            self._answers = [(truth[rows], best) for rows, best in self._answers if len(rows)]
        self._log_accuracies("val", len(classes))

    def on_test_start(self) -> None:
        """Open the exported model."""
        self._open_classifier()

    def test_step(self, batch: Batch, batch_index: int) -> None:
        """Classify by the exported model."""
        self._classify(batch)

    def on_test_epoch_end(self) -> None:
        """Log the accuracies of the whole model."""
        truth = self._truth("test")
        self._answers = [(truth[rows], best) for rows, best in self._answers]
        self._log_accuracies("test", len(self._opened.classes))

    def on_predict_start(self) -> None:
        """Open the exported model."""
        self._open_classifier()

    def predict_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Give ``(B, C)`` probabilities by the exported model."""
        return torch.from_numpy(self._probabilities(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW without decay: what holds the directions is the anchor."""
        groups: list[dict[str, Any]] = [
            {"params": [self.directions], "lr": self.learning_rate},
            {"params": [self.log_scale], "lr": self.scale_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=0.0)

    @property
    def _reweighs(self) -> bool:
        return self.reweight != "none" and self.current_epoch >= self.reweight_from_epoch

    @property
    def _opened(self) -> RacClassifier:
        if self.classifier is None:
            self._open_classifier()
        return cast("RacClassifier", self.classifier)

    def _open_classifier(self) -> None:
        from rac.classifier import RacClassifier

        self.classifier = RacClassifier.load(self.model_folder, **self.data.asked_of_a_model)

    def _classify(self, batch: Batch) -> None:
        probabilities = torch.from_numpy(self._probabilities(batch))
        self._answers.append((batch["rows"].cpu(), probabilities.argmax(dim=1)))

    def _probabilities(self, batch: Batch) -> np.ndarray[Any, np.dtype[np.float32]]:
        names = [name for name in ("features", "memory_features") if name in batch]
        return self._opened.predict(*(batch[name].cpu().numpy() for name in names)).probabilities

    def _truth(self, stage: str) -> Tensor:
        """``(N,)`` class of each row of a stage's table; -1 where unknown, or its image is bad."""
        from training.data import TableData

        data = self.data
        if not isinstance(data, TableData):
            raise InputError(f"{stage} needs tables")
        features = data.embedded(stage)
        position = {name: index for index, name in enumerate(self._opened.classes)}
        found = [
            position.get(item.label or "", -1) if fine else -1
            for item, fine in zip(features.items, features.ok, strict=True)
        ]
        return torch.tensor(found, dtype=torch.int64)

    def _log_accuracies(self, stage: str, classes: int) -> None:
        if not self._answers:
            return
        truth, best = (torch.cat(column).numpy() for column in zip(*self._answers, strict=True))
        self._answers = []
        known = truth >= 0
        macro = macro_accuracy(truth[known], best[known], classes)
        if macro is None:
            return
        self.log(f"{stage}/macro", macro, prog_bar=True)
        self.log(f"{stage}/top1", accuracy(truth[known], best[known]) or 0.0, prog_bar=True)
