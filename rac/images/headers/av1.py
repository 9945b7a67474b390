"""The sequence header of an AV1 stream, which says how large its frames may become.

Source: AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.5.
"""

from __future__ import annotations

from rac.images.headers.header import Tally

_SEQUENCE_HEADER = 1
_UNIT = 1 / 8


def largest_frame(stream: bytes, tally: Tally) -> tuple[int, int] | None:
    """Give the largest width and height that a stream's sequence headers announce.

    Returns:
        In pixels; None where there is no sequence header.
    """
    largest: tuple[int, int] | None = None
    at = 0
    while at < len(stream):
        tally.part(share=_UNIT)
        head = stream[at]
        at += 2 if head & 4 else 1
        if head & 2:
            size, at = _leb128(stream, at)
        else:
            size = len(stream) - at
        if head >> 3 & 15 == _SEQUENCE_HEADER:
            found = _sequence_header(stream[at : at + size])
            if largest is None or found[0] * found[1] > largest[0] * largest[1]:
                largest = found
        at += size
    return largest


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits a byte; give it and where it ends."""
    value = 0
    for place in range(8):
        byte = data[at] if at < len(data) else 0
        at += 1
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            break
    return value, at


class _Bits:
    """Reads whole numbers of any number of bits; behind the end there are zeros."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        shifted = self._value >> self._left if self._left >= 0 else self._value << -self._left
        return shifted & ((1 << count) - 1)

    def read_variable(self) -> None:
        zeros = 0
        while self._left > 0 and not self.read(1):
            zeros += 1
        self.read(min(zeros, 32))


def _sequence_header(body: bytes) -> tuple[int, int]:
    bits = _Bits(body[:128])
    bits.read(4)  # profile, whether it is a still picture
    if bits.read(1):  # a header reduced to what a still picture needs
        bits.read(5)
    else:
        delay_bits = _timing(bits)
        delays_of_display = bits.read(1)
        for _ in range(bits.read(5) + 1):
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if delay_bits and bits.read(1):
                bits.read(2 * delay_bits + 1)
            if delays_of_display and bits.read(1):
                bits.read(4)
    width_bits, height_bits = bits.read(4) + 1, bits.read(4) + 1
    return bits.read(width_bits) + 1, bits.read(height_bits) + 1


def _timing(bits: _Bits) -> int:
    """Pass over the timing; give the length of the decoder model's delays, 0 without one."""
    if not bits.read(1):
        return 0
    bits.read(64)
    if bits.read(1):
        bits.read_variable()
    if not bits.read(1):
        return 0
    delay_bits = bits.read(5) + 1
    bits.read(32 + 5 + 5)
    return delay_bits
