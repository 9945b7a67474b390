"""Logistic regression."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from eval.arrays import Ints, Scores
from eval.baselines.base import SPACES, Baseline, Examples, Predictor, Prompts, Queries, Space


@dataclass(frozen=True)
class LogisticSetting:
    """A space, the inverse of the penalty, and whether classes weigh the same."""

    space: Space
    inverse_penalty: float
    balanced: bool


class Logistic(Baseline[LogisticSetting]):
    """Multinomial logistic regression with an L2 penalty on standardised features.

    scikit-learn's; balanced, each row weighs N / (C n) with n rows of its class (King and Zeng,
    Logistic regression in rare events data, 2001).
    """

    name = "logistic-regression"

    def grid(self) -> Sequence[LogisticSetting]:
        """Both spaces with three penalties, balanced and not."""
        choices = product(SPACES, (1e-3, 1e-2, 1e-1), (False, True))
        return [LogisticSetting(*one) for one in choices]

    def fit(
        self,
        train: Examples,
        prompts: Prompts | None,
        counts: Ints,
        setting: LogisticSetting,
        seed: int,
    ) -> Predictor:
        """Standardise and fit; with a single class there is nothing to fit."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        rows = train.space(setting.space)
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        spread[spread == 0] = 1
        known = np.unique(train.classes)
        model = None
        if len(known) > 1:
            model = LogisticRegression(
                C=setting.inverse_penalty,
                class_weight="balanced" if setting.balanced else None,
                max_iter=100,
                tol=1e-3,
            )
            with warnings.catch_warnings():
                # The last digits of the weights do not show in the predictions.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit((rows - mean) / spread, train.classes)

        def predict(queries: Queries) -> Scores:
            scores = np.full((len(queries), len(counts)), -np.inf, np.float32)
            scores[:, known] = 0.0
            if model is not None and len(queries):
                found = (queries.space(setting.space) - mean) / spread
                decision = model.decision_function(found)
                if len(known) == 2:  # one column: the log-odds of the second class
                    decision = np.stack([np.zeros(len(found)), decision], axis=1)
                scores[:, known] = decision
            return scores

        return predict
