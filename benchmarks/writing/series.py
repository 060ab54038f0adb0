"""Which statements one after the other, and the rounds in which the contenders take turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from benchmarks.writing import changes
from benchmarks.writing.arena import Lane
from benchmarks.writing.changes import Change
from benchmarks.writing.session import Cost, Session
from benchmarks.writing.tables import CHILD, PARENT, Shape

Say = Callable[[str], object]

#: PL/pgSQL plans a statement anew for its first five executions.
WARM_UP = 10


@dataclass(frozen=True)
class Step:
    """One thing that is measured.

    :ivar changes: what is executed.
    :ivar by_hand: what somebody writes who has no triggers; ``None`` if the same statements.
    """

    name: str
    changes: tuple[Change, ...]
    by_hand: tuple[Change, ...] | None = None

    def sql(self, lane: Lane) -> str:
        """The statements of a contender."""
        return lane.sql(*(self.by_hand if lane.contender.by_hand and self.by_hand else self.changes))


@dataclass(frozen=True)
class Series:
    """Steps that need one another, on one table or two that are empty before.

    :ivar rows: how many each step writes: one by one in a loop, or all in one statement.
    """

    name: str
    title: str
    rows: int
    one_by_one: bool
    steps: tuple[Step, ...]
    tables: tuple[str, ...]
    copied: Shape | None = None

    @property
    def least_rounds(self) -> int:
        """Also of a contender that is slow: with many rows a statement takes some of them a minute, and is steady."""
        return 3 if self.one_by_one else 1


@dataclass(frozen=True)
class Result:
    """What one step cost one contender, in microseconds for each row; the median of the rounds, and the least."""

    series: str
    step: str
    contender: str
    cpu: float
    wall: float
    least_cpu: float
    rounds: int


@dataclass
class Rounds:
    """What has been measured of a series so far."""

    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)

    def add(self, contender: str, step: str, cost: Cost) -> None:
        self.costs.setdefault((contender, step), []).append(cost)

    def results(self, series: str) -> list[Result]:
        """In the order in which it was measured."""
        return [
            Result(
                series,
                step,
                contender,
                cpu=statistics.median(cost.cpu for cost in costs),
                wall=statistics.median(cost.wall for cost in costs),
                least_cpu=min(cost.cpu for cost in costs),
                rounds=len(costs),
            )
            for (contender, step), costs in self.costs.items()
        ]


def single(shape: Shape, rows: int) -> Series:
    """One-row statements."""
    steps = (
        Step("insert", (changes.insert(shape),)),
        Step("update", (changes.update(shape),)),
        Step("unchanged", (changes.touch(shape),)),
        Step("upsert", (changes.upsert(shape, rows // 2),)),
        Step("delete", (changes.delete(shape),)),
    )
    return Series(f"single {shape.name}", shape.title, rows, True, steps, (shape.name,))


def bulk(shape: Shape, rows: int) -> Series:
    """The same with all rows in one statement, and ``COPY``."""
    steps = (
        Step("insert", (changes.insert(shape, rows),)),
        Step("update", (changes.update(shape, rows),)),
        Step("unchanged", (changes.touch(shape, rows),)),
        Step("upsert", (changes.upsert(shape, rows // 2, rows),)),
        Step("delete", (changes.delete(shape, rows * 2),)),
    )
    return Series(f"bulk {shape.name}", shape.title, rows, False, steps, (shape.name,), copied=shape)


def only(series: Series, steps: Sequence[str]) -> Series:
    """Without the other steps, and without ``COPY``."""
    return replace(series, steps=tuple(step for step in series.steps if step.name in steps), copied=None)


def large(shape: Shape, rows: int) -> Series:
    """Big values that do not change, beside an amount that does."""
    steps = (
        Step("insert", (changes.insert(shape),)),
        Step("update", (changes.update(shape),)),
        Step("delete", (changes.delete(shape),)),
    )
    return Series(f"large {shape.name}", shape.title, rows, True, steps, (shape.name,))


def cascade(rows: int) -> Series:
    """A parent and its child; deleting the one deletes the other. By hand that is two statements."""
    both = (changes.insert(PARENT), changes.insert(CHILD))
    by_hand = (changes.delete(CHILD, column="parent_id"), changes.delete(PARENT))
    steps = (Step("insert both", both), Step("delete", (changes.delete(PARENT),), by_hand))
    return Series("cascade", "a parent and its child", rows, True, steps, (CHILD.name, PARENT.name))


def run(series: Series, lanes: Sequence[Lane], rounds: int, seconds: float, say: Say = print) -> list[Result]:
    """Measure, the contenders in turns.

    :param seconds: a contender that has used as many gets no further round than the least.
    """
    measured, used = Rounds(), dict.fromkeys((lane.contender.name for lane in lanes), 0.0)
    say(f"{series.name}: {series.title}")
    with ExitStack() as stack:
        sessions = [(lane, stack.enter_context(lane.session())) for lane in lanes]
        for number in range(rounds):
            for lane, session in sessions:
                if used[lane.contender.name] < seconds or number < series.least_rounds:
                    start = time.perf_counter()
                    run_once(series, lane, session, measured)
                    used[lane.contender.name] += time.perf_counter() - start
    return measured.results(series.name)


def _warm_up(series: Series, lane: Lane, session: Session) -> None:
    """Plans are made once in a session, and again after a TRUNCATE: they are no part of what a statement costs."""
    for step in series.steps:
        session.loop(step.sql(lane), WARM_UP)
    for table in series.tables:
        session.do(f"DELETE FROM {table}")


def run_once(series: Series, lane: Lane, session: Session, measured: Rounds) -> None:
    """One round of one contender, which leaves the tables empty."""
    name = lane.contender.name
    if series.one_by_one:
        _warm_up(series, lane, session)
    for step in series.steps:
        sql = step.sql(lane)
        cost = session.loop(sql, series.rows) if series.one_by_one else session.statement(sql).per(series.rows)
        measured.add(name, step.name, cost)
    lane.empty(session, series.tables)
    # COPY writes to one table: by hand it has no second half.
    if series.copied and not lane.contender.by_hand:
        data = lane.rows_as_copied(session, series.copied, series.rows)
        measured.add(name, "COPY", session.copy(series.copied.name, data).per(series.rows))
        lane.empty(session, series.tables)


def overhead(results: Iterable[Result], series: str, step: str, contender: str, of: str = "cpu") -> float | None:
    """Microseconds more than without auditing."""
    costs: Mapping[str, float] = {
        one.contender: getattr(one, of) for one in results if (one.series, one.step) == (series, step)
    }
    return costs[contender] - costs["none"] if {contender, "none"} <= costs.keys() else None


def ratio(results: Sequence[Result], series: str, step: str, contender: str, of: str = "cpu") -> float | None:
    """How often the overhead of the floor."""
    own, floor = (overhead(results, series, step, name, of) for name in (contender, "floor"))
    return own / floor if own is not None and floor else None
