"""Fine-tuning from the command line: what is trained, what is written, what a kill costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

import rac.encoders
from eval.predictions import read_predictions
from rac.classifier import RacClassifier
from rac.encoders.layout import WEIGHTS_FILE
from rac.errors import InputError, JobFailed
from tests.training.finetune.conftest import COLOURS, write_table
from training.cli import CONFIGS, ready_configs, run
from training.data import Batch
from training.finetune.cli import FinetuneCLI
from training.finetune.data import ImageData
from training.finetune.module import TowerTuner
from training.folds import hold_out

EPOCHS = 4
ENCODERS = ("encoder", "memory_encoder")


class KilledError(BaseException):
    """Stands for what no code can catch and tidy up after."""


def fit(tables: tuple[Path, Path], encoder: Path, out: Path, **settings: object) -> None:
    options = {
        "mode": "finetune",
        "trainer.default_root_dir": out,
        "trainer.enable_progress_bar": "false",
        "trainer.accelerator": "cpu",
        "trainer.max_epochs": EPOCHS,
        "data.train": tables[0],
        "data.val": tables[1],
        "data.encoder": encoder,
        "data.batch_size": 6,
        "data.workers": 0,
        "model.learning_rate": 0.003,
        "model.head_rate": 0.01,
        **settings,
    }
    run(["fit", *(f"--{name}={value}" for name, value in options.items() if value is not None)])


@pytest.fixture
def tower_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what comes behind the tuned encoder."""
    monkeypatch.setattr(FinetuneCLI, "_over_embeddings", lambda *_: None)


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Collect the losses of all steps."""
    found: list[float] = []
    step = TowerTuner.training_step

    def training_step(self: TowerTuner, batch: Batch, batch_index: int) -> Tensor:
        loss = step(self, batch, batch_index)
        found.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(TowerTuner, "training_step", training_step)
    return found


def weights(out: Path) -> dict[str, Tensor]:
    return load_file(str(out / "encoder/open_clip_model.safetensors"))


def test_from_images_to_a_tuned_encoder_its_memory_and_predictions(
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    losses: list[float],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    fit(catalogue, towers["timm"], out, **{"data.memory": "frozen"})
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])
    assert capsys.readouterr().out.splitlines()[-1] == str(out / "model")
    assert not list(out.glob("*.bin"))

    encoder = rac.encoders.load_encoder(str(out / "encoder"))
    frozen = rac.encoders.load_encoder(str(towers["timm"])).identity
    classifier = RacClassifier.load(
        out / "model", encoder=encoder.identity, memory_encoder=frozen, memory_space="trunk"
    )
    assert encoder.identity != frozen
    assert classifier.classes == ("blue", "green", "red")
    assert classifier.config.train_counts == (4, 6, 8)
    assert len(classifier.memory) == 21

    ask = [
        *("test", "--mode=finetune", f"--trainer.default_root_dir={out}"),
        *(f"--data.test={catalogue[0]}", "--trainer.enable_progress_bar=false"),
    ]
    # The model names the folder of its memory's encoder, and is not taken at its word.
    with pytest.raises(InputError, match=rf"--data\.encoder {towers['timm']}"):
        run(ask)
    run([*ask, f"--data.encoder={towers['timm']}"])
    predictions = read_predictions(out / "predictions.parquet")
    assert len(predictions) == 19
    assert predictions.predictions[1] is None


def test_a_memory_of_the_tuned_encoder_holds_the_validation_rows_too(
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "run"
    fit(catalogue, towers["timm"], out, **{"trainer.max_epochs": 1})
    tuned = rac.encoders.load_encoder(str(out / "encoder")).identity
    classifier = RacClassifier.load(out / "model", encoder=tuned)
    assert classifier.config.memory_encoder is None
    assert classifier.memory.manifest.encoder == tuned
    assert len(classifier.memory) == 21
    asked = [f"--trainer.default_root_dir={out}", f"--data.val={catalogue[1]}"]
    run(["validate", "--mode=finetune", "--trainer.enable_progress_bar=false", *asked])
    assert "they find themselves" in capsys.readouterr().err
    less = {"data.memorise_validation": "false", "trainer.max_epochs": 1}
    fit(catalogue, towers["timm"], tmp_path / "less", **less)
    assert len(RacClassifier.load(tmp_path / "less/model").memory) == 18


def test_a_memory_that_sees_the_pictures_larger(
    catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    fit(catalogue, towers["timm"], out, **{"data.memory_image_size": 48, "trainer.max_epochs": 1})
    tuned = rac.encoders.load_encoder(str(out / "encoder"))
    larger = rac.encoders.load_encoder(str(out / "memory_encoder"))
    assert larger.image_size == (48, 48) != tuned.image_size
    ours, theirs = (load_file(str(out / name / WEIGHTS_FILE)) for name in ENCODERS)
    assert all(torch.equal(weight, theirs[name]) for name, weight in ours.items())

    classifier = RacClassifier.load(
        out / "model",
        encoder=tuned.identity,
        memory_encoder=larger.identity,
        memory_space="trunk",
    )
    assert classifier.memory.manifest.encoder == larger.identity != tuned.identity
    assert len(classifier.memory) == 21
    run(
        [
            *("test", "--mode=finetune", f"--trainer.default_root_dir={out}"),
            *(f"--data.test={catalogue[1]}", "--trainer.enable_progress_bar=false"),
        ]
    )
    assert len(read_predictions(out / "predictions.parquet")) == 4


@pytest.mark.parametrize("kind", ["timm", "vit", "resnet"])
def test_the_written_encoder_gives_what_the_trained_tower_gives(
    kind: str,
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[Tensor, Tensor, np.ndarray]] = []

    def look(self: FinetuneCLI, *_: object) -> None:
        self.model.eval()
        pixels = torch.randint(
            0, 256, (3, 3, *self.datamodule.size), generator=torch.Generator().manual_seed(3)
        ).to(torch.uint8)
        with torch.inference_mode():
            trunk, embedding = self.model.tower(pixels)
        seen.append((trunk, embedding, pixels.numpy()))

    monkeypatch.setattr(FinetuneCLI, "_over_embeddings", look)
    fit(catalogue, towers[kind], tmp_path / "run", **{"trainer.max_epochs": 1})
    trunk, embedding, pixels = seen[0]
    written, before = (
        rac.encoders.load_encoder(str(tmp_path / "run/encoder")),
        rac.encoders.load_encoder(str(towers[kind])),
    )
    given = written.encode_images(pixels)
    np.testing.assert_allclose(given.trunk, trunk, rtol=1e-3, atol=1e-4)
    unit = torch.nn.functional.normalize(embedding, dim=1)
    np.testing.assert_allclose(given.embedding, unit, rtol=1e-3, atol=1e-4)
    assert np.abs(before.encode_images(pixels).trunk - given.trunk).max() > 1e-3
    texts = ["a red thing", "a blue one"]
    np.testing.assert_array_equal(written.encode_texts(texts), before.encode_texts(texts))
    assert written.image_size == before.image_size


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"data.sampling": "progressive", "model.loss": "ldam", "model.reweight": "class-balanced"},
    ],
)
@pytest.mark.usefixtures("tower_only")
def test_a_killed_fit_resumes_to_the_same_bits(
    settings: dict[str, object],
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Crops, optimizer, schedule and the best epoch all go on; a worker process changes nothing."""
    fit(catalogue, towers["timm"], tmp_path / "a", **settings)
    step = TowerTuner.training_step

    def training_step(self: TowerTuner, batch: Batch, batch_index: int) -> Tensor:
        if self.current_epoch == 2 and batch_index == 1:
            raise KilledError
        return step(self, batch, batch_index)

    with monkeypatch.context() as patched:
        patched.setattr(TowerTuner, "training_step", training_step)
        with pytest.raises(KilledError):
            fit(catalogue, towers["timm"], tmp_path / "b", **settings)
    assert not (tmp_path / "b/encoder").exists()
    fit(
        catalogue,
        towers["timm"],
        tmp_path / "b",
        ckpt_path="last",
        **{**settings, "data.workers": 1},
    )
    last = [
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in "ab"
    ]
    assert all(torch.equal(last[0][name], last[1][name]) for name in last[0])
    tensors = [weights(tmp_path / name) for name in "ab"]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


