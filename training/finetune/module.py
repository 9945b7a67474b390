"""The Lightning module: an image tower under a cosine head, trained together."""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import open_clip
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from eval.metrics import accuracy, macro_accuracy
from rac.branches.base import class_means
from rac.encoders.factory import create_model
from rac.encoders.load import open_clip_name
from rac.encoders.towers import ImageTower
from rac.errors import InputError
from training.data import Batch
from training.finetune.data import ImageData
from training.finetune.depth import depths
from training.finetune.lora import add_lora, merged
from training.finetune.schedule import warmup_cosine
from training.losses import (
    LossName,
    Reweighting,
    class_balanced_weights,
    loss_named,
    weighted_mean,
)
from training.trained_on import FaithfulModule

Tune = Literal["full", "lora"]


class TowerTuner(FaithfulModule):
    """Trains an image tower and a cosine classifier on what it gives.

    The head begins as the means of the classes in the features of the untrained tower, of which the
    mean of all rows is taken away; so the tower is not thrown about by a head that knows nothing.
    ``keep`` holds the tower's embeddings near what they were: they go on to mean what texts mean.

    Args:
        tune: ``full`` trains all weights, ``lora`` low-rank additions to them (needs peft).
        rank: of the additions, at least 1; heard by ``lora``.
        loss: see :mod:`training.losses`.
        tau: strength of the logit adjustment, >= 0; heard by ``logit-adjusted``.
        gamma: how much less rows count for that are answered well, >= 0; heard by ``focal``.
        margin: of the rarest class, in cosines, >= 0; heard by ``ldam``.
        reweight: ``class-balanced`` weighs rows by the effective number of their class.
        reweight_from_epoch: the first epoch whose rows are weighed, from 0.
        learning_rate: of the tower's last layers, or of all additions, > 0.
        layer_decay: the rate of each block in shares of the next one's, in (0, 1]; heard by
            ``full``.
        head_rate: learning rate of the head, > 0.
        weight_decay: of matrices and convolutions, >= 0.
        warmup_epochs: until the full rates, from which they fall along a cosine, >= 0.
        keep: weight of the cosine distance to the embeddings before the training, >= 0.
        scale: logit of a query that lies on a class's direction, at the start, > 0.
        frozen_layers: so many blocks from the input on are not trained, >= 0; heard by ``full``.
        freeze_batch_norm: whether normalisations keep their statistics, as small batches ask for.
    """

    centre: Tensor
    counts: Tensor
    directions: nn.Parameter
    log_scale: nn.Parameter
    tower: ImageTower

    def __init__(
        self,
        tune: Tune = "full",
        rank: int = 8,
        loss: LossName = "logit-adjusted",
        tau: float = 1.0,
        gamma: float = 2.0,
        margin: float = 0.5,
        reweight: Reweighting = "none",
        reweight_from_epoch: int = 0,
        learning_rate: float = 5e-4,
        layer_decay: float = 0.9,
        head_rate: float = 3e-3,
        weight_decay: float = 0.01,
        warmup_epochs: float = 1.0,
        keep: float = 0.5,
        scale: float = 20.0,
        frozen_layers: int = 0,
        freeze_batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if not (learning_rate > 0 and head_rate > 0 and scale > 0 and 0 < layer_decay <= 1):
            raise InputError("rates and scale must be above 0, layer_decay in (0, 1]")
        if min(weight_decay, warmup_epochs, keep, frozen_layers, reweight_from_epoch) < 0:
            raise InputError("weight_decay, warmup_epochs, keep and layers must be at least 0")
        if rank < 1:
            raise InputError(f"rank must be at least 1, got {rank}")
        self.save_hyperparameters()
        self.tune: Tune = tune
        self.rank = rank
        self.loss = loss_named(loss, tau=tau, gamma=gamma, margin=margin, scale=scale)
        self.reweight: Reweighting = reweight
        self.reweight_from_epoch = reweight_from_epoch
        self.learning_rate, self.layer_decay, self.head_rate = learning_rate, layer_decay, head_rate
        self.weight_decay, self.warmup_epochs = weight_decay, warmup_epochs
        self.keep, self.start_scale = keep, scale
        self.frozen_layers, self.freeze_batch_norm = frozen_layers, freeze_batch_norm
        # In a list, since the tower below registers the same modules.
        self._visual: list[nn.Module] = []
        self._adapted: Any = None
        self._answers: list[tuple[Tensor, Tensor]] = []

    @property
    def data(self) -> ImageData:
        """The trainer's data module."""
        found = getattr(self.trainer, "datamodule", None)
        if not isinstance(found, ImageData):
            raise InputError("a tower is trained with an ImageData module")
        return found

    def configure_model(self) -> None:
        """Build the tower and begin at the class means; called again, do nothing."""
        if self.trainer.state.fn != "fit" or self._visual:
            return
        data = self.data
        model, _, _ = create_model(*open_clip_name(data.encoder_name))
        visual = model.visual
        _require_sizes(visual, data)
        self._visual = [visual]
        if self.tune == "lora":
            self._adapted = add_lora(visual, self.rank)
        else:
            visual.requires_grad_(True)
            for name, depth in depths(visual).items():
                if depth < self.frozen_layers:
                    visual.get_parameter(name).requires_grad_(False)
        settings = open_clip.get_model_preprocess_cfg(model)
        self.tower = ImageTower(visual, settings["mean"], settings["std"])
        self.tower.to(memory_format=torch.channels_last)
        rows = data.rows
        centre = rows.features.mean(axis=0)
        unit = rows.features - centre
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-12)
        means = class_means(unit, rows.classes, len(data.names))
        self.directions = nn.Parameter(torch.from_numpy(means))
        self.log_scale = nn.Parameter(torch.tensor(self.start_scale).log())
        self.register_buffer("centre", torch.from_numpy(centre))
        self.register_buffer("counts", torch.from_numpy(data.counts), persistent=False)
        # Lightning leaves modules in the mode that it finds them in.
        self.train()

    def train(self, mode: bool = True) -> TowerTuner:
        """As Lightning asks, but for normalisations that keep their statistics."""
        super().train(mode)
        if self.freeze_batch_norm:
            for layer in self.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Give (logits (B, C), embeddings (B, E)) of (B, 3, H, W) uint8."""
        trunk, embedding = self.tower(pixels.contiguous(memory_format=torch.channels_last))
        seen = trunk if self.data.space == "trunk" else normalize(embedding, dim=1)
        # The head is small: where the tower computes in less, it stays in float32.
        with torch.autocast(self.device.type, enabled=False):
            queries = normalize(seen.float() - self.centre, dim=1)
            logits = self.log_scale.exp() * (queries @ normalize(self.directions, dim=1).T)
        return logits, embedding

    def visual(self) -> nn.Module:
        """Give the tower as open_clip builds it, with its present weights; a copy with LoRA."""
        return self._visual[0] if self._adapted is None else merged(self._adapted)

    def on_train_epoch_start(self) -> None:
        """Let what is drawn inside the network depend on the epoch alone, so that it can resume."""
        torch.manual_seed(hash((self.data.seed, self.current_epoch)) & 0xFFFFFFFF)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """Mean loss over the rows, and the distance from the embeddings before."""
        logits, embedding = self(batch["pixels"])
        weighs = self.reweight != "none" and self.current_epoch >= self.reweight_from_epoch
        weights = class_balanced_weights(self.counts) if weighs else None
        classes = batch["classes"]
        loss = weighted_mean(self.loss(logits, classes, self.counts), classes, weights)
        self.log("train/loss", loss, prog_bar=True)
        if self.keep:
            apart = 1.0 - cosine_similarity(embedding, batch["embeddings"], dim=1).mean()
            self.log("train/apart", apart)
            loss = loss + self.keep * apart
        return loss

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Classify by the head."""
        logits, _ = self(batch["pixels"])
        self._answers.append((batch["classes"].cpu(), logits.argmax(dim=1).cpu()))

    def on_validation_epoch_end(self) -> None:
        """Log macro and plain accuracy of the head, before any look at the memory."""
        truth, best = (torch.cat(column).numpy() for column in zip(*self._answers, strict=True))
        self._answers = []
        macro = macro_accuracy(truth, best, len(self.data.names))
        self.log("val/macro", macro or 0.0, prog_bar=True)
        self.log("val/top1", accuracy(truth, best) or 0.0, prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW in groups by depth; rates warm up in a line and fall along a cosine."""
        epochs = self.trainer.max_epochs or 0
        if epochs < 1:
            raise InputError("the learning rate needs to know the last epoch: trainer.max_epochs")
        # Lightning's own estimate would make the loader, and its workers draw ahead, before it is
        # known which epoch a resumed fit goes on with.
        steps = self.data.steps_per_epoch
        share = partial(
            warmup_cosine, warmup=round(self.warmup_epochs * steps), total=steps * epochs
        )
        optimizer = torch.optim.AdamW(self._groups(), weight_decay=self.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share(step))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def _groups(self) -> list[dict[str, Any]]:
        visual = self._visual[0]
        named = [
            (name, weight) for name, weight in visual.named_parameters() if weight.requires_grad
        ]
        depth = depths(visual) if self.tune == "full" else dict.fromkeys((n for n, _ in named), 0)
        deepest = max(depth.values())
        found: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
        for name, weight in named:
            rate = self.learning_rate * self.layer_decay ** (deepest - depth[name])
            found[rate, self.weight_decay if weight.ndim > 1 else 0.0].append(weight)
        groups: list[dict[str, Any]] = [
            {"params": weights, "lr": rate, "weight_decay": decay}
            for (rate, decay), weights in found.items()
        ]
        head = {"params": [self.directions, self.log_scale], "lr": self.head_rate}
        return [*groups, {**head, "weight_decay": 0.0}]


def _require_sizes(visual: nn.Module, data: ImageData) -> None:
    """Refuse sizes that the tower does not take, before anything is trained."""
    own = data.frozen.encoder.image_size
    asked = {"image_size": data.size}
    if data.memory_image_size is not None:
        asked["memory_image_size"] = (data.memory_image_size, data.memory_image_size)
    for option, size in asked.items():
        if size == own:
            continue
        try:
            with torch.no_grad():
                visual.eval()(torch.zeros(1, 3, *size))
        except (AssertionError, RuntimeError, ValueError) as problem:
            raise InputError(
                f"the image tower of {data.encoder_name} does not take images of {size}, only of "
                f"{own}: leave --data.{option} ({problem})"
            ) from problem


def trained_folder(root: str | Path) -> Path:
    """Give the folder of the tuned encoder in a run's root folder.

    >>> str(trained_folder("runs/a"))
    'runs/a/encoder'
    """
    return Path(root) / "encoder"
