"""Configurations of ``rac train``, checkpoints and data cards from outside: plain values, known
classes, nothing that runs code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning import Callback, Trainer
from typer.testing import CliRunner

from rac.cards.card import parse_card
from rac.cli.app import app
from rac.documents import parse_json, parse_yaml
from rac.errors import InputError
from tests.hostile.table import Promise
from tests.training.killed_fit import overlapping_clouds
from training.cli import run
from training.data import TableData
from training.features_cli import run_features
from training.trust import (
    OPTION,
    CautiousParser,
    UnknownClass,
    known_classes,
    known_classes_only,
    trusting,
)

MODULE = "marked_plugin"
CODE = """
from pathlib import Path
import pytorch_lightning
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.profilers import SimpleProfiler
import torch
Path({marker!r}).write_text("ran")

class Plugin(pytorch_lightning.Callback): pass
class Log(CSVLogger): pass
class Profile(SimpleProfiler): pass
class Descent(torch.optim.SGD): pass
def make() -> pytorch_lightning.Callback: return Plugin()
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What appears when the module that configurations name is imported."""
    marker = tmp_path / "marker"
    (tmp_path / f"{MODULE}.py").write_text(CODE.format(marker=str(marker)))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield marker
    sys.modules.pop(MODULE, None)


@pytest.fixture(scope="module")
def parser() -> CautiousParser:
    """As the command line's, of what a configuration may name classes in."""
    parser = CautiousParser(exit_on_error=True)
    parser.add_lightning_class_args(Trainer, "trainer")
    parser.add_optimizer_args((torch.optim.Optimizer,))
    parser.add_lr_scheduler_args((torch.optim.lr_scheduler.LRScheduler,))
    return parser


def named(place: str, path: str, **arguments: Any) -> dict[str, Any]:
    """A configuration that names a class, or a path, in a place of the trainer's."""
    value: Any = {"class_path": path} | ({"init_args": arguments} if arguments else {})
    *above, last = place.split(".")
    config: dict[str, Any] = {last: [value] if last == "callbacks" else value}
    for key in reversed(above):
        config = {key: config}
    return config


LAMBDA = "pytorch_lightning.callbacks.LambdaCallback"
# What the configuration says, and the path that the message names.
CLASS_CASES: list[tuple[dict[str, Any], str]] = [
    (named("trainer.callbacks", f"{MODULE}.Plugin"), f"{MODULE}.Plugin"),
    (named("trainer.callbacks", f"{MODULE}.make"), f"{MODULE}.make"),
    (named("trainer.logger", f"{MODULE}.Log"), f"{MODULE}.Log"),
    (named("trainer.profiler", f"{MODULE}.Profile"), f"{MODULE}.Profile"),
    (named("trainer.strategy", f"{MODULE}.Plugin"), f"{MODULE}.Plugin"),
    (named("trainer.accelerator", f"{MODULE}.Plugin"), f"{MODULE}.Plugin"),
    (named("trainer.plugins", f"{MODULE}.Plugin"), f"{MODULE}.Plugin"),
    (named("optimizer", f"{MODULE}.Descent"), f"{MODULE}.Descent"),
    (named("lr_scheduler", f"{MODULE}.Descent"), f"{MODULE}.Descent"),
    ({"trainer": {"callbacks": f"{MODULE}.Plugin"}}, f"{MODULE}.Plugin"),
    ({"trainer": {"callbacks": [f"{MODULE}.Plugin"]}}, f"{MODULE}.Plugin"),
    (named("trainer.callbacks", LAMBDA, setup=f"{MODULE}.make"), LAMBDA),
    (named("trainer.callbacks", "LambdaCallback", setup="os.getcwd"), LAMBDA),
    (
        named("trainer.callbacks", "pytorch_lightning.callbacks.lambda_function.LambdaCallback"),
        "pytorch_lightning.callbacks.lambda_function.LambdaCallback",
    ),
    (
        named("trainer.callbacks", "pytorch_lightning.callbacks.BackboneFinetuning"),
        "pytorch_lightning.callbacks.BackboneFinetuning",
    ),
    (
        named("trainer.callbacks", "pytorch_lightning.callbacks.StochasticWeightAveraging"),
        "pytorch_lightning.callbacks.StochasticWeightAveraging",
    ),
    (
        named("lr_scheduler", "torch.optim.lr_scheduler.LambdaLR", lr_lambda="os.getcwd"),
        "torch.optim.lr_scheduler.LambdaLR",
    ),
    (named("trainer.callbacks", "subprocess.Popen", args="true"), "subprocess.Popen"),
    (named("trainer.callbacks", "os.system"), "os.system"),
    (named("trainer.callbacks", "torch.load"), "torch.load"),
    (named("trainer.callbacks", "torch.hub.load"), "torch.hub.load"),
    (named("trainer.callbacks", "torch.utils.cpp_extension.load"), "torch.utils.cpp_extension"),
    (named("trainer.callbacks", "numpy.load"), "numpy.load"),
    (named("trainer.callbacks", "pickle.loads"), "pickle.loads"),
    (named("trainer.callbacks", "builtins.eval"), "builtins.eval"),
    (named("trainer.callbacks", "functools.partial"), "functools.partial"),
    (named("trainer.callbacks", "training.cli.run"), "training.cli.run"),
    (named("trainer.callbacks", "rac.cli.app.main"), "rac.cli.app.main"),
    (named("trainer.callbacks", "pytorch_lightning.cli.LightningCLI"), "LightningCLI"),
    (named("trainer.callbacks", "jsonargparse.set_parsing_settings"), "jsonargparse"),
    (named("trainer.callbacks", "tests.hostile.test_training_configs.Own"), "Own"),
]


