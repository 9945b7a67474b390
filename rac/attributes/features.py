"""Filling arrays: the whole of the filler without a table, an image or a file.

Letters of shapes: N rows, D embedding and T trunk dimensions, A alternatives, K neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import Attribute
from rac.attributes.cells import MISSING, OUTSIDE, Vocabulary, vocabulary_of
from rac.attributes.evidence import KINDS
from rac.attributes.filler import (
    Answer,
    AttributeFiller,
    BoolArray,
    Choice,
    Filler,
    IntArray,
    ruled_out,
    score_prompts,
)
from rac.attributes.folds import NEAR_DUPLICATE
from rac.attributes.known import Known, find_known
from rac.attributes.learn import learn_attribute
from rac.attributes.projection import Projection
from rac.attributes.rows import Cells
from rac.attributes.schema import Schema
from rac.attributes.summary import AttributeSummary, summarise
from rac.attributes.threshold import CONFIDENCE
from rac.attributes.zero_shot import PromptBank
from rac.encoders.base import Encoder, FloatArray
from rac.errors import InputError
from rac.workers import single_threads
from retrieval_index.duplicate_groups import near_duplicate_groups

PROJECTION_ROWS = 20_000


@dataclass(frozen=True)
class FilledAttribute:
    """What became of the N cells of one attribute.

    Attributes:
        values: N values that were filled in; None where the cell was known or stays empty.
        absent: (N,) whether the attribute was said not to apply.
        probabilities: (N,) of the best value of the cells that were missing; NaN for the others.
        best: N best values of the cells that were missing, filled or not; None for the others.
        choice: the whole answer for the missing cells whose image could be read, in row order.
        rows: (Q,) row numbers of these cells.
        summary: counts and promise.
    """

    values: list[str | None]
    absent: BoolArray
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
    kinds: Sequence[int] | None = None,
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
        kinds: the kinds of evidence to go by, of :data:`rac.attributes.evidence.KINDS`; all if
            None.

    Returns:
        For each attribute of the schema, what became of its cells.

    Raises:
        InputError: an attribute's cells are missing, or not N.
    """
    usable = np.ones(len(trunk), np.bool_) if ok is None else np.asarray(ok, np.bool_)
    coded = code_cells(schema, cells, len(trunk))
    filler = fit_filler(
        schema,
        coded,
        embedding,
        trunk,
        usable,
        encoder,
        confidence=confidence,
        seed=seed,
        kinds=range(len(KINDS)) if kinds is None else kinds,
    )
    asked = {name: asked_cells(coded, name, usable) for name in schema.attributes}
    choices = filler.choose(embedding, trunk, coded, asked, workers=None)
    return {
        name: _filled(filler, name, coded, usable, asked[name], choices[name])
        for name in schema.attributes
    }


def code_cells(schema: Schema, cells: Mapping[str, Sequence[str | None]], rows: int) -> Cells:
    """Code the cells of attributes, and of the columns that they look at.

    Args:
        schema: the attributes.
        cells: by attribute or column, one cell for each row.
        rows: how many there are.

    Raises:
        InputError: a column's cells are missing, or not so many.
    """
    vocabularies: dict[str, Vocabulary] = {}
    for name in schema.attributes:
        if name not in cells or len(cells[name]) != rows:
            raise InputError(f"attribute {name!r}: one cell is needed for each of {rows} rows")
        vocabularies[name] = vocabulary_of(schema.attributes[name], cells[name])
    for name in schema.given_columns:
        if name not in cells or len(cells[name]) != rows:
            raise InputError(f"column {name!r}: one cell is needed for each of {rows} rows")
        vocabularies[name] = vocabulary_of(Attribute(name=name), cells[name])
    return Cells(
        vocabularies, {name: words.codes(cells[name]) for name, words in vocabularies.items()}
    )


def asked_cells(cells: Cells, name: str, ok: BoolArray) -> BoolArray:
    """Say for N rows whether the image is asked about an attribute's cell."""
    return np.asarray((cells.codes[name] == MISSING) & ok & ~ruled_out(cells, name))


