"""The rows that a memory is to hold, and those by which its votes and the fusion are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from rac.errors import InputError
from rac.model_config import MemoryEncoder
from training.crossfit import LabelledFeatures


@dataclass(frozen=True)
class MemoryRows:
    """The rows of a training, in its order, with the features that the memory is to hold.

    For memories that hold more than the base branch was trained on: features of another encoder, or
    the validation rows too.

    Attributes:
        rows: the training rows; they are what is memorised.
        validation: the validation rows, by which votes and fusion are chosen.
        encoder: identity of the memory's encoder.
        encoder_name: what it is called on the command line.
        space: which of its outputs the features are.
        memorise_validation: whether the validation rows are memorised too. By what chooses one
            must not train, but it can be remembered.
    """

    rows: LabelledFeatures
    validation: LabelledFeatures
    encoder: str
    encoder_name: str | None = None
    space: str = "trunk"
    memorise_validation: bool = False

    @property
    def made_with(self) -> MemoryEncoder:
        """What the model's configuration says of the memory's encoder."""
        return MemoryEncoder(
            encoder=self.encoder,
            encoder_name=self.encoder_name,
            space=self.space,
            dim=self.rows.vectors.shape[1],
        )

    @property
    def memorised(self) -> LabelledFeatures:
        """The rows that the memory is to hold."""
        return self.rows.joined(self.validation) if self.memorise_validation else self.rows

    def require(self, rows: LabelledFeatures, validation: LabelledFeatures | None) -> None:
        """Refuse another training's rows.

        Raises:
            InputError: there are no validation rows, or rows or labels are others.
        """
        if validation is None or not len(validation):
            raise InputError(
                "a memory of another encoder, or of validation rows too, is fitted by validation "
                "rows of known classes, and there are none; name a table (--data.val) or let a "
                "share of the training rows be held out (--data.held_out 0.1)"
            )
        for own, other in ((self.rows, rows), (self.validation, validation)):
            if list(own.labels) != list(other.labels):
                raise InputError("the memory's rows are not those of the base branch")
