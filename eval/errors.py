"""What can be wrong with the input of a report."""

from __future__ import annotations


class ReportFault(ValueError):
    """Predictions cannot be reported as asked; the message says why and what to do."""
