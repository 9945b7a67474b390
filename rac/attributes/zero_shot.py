"""Scores from prompts alone: how much an image looks like each value's words.

Letters of shapes: N rows, Q of them asked for, D embedding dimensions, C values of one attribute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rac.attributes.attribute import template_columns
from rac.attributes.cells import Vocabulary
from rac.attributes.rows import Cells
from rac.encoders.base import Encoder, FloatArray
from retrieval_index.arrays import unit_norm

IntArray = npt.NDArray[np.int64]

_MOST_CONTEXTS = 200
_STRETCH = 128

SCALE_SHARE = 0.5
"""How much of the encoder's own logit scale is believed where no known cell can check it. The
scale was trained to tell an image's caption from thousands of unrelated ones, and is overconfident
among the few, related values of one attribute."""

PROBABILITY_FLOOR = 0.9
"""Where nothing is known, no cell is filled below this probability, whatever the target."""


@dataclass(frozen=True)
class Prompts:
    """The prompts of one attribute, for each context in which they differ; K contexts.

    Attributes:
        vocabulary: of the attribute, C values.
        columns: the columns whose cells its templates name, B of them.
        contexts: for each context the codes of these columns (below zero: not known) and its
            number; a row whose context is not there has number 0, whose templates name no column.
        templates: for each context, the templates with the cells' words in them.
        vectors: (K, C, D) float32 unit norm.
    """

    vocabulary: Vocabulary
    columns: tuple[str, ...]
    contexts: Mapping[tuple[int, ...], int]
    templates: tuple[tuple[str, ...], ...]
    vectors: FloatArray

    def context_of(self, cells: Cells, rows: npt.NDArray[np.int64] | slice) -> IntArray | None:
        """Give the context numbers of some rows; None where there is only one context."""
        if len(self.templates) == 1:
            return None
        codes = np.stack([cells.codes[name][rows] for name in self.columns], axis=1)
        found, member = np.unique(np.maximum(codes, -1), axis=0, return_inverse=True)
        numbers = [self.contexts.get(tuple(context), 0) for context in found.tolist()]
        return np.array(numbers, np.int64)[member.ravel()]

    def words(self, code: int, context: int) -> list[str]:
        """Give the prompts of one value in one context."""
        return [
            template.replace("{}", word)
            for template in self.templates[context]
            for word in self.vocabulary.values[code].words
        ]


@dataclass(frozen=True)
class PromptBank:
    """The prompts of all attributes, encoded once.

    Attributes:
        prompts: by the attribute's name.
        logit_scale: the encoder's factor on cosines.
    """

    prompts: Mapping[str, Prompts]
    logit_scale: float

    @classmethod
    def encode(
        cls,
        cells: Cells,
        attributes: Iterable[str],
        encoder: Encoder,
        pool: Executor | None = None,
    ) -> PromptBank:
        """Encode every value of every attribute, ensembled over its templates and synonyms.

        Args:
            cells: the coded cells of the job's rows: vocabularies, and the contexts that occur.
            attributes: whose prompts are wanted.
            encoder: whose text tower reads the prompts.
            pool: reads stretches of them side by side; one after another if None.
        """
        reader = _PromptReader(encoder)
        contexts = {name: _contexts(cells, name) for name in attributes}
        for name, (_, _, rendered) in contexts.items():
            for templates in rendered:
                reader.note(cells.vocabularies[name], templates)
        reader.encode(map if pool is None else pool.map)
        prompts = {
            name: Prompts(
                vocabulary=cells.vocabularies[name],
                columns=columns,
                contexts=numbers,
                templates=rendered,
                vectors=np.stack(
                    [reader.vectors(cells.vocabularies[name], one) for one in rendered]
                ),
            )
            for name, (columns, numbers, rendered) in contexts.items()
        }
        return cls(prompts, encoder.logit_scale)

    def scores(
        self,
        name: str,
        embedding: FloatArray,
        centre: FloatArray,
        cells: Cells,
        rows: npt.NDArray[np.int64],
    ) -> FloatArray:
        """Score rows against the values of one attribute.

        What a prompt shares with every image is taken off; see
        :func:`centred_scores`.

        Args:
            name: the attribute.
            embedding: (Q, D) unit norm, of the rows asked for.
            centre: (D,) mean embedding of the job's images; zeros for plain cosines.
            cells: of N rows.
            rows: (Q,) which of the N are asked for.

        Returns:
            (Q, C) float32, cosines about their means, in [-2, 2].
        """
        prompts = self.prompts[name]
        context = prompts.context_of(cells, rows)
        if context is None:
            return centred_scores(embedding, prompts.vectors[0], centre)
        scores = np.empty((len(rows), prompts.vectors.shape[1]), np.float32)
        for number in np.unique(context):
            there = context == number
            scores[there] = centred_scores(embedding[there], prompts.vectors[number], centre)
        return scores


class _PromptReader:
    """Encodes the prompts of all attributes at once, each text only one time."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._numbers: dict[str, int] = {}
        self._encoded: FloatArray = np.zeros((0, encoder.embedding_dim), np.float32)

    def note(self, vocabulary: Vocabulary, templates: Iterable[str]) -> None:
        """Take in the prompts of an attribute's values."""
        for texts in _prompts(vocabulary, templates):
            for text in texts:
                self._numbers.setdefault(text, len(self._numbers))

    def encode(self, each: Callable[..., Iterable[FloatArray]]) -> None:
        """Encode what was taken in, stretch by stretch; ``each`` is ``map``, or one like it."""
        texts = list(self._numbers)
        stretches = [texts[start : start + _STRETCH] for start in range(0, len(texts), _STRETCH)]
        self._encoded = np.concatenate(
            [self._encoded, *each(self._encoder.encode_texts, stretches)]
        )

    def vectors(self, vocabulary: Vocabulary, templates: Iterable[str]) -> FloatArray:
        """Give the (C, D) mean of each value's prompts, of unit norm (prompt ensembling, Radford
        et al. 2021, section 3.1.4).
        """
        means = [
            self._encoded[[self._numbers[text] for text in texts]].mean(axis=0)
            for texts in _prompts(vocabulary, templates)
        ]
        return unit_norm(np.reshape(means, (-1, self._encoder.embedding_dim)).astype(np.float32))


