"""Names and captions as the encoder's text tower reads them, and whether hearing them pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from rac.branches.base import Floats, Integers
from rac.fusion import Heard, fit_fusion, fused
from rac.zero_shot import readable_name

TextMode = Literal["auto", "on", "off"]
"""``auto`` hears the text branch where held-out rows are answered better with it."""


class TextEncoder(Protocol):
    """What of an encoder is asked for here."""

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Give ``(N, E)`` unit-norm vectors."""

    def encode_prompts(self, names: Sequence[str]) -> Floats:
        """Give ``(C, E)`` unit-norm vectors, of several prompts each."""


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
    encoder: TextEncoder, labels: Sequence[str], texts: Sequence[str | None] | None
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


def text_pays(heard: Sequence[Heard], folds: Integers, counts: Integers) -> bool:
    """Tell whether a fusion with the text branch answers rows better that it was not fitted to.

    Each fold of the training rows is judged by fusions that were fitted to the other folds and the
    validation rows, and the validation rows by those fitted to the training rows. The text branch
    pays where in both kinds of rows the log-loss falls and the share of right answers does not,
    class-balanced.

    Args:
        heard: the training rows, and the validation rows where there are any; with text.
        folds: ``(N,)`` fold of each training row.
        counts: ``(C,)`` training rows of each class.
    """
    training, *validation = heard
    by_fold = [
        _judged([_weighed(training, folds != fold), *validation], asked, counts)
        for fold in np.unique(folds)
        if (asked := _weighed(training, folds == fold)).weights.any()
    ]
    by_set = [sum(by_fold, np.zeros((2, 2)))] if by_fold else []
    by_set += [_judged([training], asked, counts) for asked in validation]
    return bool(by_set) and all(loss[0] < loss[1] and hits[0] >= hits[1] for loss, hits in by_set)


def _weighed(heard: Heard, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Heard:
    return replace(heard, weights=np.where(kept, heard.weights, 0.0))


def _judged(
    known: Sequence[Heard], asked: Heard, counts: Integers
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Sums of log-loss and of right answers (rows), with text and without (columns)."""
    answer = np.zeros((2, 2))
    kept = np.flatnonzero(asked.weights)
    truth, weights = asked.truth[kept], asked.weights[kept]
    for column, with_text in enumerate((True, False)):
        sets = known if with_text else [replace(one, text=None) for one in known]
        rows = asked if with_text else replace(asked, text=None)
        said = fused(fit_fusion(sets, counts), rows, counts)[kept]
        answer[0, column] = -weights @ said[np.arange(len(said)), truth]
        answer[1, column] = weights @ (said.argmax(axis=1) == truth)
    return answer
