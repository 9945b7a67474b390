"""JSON objects in files: read with every kind of damage told, and sealed by a digest of themselves.

A sealed object has a key ``sha256`` with the digest of all its other keys and values, so that a
changed digit is found even where the text is still JSON.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from eval.errors import ReportFault

SEAL = "sha256"


def read_object(path: Path) -> dict[str, Any] | None:
    """Read a JSON object in UTF-8.

    Args:
        path: the file.

    Returns:
        The object; None where there is no such file.

    Raises:
        ReportFault: the file cannot be read, is not UTF-8, not JSON, nested too deeply to be
            read, or holds something else than an object. The message names the file.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as fault:
        raise ReportFault(f"{path}: it cannot be read: {fault.strerror or fault}") from fault
    if not data:
        raise ReportFault(f"{path}: it is damaged: the file is empty")
    try:
        found = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ReportFault(f"{path}: it is damaged: it is nested too deeply to be read") from None
    except ValueError as fault:
        raise ReportFault(f"{path}: it is damaged: not JSON in UTF-8 ({fault})") from fault
    if not isinstance(found, dict):
        raise ReportFault(f"{path}: it is damaged: not a JSON object")
    return found


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Give JSON content with its digest; one that it has already is replaced.

    >>> sealed = seal({"rows": 3})
    >>> require_seal(sealed, Path("run.json"))
    >>> require_seal({**sealed, "rows": 4}, Path("run.json"))
    Traceback (most recent call last):
    eval.errors.ReportFault: run.json: it is damaged: its content is not what its own digest says
    """
    kept = {name: value for name, value in content.items() if name != SEAL}
    return {**kept, SEAL: _digest(kept)}


def require_seal(content: Mapping[str, Any], path: Path) -> None:
    """Refuse an object whose digest is missing or is not that of its content.

    Raises:
        ReportFault: so it is; the message names the file.
    """
    kept = {name: value for name, value in content.items() if name != SEAL}
    if content.get(SEAL) != _digest(kept):
        raise ReportFault(f"{path}: it is damaged: its content is not what its own digest says")


def _digest(content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number in JSON")
