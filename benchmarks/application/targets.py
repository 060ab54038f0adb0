"""What is promised to an application: time of ours, as many times that without auditing."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.application.figures import Applications


@dataclass(frozen=True)
class Target:
    """:ivar limit: as many times the time without auditing.
    :ivar noise: what is not told from none, where nothing is done.
    """

    task: str
    title: str
    limit: float
    noise: float = 0.0


TARGETS = (
    Target("insert", "one object: insert", 1.25),
    Target("update", "one object: read, update", 1.25),
    Target("delete", "one object: read, delete", 1.25),
    Target("flush insert", "a flush of many objects: add_all()", 1.15),
    Target("flush update", "a flush of many objects: update of each", 1.25),
    # That nothing more is sent is counted.
    Target("read", "read only", 1.00, noise=0.05),
)

#: Statements more than without auditing.
READ_ONLY_STATEMENTS = 0


def verdict(target: Target, figures: Applications, driver: str, route: str = "socket") -> str:
    """For a person: the figure, and whether it is met."""
    found = figures.find(target.task, "ours", driver, route)
    if found is None:
        return "not measured"
    return f"{found.ratio:.2f} ×, {'met' if found.ratio <= target.limit + target.noise else 'missed'}"


def extra_statements(figures: Applications, driver: str, task: str = "read") -> float | None:
    """That ours sends more than without auditing, for one transaction."""
    ours, none = (figures.statements(task, name, driver) for name in ("ours", "none"))
    return ours.statements - none.statements if ours and none else None
