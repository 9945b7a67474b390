"""What a checkpoint depends on beside its weights, so that no other training goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pytorch_lightning as pl

from rac.errors import InputError

#: What a checkpoint says of the data, beside Lightning's own keys.
TRAINED_ON = "rac_trained_on"


class KnownData(Protocol):
    """Data that can say what a training on it depends on."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Digests of the rows, and settings of the data."""


class FaithfulModule(pl.LightningModule):
    """A module whose checkpoints go on with nothing but the training that they were made in."""

    @property
    def data(self) -> KnownData:
        """The data that it is trained on."""
        raise NotImplementedError

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what this training depends on beside the weights."""
        checkpoint[TRAINED_ON] = self.data.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with the checkpoint of another training.

        Raises:
            InputError: its rows, encoder or settings are not those of this one.
        """
        if self.trainer.state.fn == "fit":
            refuse_another(checkpoint, self.data.identity, self.hparams, self.trainer.ckpt_path)


def refuse_another(
    checkpoint: Mapping[str, Any],
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    path: object,
) -> None:
    """Refuse to go on with the checkpoint of another training.

    Args:
        checkpoint: as Lightning has read it.
        data: what this training depends on: digests of its rows, and settings of the data.
        settings: of the module.
        path: of the checkpoint, for the message.

    Raises:
        InputError: its rows, encoder or settings are not those of this one.
    """
    now = {**data, **settings}
    then = {**checkpoint.get(TRAINED_ON, {}), **checkpoint.get("hyper_parameters", {})}
    for name in now:
        if name == "out" or (name in then and then[name] == now[name]):
            continue
        told = f"its {name} was {then.get(name)!r} and is {now[name]!r} now"
        if name.endswith("rows"):
            told = f"its {name} were others"
        raise InputError(
            f"{path}: the checkpoint of another training: {told}. Go on "
            "with what it was begun with, or begin anew without --ckpt_path"
        )