@pytest.mark.usefixtures("tower_only")
def test_the_checkpoint_of_another_training_is_refused(
    catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path
) -> None:
    fit(catalogue, towers["timm"], tmp_path / "run", **{"trainer.max_epochs": 1})
    again = {"ckpt_path": "last", "data.jitter": 0.5}
    with pytest.raises(InputError, match=r"jitter was 0\.2 and is 0\.5 now"):
        fit(catalogue, towers["timm"], tmp_path / "run", **again)
    table = write_table(tmp_path, "more", [*COLOURS, "red"])
    with pytest.raises(InputError, match="its training rows were others"):
        fit((table, catalogue[1]), towers["timm"], tmp_path / "run", ckpt_path="last")


@pytest.mark.usefixtures("tower_only")
def test_layers_near_the_input_and_statistics_stay_when_asked(
    catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path
) -> None:
    before = load_file(str(towers["timm"] / "open_clip_model.safetensors"))
    fit(catalogue, towers["timm"], tmp_path / "run", **{"model.frozen_layers": 2})
    after = weights(tmp_path / "run")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "visual.trunk.conv_stem.weight" not in changed
    assert not any(".blocks.0." in name or "running_" in name for name in changed)
    assert "visual.trunk.blocks.1.0.conv_exp.weight" in changed
    assert all(name.startswith("visual.") for name in changed)

    fit(catalogue, towers["timm"], tmp_path / "free", **{"model.freeze_batch_norm": "false"})
    free = weights(tmp_path / "free")
    assert not torch.equal(
        free["visual.trunk.bn1.running_mean"], before["visual.trunk.bn1.running_mean"]
    )


