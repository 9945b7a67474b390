"""The sources of evidence that there are, in order."""

from __future__ import annotations

from collections.abc import Sequence

from rac.attributes.evidence.head import HeadEvidence
from rac.attributes.evidence.nearest_of_all import NearestOfAllEvidence
from rac.attributes.evidence.nearest_row import NearestRowEvidence
from rac.attributes.evidence.prompts import PromptEvidence
from rac.attributes.evidence.row_cells import RowCellsEvidence
from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.evidence.value_mean import ValueMeanEvidence
from rac.attributes.evidence.value_rows import ValueRowsEvidence
from rac.errors import InputError

SOURCES: tuple[type[EvidenceSource], ...] = (
    PromptEvidence,
    NearestRowEvidence,
    NearestOfAllEvidence,
    ValueMeanEvidence,
    HeadEvidence,
    RowCellsEvidence,
    ValueRowsEvidence,
)
"""All sources. New ones go to the end: another order would change the last bits of answers."""


def chosen_sources(names: Sequence[str] | None = None) -> tuple[type[EvidenceSource], ...]:
    """Give the sources of these names, in the registry's order; all if None.

    Raises:
        InputError: there is no source of a name, or none is named.
    """
    if names is None:
        return SOURCES
    known = [source.name for source in SOURCES]
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise InputError(
            f"no source of evidence is called {', '.join(map(repr, unknown)) or 'nothing'}; there "
            f"are: {', '.join(known)}"
        )
    return tuple(source for source in SOURCES if source.name in names)
