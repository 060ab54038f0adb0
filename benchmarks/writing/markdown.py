"""A table in Markdown, and numbers in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTHING = "–"


def number(value: float) -> str:
    """With as many digits as are read."""
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int | bool = True) -> str:
    """:param numbers: how many columns at the right are numbers; true for all but the first."""
    count = len(head) - 1 if numbers is True else int(numbers)
    rule = ["---"] * (len(head) - count) + ["---:"] * count
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows)) + "\n"
