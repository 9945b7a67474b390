"""From the name of an encoder to an encoder."""

from __future__ import annotations

import shlex
from importlib.resources import files
from pathlib import Path

from rac.encoders.base import Encoder
from rac.encoders.layout import CONFIG_FILE, LOCAL
from rac.errors import InputError
from rac.home import cache_home

HELP = (
    "'mini' (embedded), MODEL/PRETRAINED (such as ViT-B-32/laion2b_s34b_b79k), hf-hub:ORG/NAME, "
    "or a local folder with an open_clip_config.json"
)


def load_encoder(
    name: str = "mini", *, device: str = "auto", runtime: str = "auto", precision: str = "auto"
) -> Encoder:
    """Load an encoder by name.

    Args:
        name: ``mini``, ``MODEL/PRETRAINED`` of open_clip, ``hf-hub:ORG/NAME``, or a folder in
            open_clip's hub layout (``open_clip_config.json`` and weights).
        device: ``auto`` (CUDA, then MPS, then the CPU) or a torch device.
        runtime: ``torch``, ``openvino`` or ``auto``: the fastest that keeps the results of torch
            in float32.
        precision: ``float32``, ``bfloat16``, ``float16`` or ``auto``. A lower one asked for by name
            is taken unchecked and makes an encoder with an identity of its own.

    Raises:
        InputError: there is no such encoder, or its weights cannot be had; the message says which
            names there are.
    """
    from rac.encoders.openclip import OpenClipEncoder, RunOptions

    model, pretrained = open_clip_name(name)
    options = RunOptions(_device(device), runtime, precision)
    return OpenClipEncoder.load(model, pretrained, name=name, options=options)


def open_clip_name(name: str) -> tuple[str, str | None]:
    """Give the model and the pretrained tag by which open_clip's factory knows an encoder.

    Raises:
        InputError: the name has none of the forms that :func:`load_encoder` takes.

    >>> open_clip_name("ViT-B-32/laion2b_s34b_b79k")
    ('ViT-B-32', 'laion2b_s34b_b79k')
    """
    if name.startswith("hf-hub:"):
        return name, None
    folder = _folder(name)
    if folder.is_dir():
        if not (folder / CONFIG_FILE).is_file():
            raise InputError(f"{folder} is no encoder: it has no {CONFIG_FILE}")
        return f"{LOCAL}{folder}", None
    model, slash, pretrained = name.partition("/")
    if slash and model and pretrained and not name.startswith((".", "/", "~")):
        return model, pretrained
    raise InputError(f"there is no encoder {name!r}; an encoder is {HELP}")


def usable_name(stored: str | None, stored_in: str | Path, option: str = "--encoder") -> str:
    """Give the encoder that a model or a memory names, where it may be taken at its word.

    What a file of somebody else names is not what the person at the keyboard names. ``mini``, a
    pair of open_clip's registry and a repository of the hub are the same for everybody, and are
    data (:mod:`rac.encoders.sources`). A folder is whatever lies there on this machine: it is used
    where the person gave it, or where it lies in this package or in our cache.

    Args:
        stored: the name; None stands for ``mini``.
        stored_in: the file or folder that says so, for messages.
        option: by which the person names an encoder.

    Raises:
        InputError: it is a folder elsewhere, or names a file of weights.
    """
    if stored is None:
        return "mini"
    if stored == "mini" or stored.startswith("hf-hub:"):
        return stored
    folder = Path(stored).expanduser()
    weights = Path(stored.partition("/")[2] or stored)
    if stored.startswith((".", "/", "~")) or folder.is_dir() or weights.is_file():
        homes = (mini_folder().parent, cache_home())
        if folder.is_dir() and any(_within(folder, home) for home in homes):
            return str(folder.resolve())
        raise InputError(
            f"{stored_in}: names the encoder {stored!r}, which is a place on this machine; such a "
            f"one is only used where you name it yourself: {option} {shlex.quote(stored)}"
        )
    return stored


def _within(folder: Path, home: Path) -> bool:
    return folder.resolve().is_relative_to(home.resolve())


def mini_folder() -> Path:
    """Give the folder of the embedded encoder: open_clip's hub layout inside this package."""
    return Path(str(files("rac.encoders") / "mini"))


def _folder(name: str) -> Path:
    """Where the encoder lies, if it is ``mini`` or a local folder."""
    return mini_folder() if name == "mini" else Path(name).expanduser()


def model_card(name: str) -> str:
    """Read the model card, Markdown, of ``mini`` or of a folder that holds a ``README.md``.

    Raises:
        InputError: There is none.
    """
    try:
        return (_folder(name) / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(
            f"{name}: no model card here ({error.strerror}). Give mini or a local folder; cards of "
            "other models are on the hub that they come from"
        ) from error


def _device(device: str) -> str:
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"
