"""Our classifier as ``rac bench classify`` trains it, whole and with parts of it taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from rac.bench.classify import Challenger, Fitted, Probabilities
from rac.bench.classify_data import ClassifyData
from rac.branches.base import log_softmax
from rac.classifier import ClassifierOutput, RacClassifier
from training.crossfit import Views
from training.fit import fit_classifier
from training.texts import TextMode

Answer = Callable[[ClassifierOutput], Probabilities]


def _fused(output: ClassifierOutput) -> Probabilities:
    return output.probabilities


def _base(output: ClassifierOutput) -> Probabilities:
    return np.exp(output.base)


def _retrieval(output: ClassifierOutput) -> Probabilities:
    return np.exp(output.retrieval)


def _text(output: ClassifierOutput) -> Probabilities:
    """The text branch; that of no text has no opinion."""
    even = np.full_like(output.base, 1.0 / output.base.shape[1])
    return even if output.text is None else np.exp(output.text)


def _normalised_sum(output: ClassifierOutput) -> Probabilities:
    """Long et al., CVPR 2022: logits of both branches brought to unit norm, and added.

    Times the norm that the base branch's logits had, since a softmax of unit vectors is flat.
    """
    logits = [said - said.mean(axis=1, keepdims=True) for said in (output.base, output.retrieval)]
    norms = [np.maximum(np.linalg.norm(said, axis=1, keepdims=True), 1e-12) for said in logits]
    total = logits[0] / norms[0] + logits[1] / norms[1]
    return np.exp(log_softmax(total * norms[0] / 2))


@lru_cache(maxsize=32)  # twice as many seeds as the command takes
def _trained(data: ClassifyData, seed: int, text_branch: TextMode = "auto") -> RacClassifier:
    """Train the whole classifier; those that only answer otherwise share it."""
    return _train(data, seed, text_branch=text_branch)


def _train(data: ClassifyData, seed: int, **settings: Any) -> RacClassifier:
    validation = data.validation
    first, further = data.first_views, data.further_views
    views = Views(further.trunk, further.images) if len(further) else None
    return fit_classifier(
        first.trunk,
        data.labels(first),
        data.ids,
        data.texts,
        encoder=data.encoder_identity,
        seed=seed,
        validation=None if validation is None else (validation.trunk, data.labels(validation)),
        text_vectors=data.text_vectors,
        **{"views": views, **settings},
    )


def _fitted(classifier: RacClassifier, data: ClassifyData, answer: Answer) -> Fitted:
    columns = [classifier.classes.index(name) for name in data.classes]
    return Fitted(
        probabilities=lambda queries: answer(classifier.predict(queries.trunk))[:, columns],
        setting=classifier.config.training,
    )


def ours(data: ClassifyData, seed: int) -> Fitted:
    """Train the whole classifier."""
    return _fitted(_train(data, seed), data, _fused)


def _answering(answer: Answer, text_branch: TextMode = "auto") -> Challenger:
    return lambda data, seed: _fitted(_trained(data, seed, text_branch), data, answer)


def _without(**settings: Any) -> Challenger:
    return lambda data, seed: _fitted(_train(data, seed, **settings), data, _fused)


ABLATIONS: Mapping[str, Challenger] = {
    "rac, base branch alone": _answering(_base),
    "rac, retrieval alone": _answering(_retrieval),
    "rac, text alone": _answering(_text, "on"),
    "rac, normalised sum": _answering(_normalised_sum),
    "rac, text on": _answering(_fused, "on"),
    "rac, text off": _without(text_branch="off"),
    "rac, one view": _without(views=None),
    "rac, not whitened": _without(power=1.0, shrinkage=1.0),
    "rac, plain loss": _without(loss="cross-entropy"),
}
"""What each part of the classifier is worth."""
