"""What is promised of the default configuration: how often the overhead of the floor, on the table of ten columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.writing.series import Result, ratio


@dataclass(frozen=True)
class Target:
    """:ivar limit: the overhead may be so many times that of the floor."""

    series: str
    step: str
    limit: float


TARGETS = (
    Target("single account", "insert", 2.0),
    Target("single account", "update", 2.8),
    Target("single account", "delete", 2.0),
    Target("bulk account", "insert", 1.3),
    Target("bulk account", "update", 2.0),
    Target("bulk account", "delete", 1.3),
)


def measured(target: Target, results: Sequence[Result]) -> float | None:
    """How often the overhead of the floor it is."""
    return ratio(results, target.series, target.step, "ours")


def verdict(target: Target, results: Sequence[Result]) -> str:
    """For a person: the figure, and whether it is met."""
    found = measured(target, results)
    if found is None:
        return "not measured"
    return f"{found:.2f} ×, {'met' if found <= target.limit else 'missed'}"
