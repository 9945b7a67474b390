from __future__ import annotations

import csv
from pathlib import Path

import pytest
import yaml

from eval.image_sets import image_set
from eval.predictions import read_predictions
from rac.cards.card import list_cards, load_card
from rac.classifier import RacClassifier
from rac.errors import InputError
from retrieval_index import EncoderMismatch
from tests.toy import ToyEncoder, write_toy_images
from training.cli import CONFIGS, ready_configs, run


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CSV of toy images, one of which is broken, and an encoder that needs no network."""
    monkeypatch.setattr("rac.encoders.load_encoder", lambda *_, **__: ToyEncoder())
    monkeypatch.setenv("RAC_CACHE_HOME", str(tmp_path / "cache"))
    colours = ["red"] * 8 + ["green"] * 5 + ["blue"] * 3 + ["yellow"]
    names = write_toy_images(tmp_path / "images", colours)
    (tmp_path / "images" / "broken.png").write_text("not an image")
    with open(tmp_path / "items.csv", "w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["id", "image", "label"])
        writer.writerows(
            [f"item{row}", f"images/{name}", colour]
            for row, (name, colour) in enumerate(zip(names, colours, strict=True))
        )
        writer.writerow(["bad", "images/broken.png", "red"])
    return tmp_path / "items.csv"


def card_of(config: str) -> str:
    """The data card that a ready configuration is about."""
    return config.removesuffix("-finetune")


def options(out: Path) -> list[str]:
    return [
        *("--trainer.default_root_dir", str(out)),
        *("--trainer.enable_progress_bar", "false"),
        *("--trainer.max_epochs", "2"),
    ]


def test_fit_then_test_from_the_command_line(
    catalogue: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    run(["fit", "--data.train", str(catalogue), *options(out)])
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "model")
    classifier = RacClassifier.load(out / "model", encoder="toy0")
    assert classifier.classes == ("blue", "green", "red", "yellow")
    assert classifier.config.train_counts == (3, 5, 8, 1)
    assert list(out.rglob("last.ckpt"))

    run(["test", "--data.test", str(catalogue), *options(out)])
    predictions = read_predictions(out / "predictions.parquet")
    assert len(predictions) == 18
    right = [
        label == given
        for label, given in zip(predictions.label_cells, predictions.predictions, strict=True)
    ]
    assert all(right[:-1])
    assert predictions.predictions[-1] is None
    assert predictions.neighbour_ids is not None
    # What a report needs to see that these rows were trained on, and that none was kept aside.
    assert predictions.source == str(catalogue)
    assert predictions.content_hashes is not None
    assert predictions.training == image_set(predictions.content_hashes[:-1], str(catalogue))
    assert predictions.selection == image_set(())


def test_a_memory_with_an_encoder_of_its_own_from_the_command_line(
    catalogue: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("rac.encoders.load_encoder", lambda name, **_: ToyEncoder(name))
    out = tmp_path / "run"
    two = [
        *("--data.encoder", "tuned", "--data.memory_encoder", "frozen"),
        *("--data.memory_space", "embedding"),
    ]
    train = ["fit", "--data.train", str(catalogue), "--data.views_below", "10", *options(out)]
    with pytest.raises(InputError, match=r"--data\.held_out 0\.1"):
        run([*train, *two])
    run([*train, *two, "--data.held_out", "0.25", "--data.memorise_validation", "true"])
    classifier = RacClassifier.load(
        out / "model", encoder="tuned", memory_encoder="frozen", memory_space="embedding"
    )
    assert classifier.memory.manifest.dim == 3
    assert classifier.config.dim == 12
    # What was held out is memorised, and the report knows that it was chosen by.
    assert len(classifier.memory) == 17
    assert sum(classifier.config.train_counts) < 17
    assert classifier.seen.selection is not None
    assert len(classifier.seen.selection) == 17 - sum(classifier.config.train_counts)

    ask = ["test", "--data.test", str(catalogue), *options(out)]
    with pytest.raises(InputError, match=r"--data\.memory_encoder frozen"):
        run([*ask, "--data.encoder", "tuned"])
    with pytest.raises(EncoderMismatch, match="base branch was trained on tuned"):
        run([*ask, "--data.encoder", "mini", *two[2:]])
    run([*ask, *two])
    predictions = read_predictions(out / "predictions.parquet")
    right = [
        label == given
        for label, given in zip(predictions.label_cells, predictions.predictions, strict=True)
    ]
    assert all(right[:-1])
    assert predictions.predictions[-1] is None
    run(["validate", "--data.val", str(catalogue), *options(out), *two])
    run(["predict", "--data.predict", str(catalogue), *options(out), *two])
    assert "val/top1" in capsys.readouterr().out


def test_lightning_does_not_advertise(
    catalogue: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="pytorch_lightning"):
        run(["fit", "--data.train", str(catalogue), *options(tmp_path / "run")])
    assert any("GPU available" in message for message in caplog.messages)
    assert not any("Tip" in message for message in caplog.messages)


def test_a_config_file_and_the_command_line_say_the_same(catalogue: Path, tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "trainer": {
                    "default_root_dir": str(tmp_path / "a"),
                    "max_epochs": 2,
                    "enable_progress_bar": False,
                },
                "data": {"train": str(catalogue)},
            }
        )
    )
    run(["fit", "--config", str(file)])
    run(["fit", "--data.train", str(catalogue), *options(tmp_path / "b")])
    tensors = [(tmp_path / name / "model/model.safetensors").read_bytes() for name in "ab"]
    assert tensors[0] == tensors[1]


@pytest.mark.parametrize("name", ready_configs())
def test_ready_configurations_are_understood(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["fit", "--config", name, "--print_config"])
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["train"].startswith(f"{card_of(name)}:")


def test_every_card_with_a_training_split_has_a_configuration() -> None:
    cards = [load_card(name) for name in list_cards()]
    trainable = {card.name for card in cards if any(one.name == "train" for one in card.splits)}
    assert len(trainable) >= 11
    assert {name for name in ready_configs() if name == card_of(name)} == trainable
    assert {card_of(name) for name in ready_configs()} == trainable
    assert CONFIGS.is_dir()


@pytest.mark.parametrize("name", ready_configs())
def test_ready_configurations_name_splits_that_there_are(name: str) -> None:
    """And none tests on what it was trained on, or measures on a source for training."""
    data = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["data"]
    name = card_of(name)
    card = load_card(name)
    tables = [data[key] for key in ("train", "val", "test") if data[key] is not None]
    assert len(set(tables)) == len(tables)
    assert set(tables) <= {f"{name}:{split.name}" for split in card.splits}
    assert (data["test"] is None) == (card.role == "training-source")
    label = data.get("label") or card.column_of("label")
    assert label in {column.name for column in card.columns}


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        (f"{name}{mode}", figures)
        for mode in ("", "-finetune")
        for name, figures in (
            ("places-lt", ["47.17", "48.7", "48.3", "41.8"]),
            ("inat2018", ["80.24"]),
        )
    ],
)
def test_the_papers_figures_are_said_to_be_the_papers(name: str, figures: list[str]) -> None:
    text = (CONFIGS / f"{name}.yaml").read_text()
    assert all(figure in text for figure in figures)
    assert "NOT measured" in text


def test_an_unknown_configuration_names_those_there_are() -> None:
    with pytest.raises(InputError, match="grocery-store-lt"):
        run(["fit", "--config", "grocery"])


def test_a_missing_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"--data\.train TABLE"):
        run(["fit", *options(tmp_path)])
