"""JSON and YAML that somebody else wrote: read as plain data, within bounds, or refused by name.

What stands in such a file may be damaged, or made to do harm. Whatever it is, the answer is the
value, or an :class:`rac.errors.InputError` that names the file; never a traceback, and nothing in
it is run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from rac.errors import InputError

MEBIBYTE = 1 << 20

#: Collections within collections; what people and programs write here has some ten.
_MOST_DEEP = 100
#: Values of a YAML document with each alias written out, which is how programs copy it.
_MOST_VALUES = 200_000
_PLAIN_TAGS = {
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "seq", "map")
}
_MOST_TOLD = 3


def read_text(path: Path, *, most_bytes: int) -> str:
    """Read a file of UTF-8 text.

    Args:
        path: a file; a pipe or a device, at which reading would wait, is none.
        most_bytes: how long it may be.

    Raises:
        InputError: it is no file, cannot be read, is longer, or is in another encoding.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        size = path.stat().st_size
        if size > most_bytes:
            raise InputError(f"{path}: {size:,} bytes are too many; at most {most_bytes:,}")
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as fault:
        raise InputError(f"{path}: is not text in UTF-8 (byte {fault.start})") from fault
    except OSError as fault:
        raise InputError(f"{path}: cannot be read ({fault.strerror or fault})") from fault


def read_json(path: Path, *, most_bytes: int = MEBIBYTE) -> Any:
    """Read a JSON file; raises as :func:`read_text` and :func:`parse_json` do."""
    return parse_json(read_text(path, most_bytes=most_bytes), str(path))


def parse_json(text: str, where: str) -> Any:
    """Read JSON as the standard has it: no NaN or infinity, and no key twice in an object.

    Args:
        text: the document.
        where: what it is, for messages.

    Raises:
        InputError: it is something else, or its collections lie too deep within each other.

    >>> parse_json('{"k": [1, 2.5]}', "here")
    {'k': [1, 2.5]}
    """
    try:
        return json.loads(text, object_pairs_hook=_once_each, parse_constant=_no_number)
    except RecursionError as fault:
        raise InputError(f"{where}: its lists or objects lie too deep in each other") from fault
    except ValueError as fault:
        raise InputError(f"{where}: is not JSON ({fault})") from fault


def read_yaml(path: Path, *, most_bytes: int = MEBIBYTE) -> Any:
    """Read a YAML file; raises as :func:`read_text` and :func:`parse_yaml` do."""
    return parse_yaml(read_text(path, most_bytes=most_bytes), str(path))


def parse_yaml(text: str, where: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read YAML of plain values; a tag that asks for an object of a program is refused.

    Args:
        text: the document.
        where: what it is, for messages.
        loader: what makes values of its words; a safe one.

    Raises:
        InputError: it is no YAML, has a tag, lies too deep within itself, or has aliases that
            blow up when they are written out.

    >>> parse_yaml("k: [1, 2.5]", "here")
    {'k': [1, 2.5]}
    """
    try:
        check_yaml(text, where)
        value = yaml.load(text, Loader=loader)  # noqa: S506 - it is a SafeLoader
    except InputError:
        raise
    except yaml.YAMLError as fault:
        raise InputError(f"{where}: is not YAML ({fault})") from fault
    except (ValueError, TypeError, RecursionError, OverflowError) as fault:
        # What the constructors of dates and numbers raise for odd ones.
        raise InputError(f"{where}: holds a value that YAML cannot mean ({fault})") from fault
    if _written_out(value, {}) > _MOST_VALUES:
        raise InputError(f"{where}: with its aliases written out it has too many values")
    return value


def check_yaml(text: str, where: str) -> None:
    """Look at a YAML document without building it, which is done by recursion.

    Raises:
        InputError: it has a tag of other than plain values, or lies too deep within itself.
        yaml.YAMLError: it is no YAML.
    """
    depth = 0
    for event in _events(text):
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _PLAIN_TAGS:
            raise InputError(f"{where}: the tag {tag!r} asks for more than plain values")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MOST_DEEP:
            raise InputError(f"{where}: its lists or fields lie too deep in each other")


def faults_of(error: ValidationError) -> str:
    """Say what a schema found wrong: the places with what is wrong there, in one line."""
    found = [
        f"{'.'.join(map(str, one['loc'])) or 'it'}: {_plainly(one['type'], one['msg'])}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(found) - _MOST_TOLD} more" if len(found) > _MOST_TOLD else ""
    return "; ".join(found[:_MOST_TOLD]) + more


def _plainly(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "is not a key that is known here"
    return message[:1].lower() + message[1:]


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} occurs twice")
    return found


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number")


def _events(text: str) -> Iterator[Any]:
    # The parser in Python keeps its states in a list, so that depth costs no stack.
    yield from yaml.parse(text, Loader=yaml.SafeLoader)


def _written_out(value: Any, known: dict[int, int]) -> int:
    """Count the values of a document; a collection that is met again counts each time."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        # One within itself has no end.
        known[id(value)] = _MOST_VALUES + 1
        inside = [*value.keys(), *value.values()] if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_written_out(one, known) for one in inside)
    return known[id(value)]
