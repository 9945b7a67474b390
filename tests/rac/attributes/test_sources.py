"""Sources of evidence: a new one is a class and its line; none sees the fold that it predicts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from rac.attributes.evidence.fitted import FittedEvidence, FittedSources
from rac.attributes.evidence.registry import SOURCES, chosen_sources
from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.explain import explain_row
from rac.attributes.features import FilledAttribute, code_cells, fill_features
from rac.attributes.fill import fill_table
from rac.attributes.ledger import read_ledger
from rac.attributes.row_features import RowFeatures
from rac.attributes.run_folder import RunFolder
from rac.attributes.schema import parse_schema
from rac.attributes.settings import FillSettings
from rac.attributes.task.attribute_task import AttributeTask, Fold
from rac.attributes.task.catalogue_tasks import CatalogueTasks, FeatureSample
from rac.attributes.task.queries import Queries
from rac.attributes.task.training_cells import choose_training_cells
from rac.encoders.base import FloatArray
from rac.errors import InputError
from rac.tables import open_table
from tests.toy import ToyEncoder

PAIR = parse_schema("attributes: {pair: {target_precision: 0.9}, shelf: {target_precision: 0.9}}")


class ProductEvidence(EvidenceSource):
    """How near the product of the first two features is to its mean among an answer's rows."""

    name = "product"
    monotone = True
    needs_image = True

    def __init__(self, means: FloatArray) -> None:
        self._means = means

    @classmethod
    def among(cls, task: AttributeTask, places: np.ndarray) -> Self:
        products, answers = task.features[places, :2].prod(axis=1), task.training.answers[places]
        means = [
            products[answers == answer].mean() if (answers == answer).any() else 0.0
            for answer in range(task.training.answer_count)
        ]
        return cls(np.array(means, np.float32))

    @classmethod
    def fit(cls, task: AttributeTask) -> Self:
        return cls.among(task, task.answered)

    def without(self, fold: Fold) -> Self:
        return self.among(fold.task, np.intersect1d(fold.task.answered, fold.rest))

    def scores(self, queries: Queries) -> FloatArray:
        products = queries.rows.features[:, :2].prod(axis=1)
        return -np.abs(products[:, None] - self._means)


class Parrot(EvidenceSource):
    """Says what it was told of the very same features, and nothing of others."""

    name = "parrot"
    monotone = True

    def __init__(self, told: dict[bytes, int], answer_count: int) -> None:
        self._told, self._answer_count = told, answer_count

    @classmethod
    def among(cls, task: AttributeTask, places: np.ndarray) -> Self:
        rows = zip(task.features[places], task.training.answers[places].tolist(), strict=True)
        return cls({row.tobytes(): answer for row, answer in rows}, task.training.answer_count)

    @classmethod
    def fit(cls, task: AttributeTask) -> Self:
        return cls.among(task, task.answered)

    def without(self, fold: Fold) -> Self:
        return self.among(fold.task, np.intersect1d(fold.task.answered, fold.rest))

    def scores(self, queries: Queries) -> FloatArray:
        scores = np.zeros((len(queries.rows.features), self._answer_count), np.float32)
        for query, row in enumerate(queries.rows.features):
            if row.tobytes() in self._told:
                scores[query, self._told[row.tobytes()]] = 1.0
        return scores


class LeakyParrot(Parrot):
    """Keeps the fold that it is to be without."""

    name = "leaky parrot"

    def without(self, fold: Fold) -> Self:
        return self


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[EvidenceSource]], None]:
    """Adds a source to the registry, as its line would."""

    def add(source: type[EvidenceSource]) -> None:
        monkeypatch.setattr("rac.attributes.evidence.registry.SOURCES", (*SOURCES, source))

    return add


def pairs(rows: int = 700) -> tuple[np.ndarray, list[str], dict[str, list[str | None]]]:
    """Things that are "same" where two features have one sign: no mean and no line tells them."""
    rng = np.random.default_rng(0)
    features = rng.choice([-1.0, 1.0], (rows, 2)) + 0.1 * rng.normal(size=(rows, 2))
    # Long, and not alike, so that the two are the first directions in which the rows differ.
    features = np.concatenate([features * [5, 3], rng.normal(size=(rows, 30))], axis=1)
    truth = ["same" if one > 0 else "different" for one in features[:, :2].prod(axis=1)]
    shelves = [f"shelf {code}" for code in rng.integers(0, 3, rows)]
    hidden = rng.random((2, rows)) < 0.4
    return features.astype(np.float32), truth, {
        name: [None if gone else cell for cell, gone in zip(column, gone_of, strict=True)]
        for name, column, gone_of in zip(PAIR.attributes, (truth, shelves), hidden, strict=True)
    }  # fmt: skip


def filled(sources: tuple[str, ...] | None = None) -> tuple[FilledAttribute, list[str]]:
    features, truth, cells = pairs()
    settings = FillSettings(sources=sources)
    return fill_features(PAIR, cells, features[:, :3], features, settings=settings)["pair"], truth


def task_of_pairs(seed: int = 0) -> AttributeTask:
    features, _, cells = pairs()
    coded = code_cells(PAIR, cells, len(features))
    images = RowFeatures(features[:, :3], features, np.ones(len(features), np.bool_))
    tasks = CatalogueTasks(coded, images, FeatureSample.of(images, seed), None, seed)
    training = choose_training_cells(coded, "pair", images.ok, seed=seed, sources=len(SOURCES))
    return tasks.task("pair", training)


