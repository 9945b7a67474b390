"""Tokenizers that come with an encoder: read from the tables of their files, never built by code.

``transformers`` would choose a class by what lies beside the tables, and may run Python from
there. Here ``tokenizer.json`` says all, with the roles of a few tokens out of
``tokenizer_config.json``; ``tokenizers`` reads it. Encoders without a tokenizer of their own have
the one that is built into open_clip.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import get_clean_fn
from tokenizers import Tokenizer, processors

from rac.documents import MEBIBYTE, read_json, read_text
from rac.encoders.config import TextConfig
from rac.encoders.sources import Files
from rac.encoders.text_tower import refuse_code
from rac.errors import InputError

TABLES = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
FILES = (TABLES, SETTINGS, SPECIAL)
"""What a tokenizer is read from; the first one has to be there."""

_MOST_BYTES = 256 * MEBIBYTE
#: Tables in other forms, which say less than the whole; they are turned into the one beforehand.
_OTHER_TABLES = ("vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")

Tokenize = Callable[[list[str]], torch.Tensor]
"""From N texts to tokens (N, L) int64."""

Side = Literal["left", "right"]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class TokenizerSettings:
    """What a tokenizer's files say besides the tables, and what the encoder makes of it.

    Attributes:
        context_length: L.
        clean: how texts are tidied up before.
        strip_sep_token: whether the separator becomes the number 0.
        mode: ``clips`` puts the token of the class last.
        pad, sep, bos, eos, cls: the tokens in these roles, where there are such.
        padding_side, truncation_side: where tokens are added, and taken away.
        add_bos, add_eos: whether a text begins, and ends, with such a token; None as the tables
            have it.
    """

    context_length: int
    clean: str
    strip_sep_token: bool
    mode: str
    pad: str | None
    sep: str | None
    bos: str | None
    eos: str | None
    cls: str | None
    padding_side: Side
    truncation_side: Side
    add_bos: bool | None
    add_eos: bool | None


def load_tokenizer(text: TextConfig, files: Files) -> tuple[Tokenize, str | None]:
    """Give the tokenizer of an encoder, and what its identity has to say of it.

    Args:
        text: what the encoder's configuration says of texts.
        files: where those of a tokenizer of its own lie.

    Returns:
        The tokenizer; and a SHA-256 over its files, or None for open_clip's built-in one.

    Raises:
        InputError: the files are missing or damaged, or ask for code to be run.
    """
    options = text.tokenizer_kwargs
    clean = None if options is None else options.clean
    if not text.hf_tokenizer_name:
        built_in = open_clip.SimpleTokenizer(
            context_length=text.context_length, clean=clean or "lower"
        )
        return built_in, None
    path = files.find(TABLES)
    if path is None:
        others = [name for name in _OTHER_TABLES if files.find(name) is not None]
        there = f" ({', '.join(others)} alone will not do)" if others else ""
        raise InputError(
            f"{files}: no {TABLES} there, from which the encoder's tokenizer would be read{there}; "
            "save_pretrained of a fast tokenizer of transformers writes one"
        )
    where = f"{files}/{TABLES}"
    tables = read_text(path, most_bytes=_MOST_BYTES)
    tokenizer = _read(tables, where)
    settings = _settings(text, files, tokenizer)
    told = {"tables": hashlib.sha256(tables.encode()).hexdigest(), **asdict(settings)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    return TableTokenizer(tokenizer, settings, where), digest


class TableTokenizer:
    """Texts to tokens (N, L), as open_clip's wrapper of ``transformers`` gives them."""

    def __init__(self, tokenizer: Tokenizer, settings: TokenizerSettings, where: str) -> None:
        """Take the tables, the settings, and what to call them in messages.

        Raises:
            InputError: a token in a role is not among the tables, or no text can be read.
        """
        self._where = where
        self._tokenizer = tokenizer
        self._settings = settings
        self._clean = get_clean_fn(settings.clean)
        self._pad = self._number("pad_token", settings.pad)
        self._sep = self._number("sep_token", settings.sep) if settings.strip_sep_token else None
        self._wrap: tuple[int, int, int] | None = None
        if settings.mode == "clips":
            self._wrap = (
                self._number("bos_token", settings.bos),
                self._number("eos_token", settings.eos),
                self._number("cls_token", settings.cls),
            )
        self._frame_texts()
        self(["", "a photo of a cat."])

    def __call__(self, texts: list[str]) -> torch.Tensor:
        """Tokenize N texts; (N, L) int64.

        Raises:
            InputError: the tables do not give numbers for these texts.
        """
        cleaned = [self._clean(text) for text in texts]
        length = self._settings.context_length
        encoded = _guarded(
            lambda: self._tokenizer.encode_batch(cleaned, add_special_tokens=self._wrap is None),
            f"{self._where}: cannot tokenize",
        )
        rows = [one.ids for one in encoded]
        if self._wrap is not None:
            bos, eos, cls = self._wrap
            framed = [[bos, *row[: length - 3], eos] for row in rows]
            rows = [[*row, *[self._pad] * (length - 1 - len(row)), cls] for row in framed]
        if any(len(row) != length for row in rows):
            raise InputError(f"{self._where}: does not give {length} tokens for a text")
        tokens = np.array(rows, dtype=np.int64).reshape(len(rows), length)
        if self._sep is not None:
            tokens[tokens == self._sep] = 0
        return torch.from_numpy(tokens)

    def _number(self, role: str, token: str | None) -> int:
        number = None if token is None else self._tokenizer.token_to_id(token)
        if number is None:
            raise InputError(
                f"{self._where}: its {role} is {token!r}, which is none of its tokens"
                if token is not None
                else f"{self._where}: no {role} is named beside it"
            )
        return int(number)

    def _frame_texts(self) -> None:
        settings = self._settings
        if self._wrap is not None:
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            return
        if settings.add_bos is not None or settings.add_eos is not None:
            self._add_ends()

        def frame() -> None:
            self._tokenizer.enable_truncation(
                settings.context_length, direction=settings.truncation_side
            )
            self._tokenizer.enable_padding(
                direction=settings.padding_side,
                pad_id=self._pad,
                pad_token=str(settings.pad),
                length=settings.context_length,
            )

        _guarded(frame, f"{self._where}: does not take {settings.context_length} tokens")

    def _add_ends(self) -> None:
        """Begin and end texts as the settings have it, where they say something of it."""
        ends = {
            "bos_token": (self._settings.bos, self._settings.add_bos),
            "eos_token": (self._settings.eos, self._settings.add_eos),
        }
        numbers = {
            role: (str(token), self._number(role, token))
            for role, (token, wanted) in ends.items()
            if wanted
        }
        before = [numbers[role][0] for role in ("bos_token",) if role in numbers]
        behind = [numbers[role][0] for role in ("eos_token",) if role in numbers]
        self._tokenizer.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *behind], special_tokens=list(numbers.values())
        )


