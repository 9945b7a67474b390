"""What a configuration of ``rac train`` may name, unless the person says that it is trusted.

Lightning's command line builds objects of whatever classes a configuration names, and importing or
building one can run any code. A configuration is often somebody else's. So it may name the classes
that Lightning and torch have for its places (callbacks, loggers, profilers, strategies, plugins,
optimizers, schedulers) and our own; none that takes a function to be called, and no function.
Checkpoints are read as tensors and plain values. ``--trust-config`` lifts all of this; it is an
option only, so that no configuration can give it to itself.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, NoReturn

import jsonargparse
import yaml
from jsonargparse._common import parsing_settings
from pytorch_lightning import Callback
from pytorch_lightning.cli import LightningArgumentParser

from rac.documents import check_yaml
from rac.errors import InputError

OPTION = "--trust-config"
HELP = (
    f"{OPTION}: a configuration names classes, and to build one can run any code; so only classes "
    "of Lightning and torch and our own are built, none that calls a function it is given, and "
    "checkpoints are read as data. This option lifts that, for a configuration and checkpoints "
    "that you trust as you trust a program"
)

_PLACES = (
    "lightning_fabric.plugins.environments",
    "pytorch_lightning.accelerators",
    "pytorch_lightning.callbacks",
    "pytorch_lightning.loggers",
    "pytorch_lightning.plugins",
    "pytorch_lightning.plugins.environments",
    "pytorch_lightning.profilers",
    "pytorch_lightning.strategies",
    "torch.optim",
    "torch.optim.lr_scheduler",
)
_THEIRS = ("lightning_fabric.", "pytorch_lightning.", "torch.optim")
_OURS = {"eval", "rac", "retrieval_index", "training"}
_KEY = re.compile(r'Parser key "([^"]*)"')
_DENIED = re.compile(r"Importing '([^']*)' is not allowed")
_VERDICTS = ("import_path_verdicts", "import_paths_enforced")

_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


def trusted() -> bool:
    """Tell whether the person trusts the configuration at hand."""
    return _trusted.get()


@contextmanager
def trusting(said: bool) -> Iterator[None]:
    """Trust configurations for a while, or not."""
    before = _trusted.set(said)
    try:
        yield
    finally:
        _trusted.reset(before)


@contextmanager
def known_classes_only() -> Iterator[None]:
    """Let configurations that are not trusted name no other classes, and hold plain values only."""
    if trusted():
        yield
        return
    before = {name: parsing_settings[name] for name in _VERDICTS}
    load = jsonargparse.get_loader("yaml")

    def checked(text: str) -> Any:
        check_yaml(text, "the configuration")
        return load(text)

    faults = (yaml.YAMLError, InputError)
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"], import_path_allowlist=sorted(known_classes())
    )
    jsonargparse.set_loader("yaml", checked, exceptions=faults)
    try:
        yield
    finally:
        parsing_settings.update(before)
        jsonargparse.set_loader("yaml", load, exceptions=(yaml.YAMLError,))


@cache
def known_classes() -> frozenset[str]:
    """Give the classes that may be named, by every path that they are reached at."""
    found: set[str] = set()
    for place in _PLACES:
        for name, one in vars(importlib.import_module(place)).items():
            theirs = inspect.isclass(one) and one.__module__.startswith(_THEIRS)
            if theirs and not name.startswith("_") and not _takes_a_function(one):
                found |= {f"{place}.{name}", _path(one)}
    ours = (one for one in _below(Callback) if one.__module__.partition(".")[0] in _OURS)
    return frozenset(found | {_path(one) for one in ours})


class UnknownClass(InputError):
    """A configuration names what is not among :func:`known_classes`.

    Attributes:
        named: the path that it names.
    """

    def __init__(self, named: str, key: str) -> None:
        """Take the path, and the key that it stands under."""
        self.named = named
        super().__init__(
            f"{key} names {named}, which is not built unasked: it is no class of Lightning, torch "
            "or ours for such a place, or it calls a function that it is given. Where you trust "
            f"the configuration as a program, add {OPTION}"
        )


class CautiousParser(LightningArgumentParser):
    """Says of a class that may not be named what can be done."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the fault of an argument.

        Raises:
            UnknownClass: it names a class that may not be named.
        """
        denied = _DENIED.search(message)
        if denied is not None:
            key = _KEY.search(message)
            raise UnknownClass(denied.group(1), key.group(1) if key else "the configuration")
        super().error(message, ex)


def _path(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"


def _takes_a_function(one: type) -> bool:
    parameters = inspect.signature(one).parameters.values()
    return any("Callable" in str(parameter.annotation) for parameter in parameters)


def _below(base: type) -> Iterator[type]:
    below: list[type] = base.__subclasses__()
    for one in below:
        yield one
        yield from _below(one)