def _prompts(vocabulary: Vocabulary, templates: Iterable[str]) -> list[list[str]]:
    return [
        [template.replace("{}", word) for template in templates for word in value.words]
        for value in vocabulary.values
    ]


def _contexts(
    cells: Cells, name: str
) -> tuple[tuple[str, ...], dict[tuple[int, ...], int], tuple[tuple[str, ...], ...]]:
    """Give the columns that an attribute's templates name, the contexts, and their templates."""
    templates = cells.vocabularies[name].attribute.templates
    columns = tuple(dict.fromkeys(one for text in templates for one in template_columns(text)))
    always = tuple(text for text in templates if not template_columns(text))
    rendered = [always or ("a photo of a {}.",)]
    contexts: dict[tuple[int, ...], int] = {}
    if columns:
        codes = np.maximum(np.stack([cells.codes[one] for one in columns], axis=1), -1)
        found, times = np.unique(codes, axis=0, return_counts=True)
        for context in found[np.argsort(-times, kind="stable")][:_MOST_CONTEXTS].tolist():
            known = {
                column: cells.vocabularies[column].names[code]
                for column, code in zip(columns, context, strict=True)
                if code >= 0
            }
            there = _render(templates, known)
            if there and there != rendered[0]:
                contexts[tuple(context)] = len(rendered)
                rendered.append(there)
    return columns, contexts, tuple(rendered)


def _render(templates: tuple[str, ...], known: Mapping[str, str]) -> tuple[str, ...]:
    """Put a row's words into the templates; those that need a word it lacks are left out."""
    rendered = []
    for template in templates:
        named = template_columns(template)
        if not set(named) <= set(known):
            continue
        for column in named:
            word = known[column].replace("{", "(").replace("}", ")")
            template = template.replace(f"{{{column}}}", word)
        rendered.append(template)
    return tuple(rendered)


def centred_scores(embedding: FloatArray, prompts: FloatArray, centre: FloatArray) -> FloatArray:
    """Score images against prompts, with what a prompt shares with every image taken off.

    A prompt may be near every image (a hub), and would then attract them all. Subtracting the
    mean image embedding takes each prompt's mean similarity off (Suzuki et al., Centering
    Similarity Measures to Reduce Hubs, EMNLP 2013).

    Args:
        embedding: (N, D) unit norm.
        prompts: (C, D) unit norm.
        centre: (D,) mean embedding of the images that the scores are for; zeros for plain cosines.

    Returns:
        (N, C) float32 in [-2, 2].
    """
    # As of embedding - centre, without a copy of the wide array.
    scores: FloatArray = embedding @ prompts.T
    scores -= centre @ prompts.T
    return scores


def score_prompts(
    bank: PromptBank | None,
    name: str,
    embedding: FloatArray,
    centre: FloatArray,
    cells: Cells,
    rows: npt.NDArray[np.int64],
) -> FloatArray:
    """Give one attribute's (Q, C) scores, as :meth:`PromptBank.scores`; zeros without prompts."""
    if bank is None:
        return np.zeros((len(rows), len(cells.vocabularies[name].names)), np.float32)
    return bank.scores(name, embedding, centre, cells, rows)


def zero_shot_probabilities(
    scores: FloatArray, logit_scale: float, possible: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.float64]:
    """Turn one attribute's (N, C) scores into probabilities, on the cautious side.

    Args:
        scores: from prompts.
        logit_scale: the encoder's factor on cosines.
        possible: (N, C) whether a value is possible for the row; None where all are.

    >>> zero_shot_probabilities(np.array([[0.2, 0.1]], np.float32), 20.0).round(3)
    array([[0.731, 0.269]])
    """
    logits = scores.astype(np.float64) * (logit_scale * SCALE_SHARE)
    if possible is not None:
        logits[~possible] = -np.inf
    top = logits.max(axis=1, keepdims=True)
    logits -= np.where(np.isfinite(top), top, 0.0)
    powers = np.exp(logits)
    shares: npt.NDArray[np.float64] = powers / np.maximum(powers.sum(axis=1, keepdims=True), 1e-300)
    return shares
