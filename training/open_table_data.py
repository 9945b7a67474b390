"""A data module over a table and an encoder that a program has opened itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from training.data import Space, TableData
from training.samplers import Sampling
from training.texts import TextMode

if TYPE_CHECKING:
    from rac.encoders import Encoder
    from rac.images import ImageLimits
    from rac.tables import Table


class DataSettings(TypedDict, total=False):
    """Those settings of :class:`training.data.TableData` that a table and an encoder leave open."""

    space: Space
    held_out: float | None
    max_bad: float | None
    sampling: Sampling
    text_branch: TextMode
    seed: int


class OpenTableData(TableData):
    """The training rows of an open table; all else is as in :class:`training.data.TableData`.

    Args:
        table: with images and labels.
        encoder: loaded.
        limits: bounds on images; the defaults of :class:`rac.images.ImageLimits` if None.
        progress: whether progress bars are shown.
        settings: see :class:`DataSettings`.
    """

    def __init__(
        self,
        table: Table,
        encoder: Encoder,
        *,
        limits: ImageLimits | None = None,
        progress: bool = True,
        settings: DataSettings | None = None,
    ) -> None:
        super().__init__(table.source, encoder=encoder.name, **(settings or {}))
        self.limits = limits
        self.progress = progress
        self.encoder_identity = encoder.identity
        self._encoder = encoder
        self._table = table

    def open(self, stage: str, source: str) -> Table:
        """Give the table, which is the only one."""
        return self._table
