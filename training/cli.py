"""``rac train``: ready configurations by name, and which of the two command lines is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pytorch_lightning.cli import LightningCLI

from rac.documents import read_yaml
from rac.errors import InputError
from training.features_cli import Mode, run_features
from training.trust import OPTION, UnknownClass, trusting

CONFIGS = Path(__file__).parent / "configs"
_CONFIG_OPTIONS = ("--config", "-c")


def run(arguments: list[Any]) -> LightningCLI:
    """Run a subcommand of Lightning's command line.

    A ``--config NAME`` that is no file but one of the ready configurations is taken for that.
    ``--mode finetune``, or ``mode: finetune`` in a configuration, trains the image tower.
    ``--trust-config`` lets configurations name any class; see :mod:`training.trust`.

    Args:
        arguments: what stands behind ``rac train``.

    Raises:
        InputError: the data or the settings cannot be used.
        SystemExit: the parser refuses an argument, or has printed what was asked for.
    """
    said = [argument for argument in arguments if argument != OPTION]
    given = [_ready(said, place) for place in range(len(said))]
    mode = _mode(given)
    try:
        with trusting(len(said) < len(arguments)):
            if mode == "features":
                return run_features(given)
            from training.finetune.cli import run_finetune

            return run_finetune(given)
    except UnknownClass as fault:
        name = fault.named.rpartition(".")[2]
        configs = [value for option, value in _options(given) if option in _CONFIG_OPTIONS]
        named = [one for one in configs if name in Path(one).read_text(encoding="utf-8")]
        raise InputError(f"{', '.join(named) or 'an option'}: {fault}") from fault


def ready_configs() -> list[str]:
    """Name the configurations that come with the package."""
    return sorted(path.stem for path in CONFIGS.glob("*.yaml"))


def _ready(arguments: list[Any], place: int) -> Any:
    argument = arguments[place]
    behind = place > 0 and arguments[place - 1] in _CONFIG_OPTIONS
    if not behind or Path(str(argument)).exists():
        return argument
    if argument in ready_configs():
        return str(CONFIGS / f"{argument}.yaml")
    raise InputError(
        f"{argument}: there is no such file, and no ready configuration of that name; there are: "
        f"{', '.join(ready_configs())}"
    )


def _mode(arguments: list[Any]) -> Mode:
    """Find what is to be trained: said by an option, or else by the last configuration."""
    found: Any = "features"
    for option, value in _options(arguments):
        if option in _CONFIG_OPTIONS:
            settings = read_yaml(Path(value))
            if isinstance(settings, dict):
                found = settings.get("mode", found)
    for option, value in _options(arguments):
        if option == "--mode":
            found = value
    if found not in get_args(Mode):
        raise InputError(f"no mode is called {found!r}: {', '.join(get_args(Mode))}")
    return "finetune" if found == "finetune" else "features"


def _options(arguments: list[Any]) -> list[tuple[str, str]]:
    """Give the options with their values, written as ``--option value`` or ``--option=value``."""
    found = []
    for place, argument in enumerate(map(str, arguments)):
        option, equals, value = argument.partition("=")
        if equals:
            found.append((option, value))
        elif place + 1 < len(arguments):
            found.append((option, str(arguments[place + 1])))
    return found
