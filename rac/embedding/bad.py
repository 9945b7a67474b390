"""Ends a job when too many of its images are bad."""

from __future__ import annotations

from collections.abc import Sequence

from rac.errors import JobFailed

# Below this many rows a share of bad images says little, unless the table ends there.
_ROWS_BEFORE_JUDGING = 200


class BadTally:
    """Counts rows and bad images.

    >>> tally = BadTally(max_bad=0.5)
    >>> tally.count([None, "missing: there is no file a.jpg"])
    >>> tally.close()
    """

    def __init__(self, max_bad: float | None, *, rows: int = 0, bad: int = 0) -> None:
        """Begin, with rows that an earlier run has counted.

        Args:
            max_bad: the share (0 to 1) of bad images that is borne; None for any.
            rows: counted before.
            bad: of those, bad.
        """
        self._max_bad = max_bad
        self.rows = rows
        self.bad = bad
        self._last_reason: str | None = None

    def count(self, reasons: Sequence[str | None]) -> None:
        """Count a batch by its rows' reasons, None for good images.

        Raises:
            JobFailed: the share of bad images is too large, and there were rows enough to say so.
        """
        faults = [reason for reason in reasons if reason is not None]
        self.rows += len(reasons)
        self.bad += len(faults)
        if faults:
            self._last_reason = faults[-1]
        if self.rows >= _ROWS_BEFORE_JUDGING:
            self.close()

    def close(self) -> None:
        """Judge what was counted, however few rows it was.

        Raises:
            JobFailed: the share of bad images is too large.
        """
        if self._max_bad is not None and self.bad > self._max_bad * self.rows:
            raise JobFailed(
                f"{self.bad} of the first {self.rows} images are bad, more than --max-bad "
                f"{self._max_bad:g} allows; one of the reasons: {self._last_reason or 'see above'}"
            )