def fit_filler(
    schema: Schema,
    cells: Cells,
    embedding: FloatArray,
    trunk: FloatArray,
    ok: BoolArray,
    encoder: Encoder | None,
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
    workers: int | None = None,
    kinds: Sequence[int] = range(len(KINDS)),
) -> Filler:
    """Learn all attributes of a catalogue; arrays may be memory-mapped, and are read in parts.

    Args:
        schema: the attributes.
        cells: the coded cells of N rows.
        embedding: (N, D) float32 unit norm.
        trunk: (N, T) float32.
        ok: (N,) whether the row has an image.
        encoder: reads the prompts; None for none.
        confidence: in (0, 1), of the promise.
        seed: of folds and samples.
        workers: attributes learnt side by side; one for each processor if None. It changes the
            time, never the answer.
        kinds: the kinds of evidence to go by, of :data:`rac.attributes.evidence.KINDS`.
    """
    names = list(schema.attributes)
    # Many small products: whole tasks go side by side, each in one thread.
    with single_threads(workers) as pool:
        sampled = pool.submit(sample_features, embedding, trunk, ok, seed)
        found = [pool.submit(find_known, cells, name, ok, seed) for name in names]
        # Threads that share one product of a text tower wait for each other most of the time.
        bank = None if encoder is None else PromptBank.encode(cells, names, encoder, pool)
        known_of = {name: known.result() for name, known in zip(names, found, strict=True)}
        sample = sampled.result()
        shared = pool.submit(_SharedRows.of, known_of, sample.projection, trunk).result()

        def learn(name: str) -> AttributeFiller:
            known = known_of[name]
            places = np.arange(len(known.rows))
            if shared is None:
                features = sample.projection.apply(trunk[known.rows])
                groups = near_duplicate_groups(features, NEAR_DUPLICATE)
            else:
                features, groups = shared.take(known.rows)
            seen = known.seen(cells)
            scores = score_prompts(bank, name, embedding[known.rows], sample.centre, seen, places)
            return learn_attribute(
                cells,
                name,
                known,
                features,
                scores,
                seen=seen,
                prompts=bank is not None,
                logit_scale=1.0 if bank is None else bank.logit_scale,
                groups=groups,
                confidence=confidence,
                seed=seed,
                kinds=kinds,
            )

        fillers = dict(zip(names, pool.map(learn, names), strict=True))
    return Filler(sample.projection, bank, sample.centre, fillers)


@dataclass(frozen=True)
class _SharedRows:
    """What is found once of R rows that several attributes are learnt from.

    Attributes:
        rows: (R,) their numbers, ascending.
        features: (R, P) projected trunk features.
        groups: (R,) groups of near-duplicates.
    """

    rows: IntArray
    features: FloatArray
    groups: IntArray

    @classmethod
    def of(
        cls, known_of: Mapping[str, Known], projection: Projection, trunk: FloatArray
    ) -> _SharedRows | None:
        """Look at the rows of all attributes together; None where one by one costs less."""
        rows = np.unique(np.concatenate([known.rows for known in known_of.values()]))
        if len(rows) ** 2 > sum(len(known.rows) ** 2 for known in known_of.values()):
            return None
        features = projection.apply(trunk[rows])
        return cls(rows, features, near_duplicate_groups(features, NEAR_DUPLICATE))

    def take(self, rows: IntArray) -> tuple[FloatArray, IntArray]:
        """Give features and groups of some of the rows."""
        places = np.searchsorted(self.rows, rows)
        return self.features[places], self.groups[places]


@dataclass(frozen=True)
class FeatureSample:
    """What is found once for all attributes of a job.

    Attributes:
        projection: of the trunk features.
        centre: (D,) mean embedding.
    """

    projection: Projection
    centre: FloatArray


def sample_features(
    embedding: FloatArray, trunk: FloatArray, ok: BoolArray, seed: int
) -> FeatureSample:
    """Find projection and centre on a bounded sample; arguments as for :func:`fit_filler`."""
    usable = np.flatnonzero(ok)
    if len(usable) > PROJECTION_ROWS:
        usable = np.sort(np.random.default_rng(seed).choice(usable, PROJECTION_ROWS, replace=False))
    centre = np.asarray(
        embedding[usable].mean(axis=0) if len(usable) else embedding[:0].sum(axis=0)
    )
    return FeatureSample(Projection.fit(trunk[usable]), centre)


def _filled(
    filler: Filler, name: str, cells: Cells, ok: BoolArray, asked: BoolArray, choice: Choice
) -> FilledAttribute:
    one, codes = filler.attributes[name], cells.codes[name]
    rows = np.flatnonzero(asked)
    values: list[str | None] = [None] * len(codes)
    best: list[str | None] = [None] * len(codes)
    filled = choice.filled.tolist()
    names = [*map(one.slot_name, range(one.slots)), None]
    probabilities = np.full(len(codes), np.nan)
    probabilities[rows] = choice.probability[:, 0]
    for row, slot, written in zip(rows.tolist(), choice.best[:, 0].tolist(), filled, strict=True):
        best[row] = names[slot]
        if written:
            values[row] = names[slot]
    ruled = ruled_out(cells, name)
    absent = ruled.copy()
    absent[rows] = choice.answer == Answer.NOT_APPLICABLE
    return FilledAttribute(
        values=values,
        absent=absent,
        probabilities=probabilities,
        best=best,
        choice=choice,
        rows=rows,
        summary=summarise(
            one,
            cells=len(codes),
            missing=int((codes == MISSING).sum()),
            outside=int((codes == OUTSIDE).sum()),
            bad_images=int(((codes == MISSING) & ~ok & ~ruled).sum()),
            filled=int(choice.filled.sum()),
            not_applicable=int(absent.sum()),
        ),
    )