@pytest.mark.usefixtures("tower_only")
def test_lora_changes_what_it_adds_and_nothing_else(
    catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path, losses: list[float]
) -> None:
    pytest.importorskip("peft")
    settings = {"model.tune": "lora", "model.rank": 2, "model.learning_rate": 0.01}
    fit(catalogue, towers["timm"], tmp_path / "run", **settings)
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    state = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    before = load_file(str(towers["timm"] / "open_clip_model.safetensors"))
    added = [name for name in state if "lora_B" in name]
    assert added
    assert any(state[name].abs().max() > 0 for name in added)
    kept = {
        name.removeprefix("tower.outputs.").replace(".base_layer", ""): value
        for name, value in state.items()
        if name.startswith("tower.outputs.") and "lora_" not in name
    }
    assert kept
    for name, value in kept.items():
        torch.testing.assert_close(value, before[f"visual.{name}"], rtol=0, atol=0)
    after = weights(tmp_path / "run")
    assert set(after) == set(before)
    assert not torch.equal(
        after["visual.trunk.conv_stem.weight"], before["visual.trunk.conv_stem.weight"]
    )


@pytest.mark.usefixtures("tower_only")
def test_without_validation_rows_a_share_of_each_class_is_held_out(
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts: dict[str, list[int]] = {}
    setup = ImageData.setup

    def look(self: ImageData, stage: str) -> None:
        setup(self, stage)
        assert self.validation is not None
        counts["train"] = self.counts.tolist()
        counts["val"] = np.bincount(self.validation.classes, minlength=3).tolist()

    monkeypatch.setattr(ImageData, "setup", look)
    fit(
        (catalogue[0], catalogue[1]),
        towers["timm"],
        tmp_path / "run",
        **{"data.val": None, "data.held_out": 0.25, "trainer.max_epochs": 1},
    )
    assert np.add(counts["train"], counts["val"]).tolist() == [4, 6, 8]
    assert min(counts["train"]) >= 1
    assert sum(counts["val"]) >= 3


def test_the_fusion_is_fitted_to_the_rows_that_the_tower_has_not_seen(
    catalogue: tuple[Path, Path],
    towers: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[list[bool]] = []

    def recorded(*given: object, **options: object) -> object:
        found = hold_out(*given, **options)  # type: ignore[arg-type]
        held.append(found.tolist())
        return found

    monkeypatch.setattr("training.finetune.data.hold_out", recorded)
    monkeypatch.setattr("training.data.hold_out", recorded)
    settings = {"data.val": None, "data.held_out": 0.25, "trainer.max_epochs": 1}
    fit(catalogue, towers["timm"], tmp_path / "run", **settings)
    tower, *others = held
    assert any(tower)
    assert others
    assert all(other == tower for other in others)
    classifier = RacClassifier.load(tmp_path / "run/model")
    assert len(classifier.memory) == 18
    assert sum(classifier.config.train_counts) == 18 - sum(tower)


def test_rows_that_cannot_be_trained_on_are_told(
    catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(JobFailed, match="bad"):
        fit(catalogue, towers["timm"], tmp_path / "a", **{"data.max_bad": 0.01})
    with pytest.raises(InputError, match=r"--data\.train TABLE"):
        fit(catalogue, towers["timm"], tmp_path / "b", **{"data.train": None})
    one = write_table(tmp_path, "one", ["red"] * 3)
    with pytest.raises(InputError, match="two classes"):
        fit((one, catalogue[1]), towers["timm"], tmp_path / "c")
    other = write_table(tmp_path, "other", ["black"] * 3)
    with pytest.raises(InputError, match="known class"):
        fit((catalogue[0], other), towers["timm"], tmp_path / "d")


@pytest.mark.parametrize("option", ["image_size", "memory_image_size"])
@pytest.mark.usefixtures("tower_only")
def test_a_transformer_takes_its_own_size_only(
    option: str, catalogue: tuple[Path, Path], towers: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"leave --data.{option} "):
        fit(catalogue, towers["vit"], tmp_path / "run", **{f"data.{option}": 48})


def test_a_size_is_for_the_memory_of_a_tuned_encoder() -> None:
    with pytest.raises(InputError, match="memory_image_size is for a memory of the tuned"):
        ImageData("train.csv", memory="frozen", memory_image_size=48)
    with pytest.raises(InputError, match="memory_image_size must be at least 1, got 0"):
        ImageData("train.csv", memory_image_size=0)


@pytest.mark.parametrize("name", [one for one in ready_configs() if one.endswith("-finetune")])
def test_ready_configurations_are_understood(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["fit", "--config", name, "--print_config"])
    assert ended.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["mode"] == "finetune"
    assert printed["model"]["tune"] in ("full", "lora")
    assert (CONFIGS / f"{name}.yaml").read_text().count(f"--config {name}\n") == 1


def test_a_mode_that_there_is_not() -> None:
    with pytest.raises(InputError, match="features, finetune"):
        run(["fit", "--mode=fine"])
