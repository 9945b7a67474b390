"""Conditions that a comparison must meet, for a pipeline that lets no worse model through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.errors import ReportFault
from eval.schema import ComparisonMetrics

GATE_NAMES = ("top1", "top5", "macro", "many", "medium", "few", "harmonic", "class")


@dataclass(frozen=True)
class Gate:
    """A figure that must not fall.

    Attributes:
        name: one of :data:`GATE_NAMES`; "class" means every class.
        tolerance: the fall of the share that is allowed, in [0, 1]; None allows any fall that is
            within its noise.
    """

    name: str
    tolerance: float | None


def parse_gate(text: str) -> Gate:
    """Read ``NAME`` or ``NAME:TOLERANCE``.

    Raises:
        ReportFault: another name, or a tolerance outside [0, 1].

    >>> parse_gate("few:0.01"), parse_gate("class")
    (Gate(name='few', tolerance=0.01), Gate(name='class', tolerance=None))
    """
    name, colon, number = text.partition(":")
    if name not in GATE_NAMES:
        raise ReportFault(
            f"--fail-if-worse {text}: {name!r} is not a figure; there are {', '.join(GATE_NAMES)}"
        )
    if not colon:
        return Gate(name, None)
    try:
        tolerance = float(number)
    except ValueError:
        tolerance = -1.0
    if not 0 <= tolerance <= 1:
        raise ReportFault(
            f"--fail-if-worse {text}: {number!r} is not a share between 0 and 1 (0.01 is a point)"
        )
    return Gate(name, tolerance)


def failed_gates(gates: Sequence[Gate], comparisons: Sequence[ComparisonMetrics]) -> list[str]:
    """Say of each gate that a comparison does not pass by how much, in a sentence.

    Raises:
        ReportFault: there is no comparison, or a gate's figure is not known in one.
    """
    if gates and not comparisons:
        raise ReportFault("--fail-if-worse compares runs; give two or more, the old one first")
    return [
        said for comparison in comparisons for gate in gates for said in _judge(gate, comparison)
    ]


def _judge(gate: Gate, comparison: ComparisonMetrics) -> list[str]:
    runs = f"from {comparison.before} to {comparison.after}"
    if gate.name == "class":
        if not comparison.rows:
            raise ReportFault(f"--fail-if-worse class: no row is common {runs}")
        return [
            f"class {change.name!r} fell {_points(change.after - change.before)} {runs}"
            for change in comparison.classes
            if _worse(gate, change.after - change.before, change.alarm)
        ]
    figure = next((one for one in comparison.figures if one.name == gate.name), None)
    if figure is None or figure.difference.value is None:
        why = "is not known" if figure is None else "has no common rows"
        raise ReportFault(f"--fail-if-worse {gate.name}: {gate.name} {why} {runs}")
    fall = figure.difference.value
    if not _worse(gate, fall, figure.alarm):
        return []
    allowed = "more than its noise" if gate.tolerance is None else f"{gate.tolerance:g} is allowed"
    return [f"{gate.name} fell {_points(fall)} {runs} ({allowed})"]


def _worse(gate: Gate, difference: float, alarm: bool) -> bool:
    # Shares of counts differ in the last bits; a fall of just the tolerance is allowed.
    return alarm if gate.tolerance is None else -difference > gate.tolerance + 1e-12


def _points(difference: float) -> str:
    return f"by {-100 * difference:.1f} points"
