"""What an encoded file announces, read before any decoder sees it; one module for each format.

A reader walks over its format's parts, counts them and their metadata, and never looks into pixels.
It takes the file at its word where that word is larger, since that is what a decoder will reserve.
"""

from __future__ import annotations

from rac.images.headers.check import check_header
from rac.images.headers.header import Header, Tally
from rac.images.headers.read import read_header

__all__ = ["Header", "Tally", "check_header", "read_header"]