class Own(Callback):
    """A subclass that is known to the process, but not ours."""


@pytest.mark.parametrize(("config", "path"), CLASS_CASES)
def test_a_class_that_is_not_known_is_neither_imported_nor_built(
    config: dict[str, Any], path: str, parser: CautiousParser, marker: Path
) -> None:
    with known_classes_only(), pytest.raises(UnknownClass, match=OPTION) as refused:
        parser.parse_object(config)
    assert path in str(refused.value)
    assert next(iter(config)) in str(refused.value)
    assert MODULE not in sys.modules
    assert not marker.exists()


KNOWN_CASES: list[dict[str, Any]] = [
    named("trainer.callbacks", "pytorch_lightning.callbacks.LearningRateMonitor"),
    named("trainer.callbacks", "LearningRateMonitor"),
    named("trainer.callbacks", "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
          monitor="val/macro"),
    named("trainer.logger", "pytorch_lightning.loggers.CSVLogger", save_dir="logs"),
    named("trainer.profiler", "pytorch_lightning.profilers.SimpleProfiler"),
    named("trainer.plugins", "pytorch_lightning.plugins.environments.SLURMEnvironment"),
    named("optimizer", "torch.optim.AdamW", lr=0.1),
    named("lr_scheduler", "torch.optim.lr_scheduler.StepLR", step_size=3),
]  # fmt: skip


@pytest.mark.parametrize("config", KNOWN_CASES)
def test_classes_of_lightning_and_torch_are_built(
    config: dict[str, Any], parser: CautiousParser
) -> None:
    with known_classes_only():
        assert parser.parse_object(config) is not None


def test_trusted_a_configuration_names_any_class(parser: CautiousParser, marker: Path) -> None:
    """And the refusals above are no fault of the module's."""
    config = named("trainer.callbacks", f"{MODULE}.Plugin")
    with trusting(True), known_classes_only():
        assert parser.parse_object(config) is not None
    assert marker.exists()
    with known_classes_only(), pytest.raises(UnknownClass):
        parser.parse_object(config)


def test_no_function_is_among_the_known() -> None:
    known = known_classes()
    assert "pytorch_lightning.callbacks.EarlyStopping" in known
    assert "training.fit._Patience" in known
    for path in known:
        module, _, name = path.rpartition(".")
        # Some classes say that they are of a place where they no longer are.
        assert isinstance(vars(sys.modules[module]).get(name, type), type), path
    assert not {one for one in known if "Lambda" in one or "partial" in one}


# Name, a configuration's bytes, and what is said; the file is named too.
DOCUMENT_CASES: list[tuple[str, bytes, str]] = [
    ("an object of Python", b"trainer: !!python/object/apply:os.getcwd []\n", "the tag"),
    ("a name of Python", b"trainer: !!python/name:os.getcwd\n", "the tag"),
    ("a module of Python", b"trainer: !!python/module:os\n", "the tag"),
    ("a tag of its own", b"trainer: !marked {}\n", "the tag '!marked'"),
    ("deep", b"trainer: " + b"[" * 5_000, "too deep"),
    ("deep in fields", b"trainer: " + b"{a: " * 5_000, "too deep"),
    (
        "aliases that blow up",
        b"a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (at + 1, at + 1, b",".join([b"*%c" % at] * 10))
            for at in range(ord("a"), ord("f"))
        ),
        "too many values",
    ),
    ("an alias of itself", b"a: &a [*a]\n", "too many values"),
    ("UTF-16", "trainer: {}".encode("utf-16"), "UTF-8"),
    ("Latin-1", b"mode: \xe9\n", "UTF-8"),
    ("a pickle", b"\x80\x04N.", "UTF-8"),
    ("no YAML", b"trainer: [}\n", "is not YAML"),
    ("a null", b"trainer: \x00\n", "is not YAML"),
    ("a day that is none", b"trainer: 2001-02-31\n", "cannot mean"),
    ("too long", b"#" * (2 << 20), "bytes are too many"),
    ("a mode that is none", b"mode: code\n", "no mode is called"),
    ("a class", yaml.safe_dump(named("trainer.callbacks", "os.system")).encode(), "os.system"),
]