def test_a_new_source_is_weighed_and_answers_what_no_other_could(
    register: Callable[[type[EvidenceSource]], None],
) -> None:
    before, _ = filled()
    register(ProductEvidence)
    after, truth = filled()
    assert "product" not in before.summary.weights
    assert list(after.summary.weights) == [*(one.name for one in SOURCES), "product"]
    assert after.summary.weights["product"] > 0.5
    done = [row for row in after.prediction.rows if after.values[row] is not None]
    assert len(done) > 200 > 2 * before.summary.filled
    assert sum(after.values[row] == truth[row] for row in done) >= 0.9 * len(done)
    alone, _ = filled(("product",))
    assert list(alone.summary.weights) == ["product"]
    assert alone.summary.filled > 200


def test_a_new_source_is_in_a_runs_record_and_its_cells_are_explained(
    register: Callable[[type[EvidenceSource]], None],
    tmp_path: Path,
    write_catalogue: Callable[..., Path],
) -> None:
    register(ProductEvidence)
    table = open_table(write_catalogue(tmp_path / "shop"))
    schema = parse_schema("attributes: {colour: {target_precision: 0.9}}")
    out = tmp_path / "run"
    summary = fill_table(table, schema, ToyEncoder(), out, progress=False)
    noted = json.loads((out / "run.json").read_text("utf-8"))["summary"]["attributes"]["colour"]
    assert noted["weights"] == summary.attributes["colour"].weights
    assert "product" in noted["weights"]
    lines = read_ledger(out / "ledger.parquet")[0].to_pylist()
    line = next(line for line in lines if line["decision"] == "filled")
    with RunFolder.locked(out) as folder:
        explained = explain_row(folder, table, line["id"], tmp_path / "page.html")
    assert [one["value"] for one in explained] == [line["value"]]
    assert line["value"] in (tmp_path / "page.html").read_text("utf-8")


def test_a_source_is_weighed_by_what_it_says_of_rows_that_it_had_not_seen(
    register: Callable[[type[EvidenceSource]], None],
) -> None:
    """A parrot is always right about rows that it was fitted to, and worth nothing."""
    register(Parrot)
    assert filled()[0].summary.weights["parrot"] == 0.0
    register(LeakyParrot)
    assert filled()[0].summary.weights["leaky parrot"] > 1.0


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_nothing_of_a_fold_is_left_in_what_is_without_it(source: type[EvidenceSource]) -> None:
    """The fold's answers, features and cells are changed; what is without it says the same."""
    task = task_of_pairs()
    fold = task.folds[1]
    inside = np.setdiff1d(np.arange(len(task.training.rows)), fold.rest)
    features, answers = task.features.copy(), task.training.answers.copy()
    features[inside] = np.random.default_rng(5).normal(size=(len(inside), features.shape[1]))
    answers[inside] = 1 - answers[inside]
    codes = task.cells.codes["pair"].copy()
    codes[task.training.rows[inside]] = answers[inside]
    other = replace(
        task,
        features=features,
        training=replace(task.training, answers=answers),
        cells=replace(task.cells, codes={**task.cells.codes, "pair": codes}),
    )
    # The same rows in the same folds, though the answers that they were dealt by are others.
    other.__dict__["fold_of"] = task.fold_of
    said = []
    for one in (task, other):
        fitted, left_out = FittedSources.fit(one, [source]), one.folds[1]
        asked = task.asked_rows(inside, fitted.columns)
        whole = FittedEvidence(one.memory, fitted).of(asked).scores
        rest = FittedEvidence(left_out.memory, fitted.without(left_out)).of(asked).scores
        said.append((whole, rest))
    (whole, rest), (other_whole, other_rest) = said
    size = np.abs(whole).max() + 1e-6
    assert np.abs(rest - other_rest).max() < 0.005 * size
    if source.name not in ("zero-shot", "rows of the value"):
        # With the fold in it, it says something else: the check above can fail.
        assert np.abs(whole - other_whole).max() > 0.1 * size


def test_sources_say_what_they_are() -> None:
    names = [source.name for source in SOURCES]
    assert len(set(names)) == len(names)
    assert names == [
        "zero-shot", "nearest row", "nearest of all", "value mean", "head", "cells of the row",
        "rows of the value",
    ]  # fmt: skip
    assert [one.name for one in SOURCES if not one.monotone] == ["rows of the value"]
    assert [one.name for one in SOURCES if one.reads_cells] == ["cells of the row"]
    assert [one.name for one in SOURCES if one.unseen_values] == ["zero-shot"]
    assert all(one.needs_image for one in SOURCES if one.retrieval)


def test_sources_are_chosen_by_name_and_a_wrong_name_lists_them() -> None:
    chosen = chosen_sources(("head", "nearest row"))
    assert [source.name for source in chosen] == ["nearest row", "head"]
    assert chosen_sources() == SOURCES
    with pytest.raises(InputError, match=r"'prices'; there are: zero-shot, nearest row"):
        chosen_sources(("prices", "head"))
    with pytest.raises(InputError, match="called nothing"):
        chosen_sources(())
