"""``rac train``: ready configurations by name, and which of the two command lines is meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from pytorch_lightning.cli import LightningCLI

from rac.errors import InputError
from training.features_cli import Mode, run_features

CONFIGS = Path(__file__).parent / "configs"
_CONFIG_OPTIONS = ("--config", "-c")


def run(arguments: list[Any]) -> LightningCLI:
    """Run a subcommand of Lightning's command line.

    A ``--config NAME`` that is no file but one of the ready configurations is taken for that.
    ``--mode finetune``, or ``mode: finetune`` in a configuration, trains the image tower.

    Args:
        arguments: what stands behind ``rac train``.

    Raises:
        InputError: the data or the settings cannot be used.
        SystemExit: the parser refuses an argument, or has printed what was asked for.
    """
    given = [_ready(arguments, place) for place in range(len(arguments))]
    if _mode(given) == "features":
        return run_features(given)
    from training.finetune.cli import run_finetune

    return run_finetune(given)


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
            settings = yaml.safe_load(Path(value).read_text(encoding="utf-8"))
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