@pytest.mark.parametrize(("name", "content", "says"), DOCUMENT_CASES)
def test_a_configuration_that_is_more_than_values_is_refused(
    name: str, content: bytes, says: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_bytes(content)
    with pytest.raises(InputError, match=says) as refused:
        run(["fit", "--config", str(config), "--print_config"])
    assert name == "a mode that is none" or str(config) in str(refused.value)


@pytest.mark.parametrize("key", ["trust_config", "trust-config", "trainer.trust_config"])
def test_a_configuration_cannot_trust_itself(
    key: str, tmp_path: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    told = named("trainer.callbacks", f"{MODULE}.Plugin") | {key: True}
    config.write_text(yaml.safe_dump(told))
    with pytest.raises((SystemExit, InputError)) as refused:
        run(["fit", "--config", str(config), "--print_config"])
    if isinstance(refused.value, SystemExit):
        assert refused.value.code == 2
        assert "trust" in capsys.readouterr().err
    assert not marker.exists()


def test_files_that_a_configuration_points_to_are_plain_values_too(
    tmp_path: Path, marker: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inner = tmp_path / "trainer.yaml"
    inner.write_text(f"callbacks: !!python/name:{MODULE}.Plugin\n")
    with pytest.raises((SystemExit, InputError)) as refused:
        run(["fit", "--trainer", str(inner), "--print_config"])
    assert not isinstance(refused.value, SystemExit) or refused.value.code == 2
    assert str(inner) in capsys.readouterr().err + str(refused.value)
    assert not marker.exists()


def test_help_says_why() -> None:
    told = CliRunner().invoke(app, ["train", "fit", "--help"])
    assert "can run any code" in " ".join(told.output.split())
    assert OPTION in told.output


class _Marking:
    """Unpickled as objects are, it leaves a marker."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


CHECKPOINT_CASES = (
    "code",
    "code, the last of a run",
    "text, the last of a run",
    "code, weights_only: false",
    "code, weights_only said",
    "text",
    "empty",
    "cut",
)


@pytest.mark.parametrize("kind", CHECKPOINT_CASES)
def test_a_checkpoint_is_read_as_data(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = tmp_path / "some.ckpt"
    torch.save({"state_dict": {}, "extra": _Marking(tmp_path / "marker")}, path)
    match kind.partition(",")[0]:
        case "text":
            path.write_text("a checkpoint")
        case "empty":
            path.write_bytes(b"")
        case "cut":
            path.write_bytes(path.read_bytes()[:-50])
    more = ["--weights_only", "false"] if kind.endswith(": false") else []
    more = ["--weights_only", "true"] if kind.endswith("said") else more
    asked = str(path)
    if kind.endswith("of a run"):
        monkeypatch.setattr(TableData, "fit_rows", overlapping_clouds)
        (tmp_path / "checkpoints").mkdir()
        path = path.rename(tmp_path / "checkpoints" / "last.ckpt")
        asked = "last"
    root = f"--trainer.default_root_dir={tmp_path}"
    quiet = "--trainer.enable_progress_bar=false"
    with pytest.raises(InputError, match=r"is not a checkpoint|lets a checkpoint") as refused:
        run_features(["fit", f"--ckpt_path={asked}", root, quiet, *more])
    assert str(path) in str(refused.value)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_no_subcommand_reads_more_unasked(subcommand: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"lets a checkpoint run code.*{OPTION}"):
        run_features([subcommand, "--weights_only=false"])


HEADER = """---
pretty_name: {name}
license: none
---
text
"""
# Name, and a data card's text.
CARD_CASES: list[tuple[str, str]] = [
    ("an object of Python", HEADER.format(name="!!python/object/apply:os.getcwd []")),
    ("a tag", HEADER.format(name="!marked x")),
    ("deep", HEADER.format(name="[" * 5_000)),
    ("an alias of itself", HEADER.format(name="&a [*a]")),
    ("no day", HEADER.format(name="2001-02-31")),
    ("fields missing", HEADER.format(name="x")),
    ("a list", "---\n- a\n---\n"),
    ("keys that are numbers", "---\n1: a\n---\n"),
    ("no end", "---\npretty_name: x\n"),
    ("no header", "text"),
]


@pytest.mark.parametrize(("name", "text"), CARD_CASES)
def test_a_card_that_is_none_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(InputError, match="data card marked: "):
        parse_card("marked", text)


def test_json_and_yaml_of_plain_values_are_read() -> None:
    value = {"a": [1, 2.5, None, True, "x"], "b": {"c": []}}
    assert parse_json(json.dumps(value), "here") == value
    assert parse_yaml(yaml.safe_dump(value), "here") == value
    assert parse_yaml("a: &x [1]\nb: *x\nc: !!str 1", "here") == {"a": [1], "b": [1], "c": "1"}


PROMISES = [
    Promise(
        "configurations of rac train",
        "only known classes of Lightning and torch are imported and built; others are named, with "
        "the file and the option that trusts it",
        "classes and functions of other modules in every place, callbacks that call functions, "
        "loaders, tags of Python, deep and foreign YAML",
        len(CLASS_CASES) + len(DOCUMENT_CASES) + 4,
    ),
    Promise(
        "checkpoints",
        "are read as tensors and plain values, whatever configuration and environment say",
        "pickles with code, damaged files, settings that ask for more",
        len(CHECKPOINT_CASES) + 4,
    ),
    Promise(
        "data cards",
        "a header that is not one is refused by the card's name",
        "tags, deep and endless YAML, missing fields",
        len(CARD_CASES),
    ),
]
