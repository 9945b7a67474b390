"""Filling arrays: the whole of the filler without a table, an image or a file.

Letters of shapes: N rows, D embedding and T trunk dimensions, A alternatives, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rac.attributes.cells import MISSING, OUTSIDE, CodeArray, Vocabulary, vocabulary_of
from rac.attributes.filler import (
    BoolArray,
    Choice,
    Filler,
    fit_attribute,
    known_rows,
    score_prompts,
)
from rac.attributes.projection import Projection
from rac.attributes.schema import Schema
from rac.attributes.summary import AttributeSummary, summarise
from rac.attributes.threshold import CONFIDENCE
from rac.attributes.zero_shot import PromptBank
from rac.encoders.base import Encoder, FloatArray
from rac.errors import InputError

PROJECTION_ROWS = 20_000


@dataclass(frozen=True)
class FilledAttribute:
    """What became of the N cells of one attribute.

    Attributes:
        values: N values that were filled in; None where the cell was known or stays empty.
        probabilities: (N,) of the best value of the cells that were missing; NaN for the others.
        best: N best values of the cells that were missing, filled or not; None for the others.
        choice: the whole answer for the missing cells whose image could be read, in row order.
        rows: (Q,) row numbers of these cells.
        summary: counts and promise.
    """

    values: list[str | None]
    probabilities: npt.NDArray[np.float64]
    best: list[str | None]
    choice: Choice
    rows: npt.NDArray[np.int64]
    summary: AttributeSummary


def fill_features(
    schema: Schema,
    cells: Mapping[str, Sequence[str | None]],
    embedding: FloatArray,
    trunk: FloatArray,
    *,
    encoder: Encoder | None = None,
    ok: BoolArray | None = None,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> dict[str, FilledAttribute]:
    """Fill the missing cells of a catalogue whose images are embedded.

    Args:
        schema: which attributes, with which values and targets.
        cells: for each attribute's name, N cells; None, empty or an unknown word where missing.
        embedding: (N, D) float32 unit norm.
        trunk: (N, T) float32.
        encoder: reads the prompts; without one, the known cells speak alone.
        ok: (N,) whether the row's image could be read; all if None. Others are left alone.
        confidence: in (0, 1), with which the target precision is promised.
        seed: of folds and samples.

    Returns:
        For each attribute of the schema, what became of its cells.

    Raises:
        InputError: an attribute's cells are missing, or not N.
    """
    usable = np.ones(len(trunk), np.bool_) if ok is None else np.asarray(ok, np.bool_)
    vocabularies: dict[str, Vocabulary] = {}
    codes: dict[str, CodeArray] = {}
    for name, attribute in schema.attributes.items():
        if name not in cells or len(cells[name]) != len(trunk):
            raise InputError(
                f"attribute {name!r}: one cell is needed for each of {len(trunk)} rows"
            )
        vocabularies[name] = vocabulary_of(attribute, cells[name])
        codes[name] = vocabularies[name].codes(cells[name])
    filler = fit_filler(
        vocabularies, codes, embedding, trunk, usable, encoder, confidence=confidence, seed=seed
    )
    asked = {name: (codes[name] == MISSING) & usable for name in codes}
    choices = filler.choose(embedding, trunk, asked)
    return {
        name: _filled(filler, name, codes[name], usable, asked[name], choices[name])
        for name in schema.attributes
    }


def fit_filler(
    vocabularies: Mapping[str, Vocabulary],
    codes: Mapping[str, CodeArray],
    embedding: FloatArray,
    trunk: FloatArray,
    ok: BoolArray,
    encoder: Encoder | None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Filler:
    """Learn all attributes of a catalogue; arrays may be memory-mapped, and are read in parts.

    Args:
        vocabularies: by the attribute's name.
        codes: for each, the (N,) codes of its cells.
        embedding: (N, D) float32 unit norm.
        trunk: (N, T) float32.
        ok: (N,) whether the row has an image.
        encoder: reads the prompts; None for none.
        confidence: in (0, 1), of the promise.
        seed: of folds and samples.
    """
    bank = None if encoder is None else PromptBank.encode(vocabularies, encoder)
    # Many small eigenproblems: on a busy machine, threads that wait for each other made them 30
    # times slower than one thread is.
    with threadpool_limits(limits=1):
        return _fit_filler(vocabularies, codes, embedding, trunk, ok, bank, confidence, seed)


def _fit_filler(
    vocabularies: Mapping[str, Vocabulary],
    codes: Mapping[str, CodeArray],
    embedding: FloatArray,
    trunk: FloatArray,
    ok: BoolArray,
    bank: PromptBank | None,
    confidence: float,
    seed: int,
) -> Filler:
    usable = np.flatnonzero(ok)
    if len(usable) > PROJECTION_ROWS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, PROJECTION_ROWS, replace=False))
    projection = Projection.fit(trunk[usable])
    # A sample is enough for a mean, and keeps what is read bounded.
    centre = np.asarray(
        embedding[usable].mean(axis=0) if len(usable) else embedding[:0].sum(axis=0)
    )
    counts = {name: len(vocabulary.names) for name, vocabulary in vocabularies.items()}
    attributes = {}
    for name, vocabulary in vocabularies.items():
        rows = known_rows(codes[name], ok, seed)
        scores = score_prompts(bank, embedding[rows], centre, {name: counts[name]})
        attributes[name] = fit_attribute(
            vocabulary,
            rows,
            codes[name][rows],
            projection.apply(trunk[rows]),
            scores[name],
            prompts=bank is not None,
            logit_scale=1.0 if bank is None else bank.logit_scale,
            confidence=confidence,
            seed=seed,
        )
    return Filler(projection, bank, centre, attributes)


def _filled(
    filler: Filler, name: str, codes: CodeArray, ok: BoolArray, asked: BoolArray, choice: Choice
) -> FilledAttribute:
    one = filler.attributes[name]
    rows = np.flatnonzero(asked)
    values: list[str | None] = [None] * len(codes)
    best: list[str | None] = [None] * len(codes)
    probabilities = np.full(len(codes), np.nan)
    probabilities[rows] = choice.probability[:, 0]
    for place, row in enumerate(rows.tolist()):
        code = int(choice.best[place, 0])
        if code >= 0:
            best[row] = one.vocabulary.names[code]
        if choice.filled[place]:
            values[row] = best[row]
    return FilledAttribute(
        values=values,
        probabilities=probabilities,
        best=best,
        choice=choice,
        rows=rows,
        summary=summarise(
            one,
            cells=len(codes),
            missing=int((codes == MISSING).sum()),
            outside=int((codes == OUTSIDE).sum()),
            bad_images=int(((codes == MISSING) & ~ok).sum()),
            filled=int(choice.filled.sum()),
        ),
    )
