"""Where the files of an encoder lie: in a folder, on the hub, or where open_clip's registry says.

Files are looked for by fixed names, and are data: a configuration that is read key by key, weights
that are read as tensors, a tokenizer's tables. What else lies beside them is not looked at.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import open_clip
from huggingface_hub import _CACHED_NO_EXIST, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HFValidationError, LocalEntryNotFoundError

from rac.documents import read_json
from rac.encoders.config import EncoderConfig, check_encoder_config, read_encoder_config
from rac.encoders.layout import CONFIG_FILE, LOCAL, WEIGHTS_FILE
from rac.errors import InputError

HUB = "hf-hub:"

#: In this order; as open_clip's, but that weights under other names are not guessed at.
_WEIGHTS = (
    WEIGHTS_FILE,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)


class Files(ABC):
    """A place with files under known names."""

    @abstractmethod
    def find(self, name: str) -> Path | None:
        """Give where a file lies; None where the place has none of that name."""

    @abstractmethod
    def __str__(self) -> str:
        """Name the place, for messages."""


@dataclass(frozen=True)
class Folder(Files):
    """A folder of this machine."""

    path: Path

    def find(self, name: str) -> Path | None:
        """Give a file of the folder."""
        found = self.path / name
        return found if found.is_file() else None

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class Repository(Files):
    """A repository of the hub; its files are fetched when they are asked for.

    A name is one of the hub's always: a folder of that name where a command is run is not it.
    """

    name: str
    prefix: ClassVar[str] = HUB

    def find(self, name: str) -> Path | None:
        """Fetch a file, or take what was fetched before.

        Raises:
            InputError: the hub cannot be asked, or has no such repository.
        """
        try:
            return Path(hf_hub_download(self.name, name))
        except LocalEntryNotFoundError as error:
            if try_to_load_from_cache(self.name, name) is _CACHED_NO_EXIST:
                return None
            raise InputError(f"{self}: {name} cannot be fetched: {error}") from error
        except EntryNotFoundError:
            return None
        except (OSError, HFValidationError, ValueError) as error:
            raise InputError(f"{self}: {name} cannot be fetched: {error}") from error

    def __str__(self) -> str:
        return f"{self.prefix}{self.name}"


@dataclass(frozen=True)
class Source:
    """The files of an encoder.

    Attributes:
        where: they lie, for messages.
        config: what the configuration says.
        weights: the file.
        files: the place where those of an own tokenizer are looked for.
        registered: model and tag of open_clip's registry, where it is such a one.
    """

    where: str
    config: EncoderConfig
    weights: Path
    files: Files
    registered: tuple[str, str] | None = None


def find_source(model_name: str, pretrained: str | None = None) -> Source:
    """Find an encoder's files, fetching what is not here.

    Args:
        model_name: as :func:`rac.encoders.load.open_clip_name` gives it.
        pretrained: likewise.

    Raises:
        InputError: there are none, they cannot be fetched, or the configuration says something
            that is not known here.
    """
    if pretrained is not None:
        return _registered(model_name, pretrained)
    place: Files
    if model_name.startswith(LOCAL):
        place = Folder(Path(model_name.removeprefix(LOCAL)))
    else:
        place = Repository(model_name.removeprefix(HUB))
    described = place.find(CONFIG_FILE)
    if described is None:
        raise InputError(f"{place} is no encoder: it has no {CONFIG_FILE}")
    if isinstance(place, Folder):
        config = read_encoder_config(described)
    else:
        config = check_encoder_config(read_json(described), f"{place}/{CONFIG_FILE}")
    for name in _WEIGHTS:
        if (weights := place.find(name)) is not None:
            named = config.model_cfg.text_cfg.hf_tokenizer_name
            # In a folder all lies together; on the hub many share a tokenizer.
            tokenizer = Repository(named) if named and isinstance(place, Repository) else place
            return Source(str(place), config, weights, tokenizer)
    raise InputError(f"{place}: no weights could be loaded; there is none of {', '.join(_WEIGHTS)}")


def _registered(model_name: str, pretrained: str) -> Source:
    known = open_clip.list_models()
    if model_name not in known:
        raise InputError(
            f"open_clip knows no model {model_name!r}; `rac encoders` recommends some, and "
            f"`python -c 'import open_clip; print(open_clip.list_models())'` lists all {len(known)}"
        )
    where = f"{model_name}/{pretrained}"
    config = check_encoder_config({"model_cfg": open_clip.get_model_config(model_name)}, where)
    tags = open_clip.list_pretrained_tags_by_model(model_name)
    if pretrained in tags:
        try:
            fetched = open_clip.download_pretrained(
                open_clip.get_pretrained_cfg(model_name, pretrained)
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{where}: its weights cannot be fetched: {error}") from error
        weights = Path(fetched)
    elif Path(pretrained).is_file():
        weights = Path(pretrained)
    else:
        there_are = ", ".join(tags) or "none"
        raise InputError(f"model {model_name!r} has no weights {pretrained!r}; it has: {there_are}")
    named = config.model_cfg.text_cfg.hf_tokenizer_name
    files: Files = Repository(named) if named else Folder(weights.parent)
    return Source(where, config, weights, files, (model_name, pretrained))
