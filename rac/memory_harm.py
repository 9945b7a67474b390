"""Rows of a memory that mislead others, the worst first: wrong labels float up.

A row misleads another where it is among its neighbours and bears another label. Counting these is
the "bad k-occurrence" of Radovanović, Nanopoulos and Ivanović (Hubs in space, JMLR 2010, section
5). A row that misleads often, helps seldom, and is itself contradicted by its neighbours, most
likely bears a wrong label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rac.leave_one_out import LeaveOneOut, classify_by_others
from retrieval_index import Memory


@dataclass(frozen=True)
class HarmfulRow:
    """One row that misleads.

    Attributes:
        id: the row's.
        label: what the memory says it is.
        others_say: what its own neighbours say it is.
        misled: rows with another label that have it among their neighbours.
        helped: rows with the same label that have it among their neighbours.
        own_support: share of its own labelled neighbours that bear its label, in [0, 1].
        source: its image reference, where known.
    """

    id: str
    label: str
    others_say: str | None
    misled: int
    helped: int
    own_support: float
    source: str | None


def harmful_rows(memory: Memory, *, k: int = 10, most: int = 20) -> list[HarmfulRow]:
    """Rank the labelled rows by how much more they mislead than help.

    The score is the share of misled among those that a row reaches, each side counted from one
    so that a row which reaches few does not lead, times the share of its neighbours that
    contradict it, times the logarithm of the number it misleads: hubs that are right about
    themselves mislead most, and would crowd out the wrong labels.

    Args:
        memory: N rows.
        k: neighbours that a row looks at.
        most: rows to give; those that mislead nobody are left out.
    """
    outcome = classify_by_others(memory, k=k)
    misled, helped, support = _occurrences(memory, outcome)
    place = {int(row): number for number, row in enumerate(outcome.rows)}
    bad_share = (misled + 1) / (misled + helped + 2)
    score = bad_share * np.log1p(misled) * (1 - support + 1 / (k + 1))
    order = np.lexsort((np.arange(len(score)), -score))
    worst = [int(row) for row in order if misled[row] > 0 and int(row) in place][:most]
    return [
        HarmfulRow(
            id=memory.ids[row],
            label=outcome.labels[place[row]],
            others_say=outcome.predicted[place[row]],
            misled=int(misled[row]),
            helped=int(helped[row]),
            own_support=round(float(support[row]), 4),
            source=memory.sources[row],
        )
        for row in worst
    ]


def _occurrences(
    memory: Memory, outcome: LeaveOneOut
) -> tuple[
    np.ndarray[tuple[int], np.dtype[np.int64]],
    np.ndarray[tuple[int], np.dtype[np.int64]],
    np.ndarray[tuple[int], np.dtype[np.float64]],
]:
    """Give, for N rows, how many each misled and helped, and its own support."""
    labels = memory.labels
    misled = np.zeros(len(labels), dtype=np.int64)
    helped = np.zeros(len(labels), dtype=np.int64)
    support = np.ones(len(labels), dtype=np.float64)
    asking = zip(outcome.rows, outcome.labels, outcome.neighbours.rows, strict=True)
    for row, label, neighbours in asking:
        known = [int(n) for n in neighbours if n >= 0 and labels[n] is not None]
        agree = [n for n in known if labels[n] == label]
        for neighbour in known:
            (helped if labels[neighbour] == label else misled)[neighbour] += 1
        support[row] = len(agree) / len(known) if known else 1.0
    return misled, helped, support
