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
from rac.attributes.model.filler import AttributePrediction, BoolArray, Filler, Outcome
from rac.attributes.model.fit import fit_filler
from rac.attributes.row_features import RowFeatures
from rac.attributes.rows import Cells
from rac.attributes.schema import Schema
from rac.attributes.settings import FillSettings
from rac.attributes.summary import AttributeSummary, summarise
from rac.encoders.base import Encoder, FloatArray
from rac.errors import InputError


@dataclass(frozen=True)
class FilledAttribute:
    """What became of the N cells of one attribute.

    Attributes:
        values: N values that were filled in; None where the cell was known or stays empty.
        absent: (N,) whether the attribute was said not to apply.
        probabilities: (N,) of the best value of the cells that were missing; NaN for the others.
        best: N best values of the cells that were missing, filled or not; None for the others.
        prediction: the whole answer for the missing cells whose image could be read.
        summary: counts and promise.
    """

    values: list[str | None]
    absent: BoolArray
    probabilities: npt.NDArray[np.float64]
    best: list[str | None]
    prediction: AttributePrediction
    summary: AttributeSummary


def fill_features(
    schema: Schema,
    cells: Mapping[str, Sequence[str | None]],
    embedding: FloatArray,
    trunk: FloatArray,
    *,
    encoder: Encoder | None = None,
    ok: BoolArray | None = None,
    settings: FillSettings | None = None,
) -> dict[str, FilledAttribute]:
    """Fill the missing cells of a catalogue whose images are embedded.

    Args:
        schema: which attributes, with which values and targets.
        cells: for each attribute's name, N cells; None, empty or an unknown word where missing.
        embedding: (N, D) float32 unit norm.
        trunk: (N, T) float32.
        encoder: reads the prompts; without one, the known cells speak alone.
        ok: (N,) whether the row's image could be read; all if None. Others are left alone.
        settings: how; the defaults if None.

    Returns:
        For each attribute of the schema, what became of its cells.

    Raises:
        InputError: an attribute's cells are missing, or not N.
    """
    usable = np.ones(len(trunk), np.bool_) if ok is None else np.asarray(ok, np.bool_)
    coded = code_cells(schema, cells, len(trunk))
    images = RowFeatures(embedding, trunk, usable)
    settings = settings or FillSettings()
    filler = fit_filler(schema, coded, images, encoder, settings)
    predictions = filler.predict(images, coded, workers=settings.workers)
    return {
        name: _filled(filler, coded, usable, name, prediction)
        for name, prediction in predictions.items()
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
    for name in schema.context_columns:
        if name not in cells or len(cells[name]) != rows:
            raise InputError(f"column {name!r}: one cell is needed for each of {rows} rows")
        vocabularies[name] = vocabulary_of(Attribute(name=name), cells[name])
    return Cells(
        vocabularies, {name: words.codes(cells[name]) for name, words in vocabularies.items()}
    )


def _filled(
    filler: Filler, cells: Cells, ok: BoolArray, name: str, prediction: AttributePrediction
) -> FilledAttribute:
    one, codes, rows = filler.attributes[name], cells.codes[name], prediction.rows
    values: list[str | None] = [None] * len(codes)
    best: list[str | None] = [None] * len(codes)
    filled = prediction.filled.tolist()
    names = [*map(one.answer_name, range(one.answer_count)), None]
    probabilities = np.full(len(codes), np.nan)
    probabilities[rows] = prediction.probability[:, 0]
    for row, answer, written in zip(
        rows.tolist(), prediction.best[:, 0].tolist(), filled, strict=True
    ):
        best[row] = names[answer]
        if written:
            values[row] = names[answer]
    ruled = cells.ruled_out(one.attribute)
    absent = ruled.copy()
    absent[rows] = prediction.outcome == Outcome.NOT_APPLICABLE
    return FilledAttribute(
        values=values,
        absent=absent,
        probabilities=probabilities,
        best=best,
        prediction=prediction,
        summary=summarise(
            one,
            cells=len(codes),
            missing=int((codes == MISSING).sum()),
            outside=int((codes == OUTSIDE).sum()),
            bad_images=int(((codes == MISSING) & ~ok & ~ruled).sum()),
            filled=int(prediction.filled.sum()),
            not_applicable=int(absent.sum()),
        ),
    )
