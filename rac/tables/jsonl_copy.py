"""A line of JSON written again: a value that did not change stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rac.errors import InputError

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def dump_json(value: Any) -> str:
    """Give a value as JSON that can be stored as UTF-8.

    Raises:
        InputError: it is nested too deeply to be written.
    """
    try:
        text = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        raise InputError("a JSON cell is nested too deeply to be written again") from None
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        # A lone surrogate is legal in JSON and cannot be stored as UTF-8.
        return json.dumps(value)
    return text


def patch_object(text: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    r"""Give the text of an object with the values of another one.

    Args:
        text: a JSON object, as it is written.
        old: what it says; no key twice.
        new: what it is to say; keys that are not in ``old`` are put at the end.

    >>> old = {"a": 1.5, "b": None, "d": []}
    >>> patch_object('{"a": 1.50,"b":null,"d":[]}', old, {"a": 1.5, "b": "x", "c": 2})
    '{"a": 1.50,"b":"x","c": 2}'

    Raises:
        InputError: the object is nested too deeply.
    """
    same = [key for key in old if key in new and dump_json(old[key]) == dump_json(new[key])]
    if len(same) == len(old) == len(new):
        return text
    try:
        members, tail = _members(text)
    except RecursionError:
        raise InputError("a JSON object is nested too deeply to be written again") from None
    before = text[: members[0].start if members else tail]
    commas = [text[one.end : two.start] for one, two in pairwise(members)]
    pieces: list[str] = []
    for number, member in enumerate(members):
        if member.key in new:
            pieces.append(commas[number - 1] if pieces else "")
            fresh = member.key not in same
            end = member.value if fresh else member.end
            pieces.append(text[member.start : end])
            pieces.append(dump_json(new[member.key]) if fresh else "")
    colon = text[members[0].colon : members[0].value] if members else ": "
    for key in new:
        if key not in old:
            pieces.append((commas[0] if commas else ", ") if pieces else "")
            pieces.append(dump_json(key) + colon + dump_json(new[key]))
    return before + "".join(pieces) + text[members[-1].end if members else tail :]


@dataclass(frozen=True)
class _Member:
    """Where a key, the colon behind it, its value, and the end of that stand."""

    key: str
    start: int
    colon: int
    value: int
    end: int


def _members(text: str) -> tuple[list[_Member], int]:
    """Find the members of an object, and where the first one would stand."""
    first = place = _skip(text, text.index("{") + 1)
    members = []
    while text[place] != "}":
        key, colon = _DECODER.raw_decode(text, place)
        value = _skip(text, _skip(text, colon) + 1)
        _, end = _DECODER.raw_decode(text, value)
        members.append(_Member(key, place, colon, value, end))
        place = _skip(text, end)
        if text[place] == ",":
            place = _skip(text, place + 1)
    return members, first


def _skip(text: str, place: int) -> int:
    found = _BLANK.match(text, place)
    return found.end() if found else place
