"""One run against another on the rows that both answered: what rose, what fell, and who paid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from eval.arrays import Bools, Ints
from eval.errors import ReportFault
from eval.groups import GROUP_NAMES, Groups, assign_groups
from eval.headlines import MACRO_NAMES, Headlines
from eval.outcomes import Outcomes
from eval.schema import ClassChange, ComparisonMetrics, Difference, FigureChange, Settings
from eval.significance import discoveries, sign_test

#: With fewer changed rows than this, even if all fell, a sign test finds nothing at 5 %.
LEAST_CHANGED = 6


@dataclass(frozen=True, eq=False)
class Paired:
    """Two runs on their N common rows, with one list of C classes.

    Attributes:
        classes: (C,) names: those of the first run, then those that only the second has.
        groups: of the classes; None where no run knows its training counts.
        labels: (N,) class index.
        before: (N,) whether the first run is right.
        after: (N,) whether the second run is right.
        top5_before: (N,) the same among the five best classes, or None.
        top5_after: the same of the second run.
    """

    classes: tuple[str, ...]
    groups: Groups | None
    labels: Ints
    before: Bools
    after: Bools
    top5_before: Bools | None
    top5_after: Bools | None


def pair_runs(before: Outcomes, after: Outcomes, settings: Settings) -> Paired:
    """Put two runs side by side, row by row, by id.

    Groups follow the training counts of the first run, or of the second where the first has none.

    Raises:
        ReportFault: a row has two different labels.
    """
    place = pc.index_in(after.ids, value_set=before.ids).fill_null(-1)
    at: Ints = place.to_numpy(zero_copy_only=False).astype(np.int64)
    common = np.flatnonzero(at >= 0)
    mine = at[common]
    known = {name: i for i, name in enumerate(before.classes)}
    classes = (*before.classes, *(name for name in after.classes if name not in known))
    index = {name: i for i, name in enumerate(classes)}
    into = np.array([index[name] for name in after.classes], dtype=np.int64)
    labels, theirs = before.labels[mine], into[after.labels[common]]
    other = np.flatnonzero(labels != theirs)
    if other.size:
        row = int(other[0])
        raise ReportFault(
            f"row {before.ids[int(mine[row])].as_py()!r} is labelled {classes[labels[row]]!r} in "
            f"{before.name} and {classes[theirs[row]]!r} in {after.name}; runs are compared on the "
            "same labels"
        )
    top5 = [
        None if run.in_top5 is None else run.in_top5[rows]
        for run, rows in ((before, mine), (after, common))
    ]
    return Paired(
        classes=classes,
        groups=_groups(before, after, classes, settings),
        labels=labels,
        before=before.correct[mine],
        after=after.correct[common],
        top5_before=top5[0],
        top5_after=top5[1],
    )


def compare(before: Outcomes, after: Outcomes, settings: Settings) -> ComparisonMetrics:
    """Compare a run with an earlier one on the rows that both answered.

    A figure raises an alarm where it fell by more than its noise: the paired bootstrap interval of
    the difference lies below zero, and at least six rows changed sides. A class raises one where
    more of its rows were lost than gained and a sign test over all classes with rows finds it, at
    a false discovery rate of 1 - confidence.

    Raises:
        ReportFault: a row has two different labels.
    """
    pair = pair_runs(before, after, settings)
    hits = {"before": pair.before, "after": pair.after}
    both_top5 = pair.top5_before is not None and pair.top5_after is not None
    if pair.top5_before is not None and pair.top5_after is not None:
        hits |= {"top5 before": pair.top5_before, "top5 after": pair.top5_after}
    headlines = Headlines(pair.labels, len(pair.classes), hits, pair.groups, settings)
    figures = [
        _figure(headlines, pair, name, name)
        for name in ("top1", *MACRO_NAMES, "harmonic")
        if name in headlines.names
    ]
    if both_top5:
        figures.insert(1, _figure(headlines, pair, "top5", "top1"))
    return ComparisonMetrics(
        before=before.name,
        after=after.name,
        rows=len(pair.labels),
        only_before=len(before) - len(pair.labels),
        only_after=len(after) - len(pair.labels),
        groups=None if pair.groups is None else pair.groups.description,
        figures=figures,
        classes=_classes(pair, 1 - settings.confidence),
    )


def _groups(
    before: Outcomes, after: Outcomes, classes: tuple[str, ...], settings: Settings
) -> Groups | None:
    run = before if before.train_counts is not None else after
    if run.train_counts is None:
        return None
    counts = dict(zip(run.classes, run.train_counts.tolist(), strict=True))
    if run is before and after.train_counts is not None:
        counts = dict(zip(after.classes, after.train_counts.tolist(), strict=True)) | counts
    return assign_groups([counts.get(name, 0) for name in classes], settings.many, settings.few)


def _figure(headlines: Headlines, pair: Paired, title: str, name: str) -> FigureChange:
    prefix = "top5 " if title == "top5" else ""
    before, after = f"{prefix}before", f"{prefix}after"
    difference = headlines.difference(after, before, name)
    assert difference is not None  # noqa: S101  the name is one of the headlines' own
    one, other = pair.before, pair.after
    if title == "top5" and pair.top5_before is not None and pair.top5_after is not None:
        one, other = pair.top5_before, pair.top5_after
    turned = one != other
    if pair.groups is not None and title in GROUP_NAMES:
        turned = turned & pair.groups.members(title)[pair.labels]
    changed = int(np.count_nonzero(turned))
    return FigureChange(
        name=title,
        before=headlines.figure(before, name),
        after=headlines.figure(after, name),
        difference=difference,
        changed=changed,
        alarm=_fell(difference) and changed >= LEAST_CHANGED,
    )


def _fell(difference: Difference) -> bool:
    return difference.high is not None and difference.high < 0


def _classes(pair: Paired, rate: float) -> list[ClassChange]:
    """The classes of which rows changed sides, those that lost most first."""
    count = len(pair.classes)

    def counted(mask: Bools) -> Ints:
        return np.bincount(pair.labels[mask], minlength=count).astype(np.int64)

    rows = counted(np.ones(len(pair.labels), dtype=bool))
    lost, gained = counted(pair.before & ~pair.after), counted(pair.after & ~pair.before)
    right = counted(pair.before)
    p = np.ones(count)
    tested = rows > 0
    p[tested] = sign_test(lost[tested], gained[tested])
    found = np.zeros(count, dtype=bool)
    found[tested] = discoveries(p[tested], rate)
    changed = np.flatnonzero(lost + gained)
    order = changed[np.lexsort((changed, ((gained - lost) / np.maximum(rows, 1))[changed]))]
    return [
        ClassChange(
            name=pair.classes[i],
            group=None if pair.groups is None else GROUP_NAMES[pair.groups.index[i]],
            rows=int(rows[i]),
            before=float(right[i] / rows[i]),
            after=float((right[i] - lost[i] + gained[i]) / rows[i]),
            lost=int(lost[i]),
            gained=int(gained[i]),
            p=float(p[i]),
            alarm=bool(found[i] and lost[i] > gained[i]),
        )
        for i in order.tolist()
    ]
