"""Names of classes and captions of rows, as the encoder's text tower reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rac.branches.base import Floats
from rac.zero_shot_classification import readable_name

if TYPE_CHECKING:
    from rac.encoders import Encoder


@dataclass(frozen=True, eq=False)
class TextVectors:
    """Embedded texts of N labelled rows.

    Attributes:
        names: the ``(E,)`` unit-norm vector of each label.
        captions: ``(N, E)`` unit norm, zero for a row without a caption; None where no row has one.
    """

    names: Mapping[str, Floats]
    captions: Floats | None


def read_texts(
    encoder: Encoder, labels: Sequence[str], texts: Sequence[str | None] | None
) -> TextVectors:
    """Embed each different label and each different caption once.

    Args:
        encoder: with a text tower.
        labels: N class names.
        texts: N captions, None where there is none.
    """
    names = sorted(set(labels))
    named = encoder.encode_prompts([readable_name(name) for name in names])
    told = sorted({text for text in texts or () if text})
    if not told:
        return TextVectors(dict(zip(names, named, strict=True)), None)
    read = np.concatenate([encoder.encode_texts(told), np.zeros((1, named.shape[1]), np.float32)])
    place = {text: number for number, text in enumerate(told)}
    rows = [place.get(text or "", len(told)) for text in texts or ()]
    return TextVectors(dict(zip(names, named, strict=True)), read[rows])
