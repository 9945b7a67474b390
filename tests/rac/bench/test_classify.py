"""The comparison of classifiers: what it reads, what it prints, and what it refuses."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.baselines import Queries
from eval.baselines.class_mean import ClassMean
from eval.baselines.lift import Lift
from eval.baselines.nearest import NearestNeighbour
from eval.baselines.tip_adapter_f import TipAdapterF
from rac.bench.classify import Fitted, bench_classify
from rac.bench.classify_data import (
    ClassifyData,
    SplitTables,
    read_classify_data,
    split_tables,
)
from rac.cli.bench import app
from rac.encoders.views import VIEWS
from rac.errors import InputError
from retrieval_index.arrays import unit_norm
from tests.toy import ToyEncoder, write_toy_images

NO_COLUMNS: dict[str, str | None] = {}
QUICK = (ClassMean(), NearestNeighbour(), Lift())


def write_table(path: Path, colours: list[str], labels: list[str]) -> str:
    names = write_toy_images(path.parent / path.stem, colours)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["image", "label", "caption"])
        writer.writerows(
            (f"{path.stem}/{name}", label, f"a {label} thing")
            for name, label in zip(names, labels, strict=True)
        )
    return str(path)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tables(tmp_path: Path) -> SplitTables:
    train = ["red"] * 6 + ["green"] * 3 + ["blue"] * 2
    test = ["red", "green", "blue", "blue", "yellow", "red"]
    labels = ["red", "green", "blue", "blue", "yellow", ""]  # one not trained, one without
    return SplitTables(
        "toys",
        write_table(tmp_path / "train.csv", train, train),
        write_table(tmp_path / "test.csv", test, labels),
        None,
    )


@pytest.fixture
def data(tables: SplitTables) -> ClassifyData:
    return read_classify_data(tables, ToyEncoder(), NO_COLUMNS, views_below=0, progress=False)


def means_of(data: ClassifyData, seed: int) -> Fitted:
    """A challenger: the softmax of cosines to class means; its seed is its setting."""
    means = np.stack([data.train.trunk[data.train.classes == c].mean(axis=0) for c in range(3)])

    def probabilities(queries: Queries) -> np.ndarray:
        raised = np.exp(50 * (queries.space("trunk") @ unit_norm(means).T))
        return raised / raised.sum(axis=1, keepdims=True)

    return Fitted(probabilities, {"seed": seed})


def test_rows_that_cannot_be_used_are_left_out_and_counted(data: ClassifyData) -> None:
    assert data.classes == ("blue", "green", "red")
    assert data.counts.tolist() == [2, 3, 6]
    assert data.labels(data.test) == ["red", "green", "blue", "blue"]
    assert data.left_out == 2
    assert data.validation is None
    assert len(data.ids) == len(data.texts) == 11
    assert data.texts[0] == "a red thing"
    assert data.prompts is not None
    assert data.prompts.vectors.shape == (3, 3)
    assert data.prompts.scale == 20.0


def test_further_views_are_rows_of_their_images(tables: SplitTables, data: ClassifyData) -> None:
    seen = read_classify_data(tables, ToyEncoder(), NO_COLUMNS, views_below=3, progress=False)
    # Red has six images; green's three and blue's two are looked at again.
    assert len(seen.further_views) == len(VIEWS) * 5
    assert set(seen.labels(seen.further_views)) == {"green", "blue"}
    owners = seen.further_views.images
    assert (seen.further_views.classes == seen.first_views.classes[owners]).all()
    assert (seen.first_views.trunk == data.train.trunk).all()
    assert (seen.counts == data.counts).all()


def test_every_method_and_ours_are_measured_on_the_same_rows(data: ClassifyData) -> None:
    told: list[str] = []
    result = bench_classify(data, means_of, seeds=2, baselines=QUICK, tell=told.append)
    assert list(result.methods) == ["class-mean", "nearest-neighbour", "lift", "rac"]
    assert [line.split(":")[0] for line in told] == list(result.methods)
    assert result.rows == {"train": 11, "further_views": 0, "val": 0, "test": 4, "left_out": 2}
    assert (result.classes, result.seeds, result.dataset) == (3, 2, "toys")
    for one in result.methods.values():
        assert one.top1 == one.macro == one.head == one.mid == one.tail == 1.0
        assert set(one.intervals) == {"top1", "macro", "head", "mid", "tail", "ece"}
        assert one.seconds >= 0
    assert result.methods["rac"].setting == {"seed": 0}
    assert result.methods["nearest-neighbour"].setting.keys() == {"space", "k"}


def test_only_what_is_random_is_trained_again(
    data: ClassifyData, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: dict[str, list[int]] = {}
    for kind in (NearestNeighbour, TipAdapterF):
        original = kind.fit

        def counted(self, train, prompts, counts, setting, seed, original=original):  # type: ignore[no-untyped-def]
            if len(train) == len(data.train):  # not those of cross-fitting
                fits.setdefault(self.name, []).append(seed)
            return original(self, train, prompts, counts, setting, seed)

        monkeypatch.setattr(kind, "fit", counted)
    bench_classify(data, means_of, seeds=3, baselines=[NearestNeighbour(), TipAdapterF()])
    assert fits == {"nearest-neighbour": [0], "tip-adapter-f": [0, 1, 2]}


def test_without_a_text_tower_the_methods_that_need_one_are_left_out(data: ClassifyData) -> None:
    blind = ClassifyData(**{**vars(data), "prompts": None})
    methods = bench_classify(blind, means_of, seeds=1, baselines=[ClassMean(), TipAdapterF()])
    assert list(methods.methods) == ["class-mean", "rac"]


def test_tables_are_a_card_or_named() -> None:
    card = split_tables("grocery-store-lt", None, None, None)
    assert card == SplitTables(
        "grocery-store-lt",
        "grocery-store-lt:train",
        "grocery-store-lt:test",
        "grocery-store-lt:val",
    )
    named = split_tables(None, "a.csv", "b.csv", None)
    assert (named.train, named.test, named.val) == ("a.csv", "b.csv", None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, None, None, None), "name a data card"),
        ((None, "a.csv", None, None), "name a data card"),
        (("digits", "a.csv", None, None), "not both"),
        (("grocery", None, None, None), "the cards are: .*grocery-store"),
        (("openclipart", None, None, None), "has no split 'test'"),
    ],
)
def test_what_is_no_pair_of_tables_is_refused(
    arguments: tuple[str | None, str | None, str | None, str | None], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        split_tables(*arguments)


def test_one_class_or_no_test_row_is_refused(tmp_path: Path, tables: SplitTables) -> None:
    lonely = write_table(tmp_path / "lonely.csv", ["red", "red"], ["red", "red"])
    with pytest.raises(InputError, match=r"lonely\.csv: two classes are needed"):
        read_classify_data(
            SplitTables("x", lonely, tables.test, None), ToyEncoder(), NO_COLUMNS, progress=False
        )
    strange = write_table(tmp_path / "strange.csv", ["black"], ["black"])
    with pytest.raises(InputError, match=r"strange\.csv: no row has an image"):
        read_classify_data(
            SplitTables("x", tables.train, strange, None), ToyEncoder(), NO_COLUMNS, progress=False
        )


def test_the_command(tables: SplitTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rac.encoders.load_encoder", lambda name: ToyEncoder())
    quick = partial(bench_classify, baselines=QUICK)
    monkeypatch.setattr("rac.bench.classify.bench_classify", quick)
    asked = ["classify", "--train", tables.train, "--test", tables.test, "--seeds", "1"]
    found = CliRunner().invoke(app, [*asked, "--json"])
    assert found.exit_code == 0, found.output
    result = json.loads(found.stdout)
    assert result["methods"]["rac"]["top1"] == 1.0
    assert result["rows"]["left_out"] == 2
    assert list(result["methods"]) == ["class-mean", "nearest-neighbour", "lift", "rac"]
    shown = CliRunner().invoke(app, asked)
    assert shown.exit_code == 0
    assert "class-mean" in shown.stdout
    assert "1.000*" in shown.stdout
    assert "2 rows were left out" in shown.stdout
    rows = [
        line for line in shown.stdout.splitlines() if line.strip().startswith("nearest-neighbour")
    ]
    assert len(rows) == 1  # no row of the table is wrapped in eighty columns
