"""Why one image cannot be used, as a word for machines and a sentence for people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """The closed list of reasons for which an image is put aside."""

    MISSING = "missing"
    """The cell is empty, or there is no file where it points."""
    UNREADABLE = "unreadable"
    """The bytes cannot be read, or the picture inside them is broken."""
    NOT_AN_IMAGE = "not-an-image"
    """The bytes are something else: text, an HTML page, random bytes."""
    UNSUPPORTED = "unsupported"
    """A picture, or an address, of a kind that is not read."""
    TRUNCATED = "truncated"
    """The picture starts well and ends too early."""
    TOO_MANY_PIXELS = "too-many-pixels"
    """The header announces more pixels than the limit."""
    EXTREME_SHAPE = "extreme-shape"
    """One side is longer than the limit, or many times longer than the other."""
    TOO_MANY_FRAMES = "too-many-frames"
    """The frames of an animation, or the passes over a picture, are more than the limit."""
    TOO_MUCH_METADATA = "too-much-metadata"
    """What is no pixels (EXIF, profiles, texts), or the number of its parts, passes the limit."""
    TOO_COSTLY = "too-costly"
    """Decoding it would take more memory or time than the limit."""
    TOO_MANY_BYTES = "too-many-bytes"
    """The file or the answer of the server is larger than the limit."""
    BLOCKED_PATH = "blocked-path"
    """The path leads out of the folders that may be read."""
    BLOCKED_HOST = "blocked-host"
    """The address leads into a private network, or to this machine."""
    FETCH_FAILED = "fetch-failed"
    """The server did not answer, answered too slowly, or with an error."""


# A cell or a server may hold anything; what is said of it stays one line of bounded length.
_LONGEST_DETAIL = 400


class BadImage(Exception):
    """One image cannot be used.

    Args:
        reason: the word that goes into a ledger.
        detail: one sentence for the person who has to repair the catalogue. Characters that are
            not printed are escaped in it, and its middle is left out where it is very long.

    >>> str(BadImage(Reason.MISSING, "there is no file photos/1.jpg"))
    'missing: there is no file photos/1.jpg'
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        detail = _one_line(detail)
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def _one_line(text: str) -> str:
    if len(text) > _LONGEST_DETAIL:
        half = _LONGEST_DETAIL // 2
        text = f"{text[:half]} … {text[-half:]}"
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
