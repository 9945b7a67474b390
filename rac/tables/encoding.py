"""How a text file is encoded, found by reading it once."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from rac.errors import InputError

_CHUNK_BYTES = 1 << 20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class TextEncoding:
    """An encoding without its mark, and the mark (byte order mark) before it, often empty."""

    name: str
    mark: bytes


def find_encoding(path: Path) -> TextEncoding:
    """Find a text file's encoding: by its mark, else UTF-8, else Windows-1252 or Latin-1.

    A file is only taken for an old single-byte encoding when nothing in it looks like UTF-8, so
    that one broken byte does not turn a whole catalogue's umlauts into gibberish.

    Args:
        path: the file.

    Raises:
        InputError: the file holds NUL bytes or broken UTF-8; the line is named.
    """
    with open(path, "rb") as handle:
        start = handle.read(4)
        for mark, name in _BOMS:
            if start.startswith(mark):
                return TextEncoding(name, mark)
        handle.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        line, broken_line, some_utf8 = 1, 0, False
        undefined_in_1252 = False
        while True:
            chunk = handle.read(_CHUNK_BYTES)
            if b"\0" in chunk:
                line += chunk[: chunk.index(b"\0")].count(b"\n")
                raise InputError(
                    f"{path}, line {line}: a NUL byte; this is not a text file, or it is UTF-16 "
                    "without a mark (save it as UTF-8)"
                )
            text = decoder.decode(chunk, final=not chunk)
            if not text.isascii():
                for number, row in enumerate(text.split("\n")):
                    if row.isascii():
                        continue
                    if any("\udc80" <= letter <= "\udcff" for letter in row):
                        broken_line = broken_line or line + number
                    some_utf8 |= any(
                        letter > "\x7f" and not "\udc80" <= letter <= "\udcff" for letter in row
                    )
                undefined_in_1252 |= any(
                    letter in text for letter in "\udc81\udc8d\udc8f\udc90\udc9d"
                )
            line += text.count("\n")
            if not chunk:
                break
    if not broken_line:
        return TextEncoding("utf-8", b"")
    if some_utf8:
        raise InputError(f"{path}, line {broken_line}: bytes that are not UTF-8")
    return TextEncoding("latin-1" if undefined_in_1252 else "cp1252", b"")
