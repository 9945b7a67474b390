"""Auditing: which known values do image, neighbours and the row's other cells contradict?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from eval.csv_texts import PeoplesCsv
from rac.attributes.evidence.fitted import FittedSources
from rac.attributes.evidence.registry import chosen_sources
from rac.attributes.evidence.source import EvidenceSource
from rac.attributes.model.out_of_fold import predict_out_of_fold
from rac.attributes.prepare import Prepared
from rac.attributes.task.attribute_task import AttributeTask
from rac.attributes.task.catalogue_tasks import CatalogueTasks, FeatureSample
from rac.attributes.task.training_cells import TrainingCells, choose_training_cells
from rac.attributes.zero_shot import PromptBank
from rac.progress import progress_bar
from retrieval_index import exact_search
from retrieval_index.arrays import unit_norm
from retrieval_index.files import replace_file

_NEIGHBOURS = 5
_TOGETHER = 5000


@dataclass(frozen=True)
class Doubt:
    """One known cell, and what speaks against it.

    Attributes:
        row: number of the table's row, from 0.
        id: of the item.
        attribute: its name.
        value: what the cell says.
        wrong: probability in [0, 1] that it is not so, from a model that did not see the cell.
        suggestion: the likeliest other value.
        probability: of the suggestion.
        neighbours: ids of the most similar known rows, with their values.
    """

    row: int
    id: str
    attribute: str
    value: str
    wrong: float
    suggestion: str
    probability: float
    neighbours: str


def audit_cells(job: Prepared) -> list[Doubt]:
    """Rank the known cells of all attributes, the most doubtful first; nothing is changed.

    Every cell is predicted by evidence and weights without it and its near-duplicates. A cell
    whose value no other row has is left out: there is nothing to hold it against.
    """
    bank = PromptBank.encode(job.cells, job.schema.attributes, job.encoder)
    settings = job.options.settings
    sample = FeatureSample.of(job.images, settings.seed)
    tasks = CatalogueTasks(job.cells, job.images, sample, bank, settings.seed)
    sources = chosen_sources(settings.sources)
    doubts: list[Doubt] = []
    with progress_bar("auditing", len(job.schema.attributes), shown=job.options.progress) as step:
        for name in job.schema.attributes:
            for training in _rounds(job, name, len(sources)):
                doubts.extend(_doubts(job, tasks.task(name, training), sources))
            step(1)
    return sorted(doubts, key=lambda doubt: (-doubt.wrong, doubt.row, doubt.attribute))


def _rounds(job: Prepared, name: str, sources: int) -> Iterator[TrainingCells]:
    """Have every known cell predicted once, so many at a time, by the same memory."""
    training = choose_training_cells(
        job.cells, name, job.store.ok, seed=job.options.seed, sources=sources
    )
    codes = job.cells.codes[name]
    wanted = np.flatnonzero((codes >= 0) & job.store.ok)
    wanted = wanted[np.bincount(codes[wanted])[codes[wanted]] > 1]
    remembered = training.rows[training.memory]
    if len(np.unique(codes[remembered])) < 2:
        return
    for part in np.array_split(wanted, max(1, -(-len(wanted) // _TOGETHER))):
        rows = np.union1d(remembered, part)
        place = np.searchsorted(training.rows, remembered)
        answers = codes[rows].astype(np.int64)
        answers[np.searchsorted(rows, remembered)] = training.answers[place]
        yield replace(
            training,
            rows=rows,
            answers=answers,
            memory=np.isin(rows, remembered),
            predicted=np.isin(rows, part),
            masks={},
        )


def _doubts(
    job: Prepared, task: AttributeTask, sources: Sequence[type[EvidenceSource]]
) -> Iterator[Doubt]:
    name, training, features = task.name, task.training, task.features
    predictions = predict_out_of_fold(task, FittedSources.fit(task, sources))
    names = job.cells.vocabularies[name].names
    words = [*names, "(not applicable)"]
    rows = training.rows[predictions.places]
    recorded = job.cells.codes[name][rows]
    chance = predictions.shares[np.arange(len(rows)), recorded]
    others = predictions.shares.copy()
    others[np.arange(len(rows)), recorded] = -1.0
    best = others.argmax(axis=1)
    ids = job.store.ids
    unit = unit_norm(features)
    remembered = np.flatnonzero(training.memory)
    # One more than named, as a row of the memory finds itself.
    k = min(_NEIGHBOURS + 1, len(remembered))
    found = remembered[exact_search(unit[remembered], unit[predictions.places], k).rows]
    for place in range(len(rows)):
        closest = found[place][found[place] != predictions.places[place]][:_NEIGHBOURS]
        yield Doubt(
            row=int(rows[place]),
            id=str(ids[int(rows[place])].as_py()),
            attribute=name,
            value=names[recorded[place]],
            wrong=float(1 - chance[place]),
            suggestion=words[best[place]],
            probability=float(others[place, best[place]]),
            neighbours="; ".join(
                f"{ids[int(training.rows[one])].as_py()}: {words[training.answers[one]]}"
                for one in closest.tolist()
            ),
        )


def write_doubts(doubts: list[Doubt], path: Path) -> None:
    """Write ranked cells as CSV, whole or not at all.

    Text that a spreadsheet would run is defused, see :mod:`eval.csv_texts`.
    """
    with replace_file(path) as draft, open(draft, "w", encoding="utf-8", newline="") as handle:
        writer = PeoplesCsv(handle, "\r\n")
        writer.write(["rank", *(field.name for field in fields(Doubt))])
        for rank, doubt in enumerate(doubts, start=1):
            writer.write([rank, *(getattr(doubt, field.name) for field in fields(Doubt))])