def _read(tables: str, where: str) -> Tokenizer:
    return _guarded(lambda: Tokenizer.from_str(tables), f"{where}: is not a tokenizer")


def _guarded(work: Callable[[], Answer], fault: str) -> Answer:
    """Do what the library may end with any of its own errors, its panics among them."""
    try:
        return work()
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise InputError(f"{fault} ({str(error)[:200]})") from error


def _settings(text: TextConfig, files: Files, tokenizer: Tokenizer) -> TokenizerSettings:
    said = {**_fields(files, SPECIAL), **_fields(files, SETTINGS)}
    options = text.tokenizer_kwargs
    padding: dict[str, Any] = tokenizer.padding or {}
    return TokenizerSettings(
        context_length=text.context_length,
        clean=(None if options is None else options.clean) or "whitespace",
        strip_sep_token=options is not None and options.strip_sep_token,
        mode=text.tokenizer_mode or "",
        pad=_token(said, "pad_token", files) or padding.get("pad_token"),
        sep=_token(said, "sep_token", files),
        bos=_token(said, "bos_token", files),
        eos=_token(said, "eos_token", files),
        cls=_token(said, "cls_token", files),
        padding_side=_side(said, "padding_side", files),
        truncation_side=_side(said, "truncation_side", files),
        add_bos=_flag(said, "add_bos_token", files),
        add_eos=_flag(said, "add_eos_token", files),
    )


def _fields(files: Files, name: str) -> dict[str, Any]:
    path = files.find(name)
    if path is None:
        return {}
    said = read_json(path, most_bytes=16 * MEBIBYTE)
    if not isinstance(said, dict):
        raise InputError(f"{files}/{name}: should hold fields")
    refuse_code(said, f"{files}/{name}")
    return said


def _token(said: dict[str, Any], role: str, files: Files) -> str | None:
    token = said.get(role)
    if isinstance(token, dict):
        token = token.get("content")
    if token is not None and not isinstance(token, str):
        raise InputError(f"{files}/{SETTINGS}: {role} should be a token, not {str(token)[:40]!r}")
    return token


def _side(said: dict[str, Any], name: str, files: Files) -> Side:
    match said.get(name, "right"):
        case "left":
            return "left"
        case "right":
            return "right"
        case other:
            raise InputError(
                f"{files}/{SETTINGS}: {name} is left or right, not {str(other)[:40]!r}"
            )


def _flag(said: dict[str, Any], name: str, files: Files) -> bool | None:
    flag = said.get(name)
    if flag is not None and not isinstance(flag, bool):
        raise InputError(f"{files}/{SETTINGS}: {name} is true or false, not {str(flag)[:40]!r}")
    return flag
