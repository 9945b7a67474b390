"""Sets of images known by their content, so that test rows can be looked for among training rows.

An image is known by the first 64 bits of the SHA-256 of its bytes: 8 bytes an image are small
enough to travel in the header of a prediction file, and among a million images against a million
others a chance match has probability 5e-8.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from eval.arrays import Bools
from eval.errors import ReportFault

Digests = npt.NDArray[np.uint64]

_HEX_DIGITS = 16


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The images that something was done with: trained on, or selected by.

    Attributes:
        source: the table that they come from, as the user named it; None where unknown.
        digests: (M,) rising, from :func:`digests_of`; empty where contents are unknown, or where
            there is no source either and it was done with no images at all.
    """

    source: str | None
    digests: Digests

    def __len__(self) -> int:
        return len(self.digests)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, ImageSet)
            and self.source == other.source
            and np.array_equal(self.digests, other.digests)
        )

    def __hash__(self) -> int:
        return hash((self.source, self.digests.tobytes()))

    def contains(self, digests: Digests) -> Bools:
        """Mask (N,) of the digests (N,) that are in the set.

        >>> seen = image_set(["00" * 32, "ff" * 32])
        >>> seen.contains(digests_of(pa.array(["ff" * 32, "0f" * 32])))
        array([ True, False])
        """
        if not len(self.digests):
            return np.zeros(len(digests), dtype=bool)
        place = np.searchsorted(self.digests, digests)
        found: Bools = self.digests[np.minimum(place, len(self.digests) - 1)] == digests
        return found

    def joined(self, digests: Digests) -> ImageSet:
        """The set with more digests (K,) in it, of the same source.

        >>> len(image_set(["00" * 32]).joined(digests_of(pa.array(["ff" * 32, "00" * 32]))))
        2
        """
        return ImageSet(self.source, np.union1d(self.digests, digests))

    def as_json(self) -> dict[str, str | None]:
        """The set as JSON values; the digests as base64 of little-endian 64-bit numbers."""
        packed = self.digests.astype("<u8").tobytes()
        return {"source": self.source, "digests": base64.b64encode(packed).decode("ascii")}


def image_set(hashes: Iterable[str | None], source: str | None = None) -> ImageSet:
    """Make a set of SHA-256 hashes in hexadecimal; None, an image that was not read, is left out.

    Raises:
        ReportFault: a hash is not hexadecimal or has fewer than 16 digits.
    """
    known = pa.array([one for one in hashes if one is not None], pa.string())
    return ImageSet(source=source, digests=np.unique(digests_of(known)))


def image_set_from_json(said: Mapping[str, object]) -> ImageSet:
    """Read what :meth:`ImageSet.as_json` gave.

    Raises:
        ReportFault: it is something else.
    """
    source, packed = said.get("source"), said.get("digests")
    if not isinstance(packed, str) or not (source is None or isinstance(source, str)):
        raise ReportFault("a set of images must be an object with a source and digests")
    try:
        numbers = np.frombuffer(base64.b64decode(packed, validate=True), dtype="<u8")
    except (binascii.Error, ValueError) as fault:
        raise ReportFault(f"the digests of a set of images are damaged ({fault})") from fault
    return ImageSet(source=source, digests=np.unique(numbers.astype(np.uint64)))


def digests_of(hashes: pa.Array) -> Digests:
    """The first 64 bits (N,) of hashes (N,) in hexadecimal, none of them null.

    Raises:
        ReportFault: one is not hexadecimal or has fewer than 16 digits; its position is named.

    >>> [hex(digest) for digest in digests_of(pa.array(["00ff" * 16]))]
    ['0xff00ff00ff00ff']
    """
    if not len(hashes):
        return np.zeros(0, dtype=np.uint64)
    fine = pc.match_substring_regex(hashes, f"^[0-9A-Fa-f]{{{_HEX_DIGITS},}}$")
    bad = np.flatnonzero(~fine.to_numpy(zero_copy_only=False).astype(bool))
    if bad.size:
        row = int(bad[0])
        raise ReportFault(
            f"content hash {row + 1}, {hashes[row].as_py()!r}, is not a hash in hexadecimal "
            f"of at least {_HEX_DIGITS} digits"
        )
    start = pc.ascii_lower(pc.utf8_slice_codeunits(hashes, 0, _HEX_DIGITS))
    text = np.asarray(start.to_numpy(zero_copy_only=False), dtype=f"S{_HEX_DIGITS}")
    letters = text.view(np.uint8).reshape(-1, _HEX_DIGITS)
    digits = np.where(letters >= ord("a"), letters - ord("a") + 10, letters - ord("0"))
    packed = (digits[:, 0::2].astype(np.uint8) << 4) | digits[:, 1::2].astype(np.uint8)
    return np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64)
