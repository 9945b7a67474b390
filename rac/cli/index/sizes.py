"""Amounts of memory as people write them."""

from __future__ import annotations

import re

_UNITS = {"": 1, "B": 1}
for _power, _prefix in enumerate("KMGT", start=1):
    _UNITS[f"{_prefix}B"] = _UNITS[_prefix] = 1000**_power
    _UNITS[f"{_prefix}IB"] = 1024**_power


def byte_count(text: str) -> int:
    """Give the number of bytes: ``500MB``, ``4 GiB``, ``1.5G``, ``1000000``.

    Raises:
        InputError: it is not such an amount, or it is nothing.

    >>> byte_count("1.5 GiB"), byte_count("2MB"), byte_count("7")
    (1610612736, 2000000, 7)
    """
    from rac.errors import InputError

    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = None if match is None else _UNITS.get(match[2].upper())
    count = 0 if match is None or unit is None else int(float(match[1]) * unit)
    if count < 1:
        raise InputError(f"{text!r} is no amount of memory; write for instance 500MB or 4GiB")
    return count
