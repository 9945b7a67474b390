"""Images in cloud stores, through fsspec."""

from __future__ import annotations

import threading

from rac.images.faults import BadImage, Reason
from rac.images.limits import ImageLimits

STORES = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "hf", "memory", "oci", "oss", "s3", "s3a"}
)
"""Protocols of stores whose host is not chosen by the cell, and which never lead to local files."""


def fetch_from_store(url: str, limits: ImageLimits) -> bytes:
    """Read one object of a cloud store.

    Args:
        url: ``protocol://bucket/key`` with a protocol of ``STORES``.
        limits: size and total time.

    Raises:
        BadImage: ``UNSUPPORTED`` (another protocol, a chained URL, or the store's package is not
            installed), ``MISSING``, ``FETCH_FAILED`` or ``TOO_MANY_BYTES``.
    """
    protocol, _, rest = url.partition(":")
    protocol = protocol.lower()
    if protocol not in STORES or not rest.startswith("//") or "::" in url:
        raise BadImage(
            Reason.UNSUPPORTED,
            f"addresses with {protocol}: are not read; known are http, https, "
            + ", ".join(sorted(STORES)),
        )
    # container@account is how some name a place; only a colon makes it a name and its password.
    if ":" in rest[2:].partition("/")[0].rpartition("@")[0]:
        raise BadImage(
            Reason.UNSUPPORTED,
            "the address holds a key; give keys to the store's own settings, not to a table",
        )
    outcome: list[bytes | BaseException] = []

    def read() -> None:
        try:
            import fsspec

            with fsspec.open(url, "rb") as handle:
                outcome.append(handle.read(limits.max_bytes + 1))
        except BaseException as error:  # carried over to the caller's thread
            outcome.append(error)

    # Stores have no common time-out, so the wait is bounded here; a hung read dies with the
    # process and holds nobody up.
    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(limits.timeout_s)
    if not outcome:
        raise BadImage(Reason.FETCH_FAILED, f"the store took longer than {limits.timeout_s:g} s")
    result = outcome[0]
    if isinstance(result, bytes):
        if len(result) > limits.max_bytes:
            raise BadImage(
                Reason.TOO_MANY_BYTES, f"more than the limit of {limits.max_bytes:,} bytes"
            )
        return result
    if isinstance(result, FileNotFoundError):
        raise BadImage(Reason.MISSING, "the store has no such object") from result
    if isinstance(result, ImportError):
        raise BadImage(Reason.UNSUPPORTED, f"reading {protocol}:// needs: {result}") from result
    if isinstance(result, Exception):
        raise BadImage(Reason.FETCH_FAILED, f"the store failed: {result}") from result
    raise result
