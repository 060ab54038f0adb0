"""One session for a long time: what it costs at the end, compared with the beginning.

It begins with an update of one row, for which a server may plan what is kept for the session, and is wrong for many
rows (T1 in the documentation's page on traps). Then come thousands of statements on one row and on many.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from benchmarks.writing.arena import Lane
from benchmarks.writing.changes import delete, insert, update
from benchmarks.writing.session import Session
from benchmarks.writing.tables import ORDINARY, Shape

#: Enough to tell: where the plan is wrong, twice as many take four times as long.
ROWS = 2_000
ROWS_AT_ONCE = 1_000
SINGLE_PER_STEP = 50


@dataclass(frozen=True)
class LongSession:
    """In microseconds on the processor.

    :ivar statements: that were run.
    :ivar fresh: one row of a bulk update that is the first statement of its session.
    :ivar after_one: the same after an update of one row.
    :ivar first: a statement of the mixed work, the median of the first fifth of it.
    :ivar last: the same of the last fifth.
    """

    contender: str
    statements: int
    fresh: float
    after_one: float
    first: float
    last: float


def run(lane: Lane, steps: int, seconds: float, rows: int = ROWS, shape: Shape = ORDINARY) -> LongSession:
    """So many steps of mixed statements, on a table of so many rows.

    :param seconds: after which there are no more steps, for a contender that is slow; two there are.
    """
    everything = lane.sql(update(shape, rows))
    with lane.session() as session:
        session.statement(lane.sql(insert(shape, rows)))
        session.do(f"VACUUM ANALYZE {shape.name}")
    with lane.session() as session:
        fresh = session.statement(everything).cpu / rows
        session.do(f"VACUUM {shape.name}")
    with lane.session() as session:
        session.loop(lane.sql(update(shape)), 1)
        after_one = session.statement(everything).cpu / rows
        costs: list[float] = []
        end = time.perf_counter() + seconds
        while len(costs) < steps and (len(costs) < 2 or time.perf_counter() < end):
            costs.append(_step(lane, session, shape))
        lane.empty(session, [shape.name])
    fifth = max(1, len(costs) // 5)
    return LongSession(
        lane.contender.name,
        len(costs) * (SINGLE_PER_STEP * 3 + 1),
        fresh,
        after_one,
        statistics.median(costs[:fifth]),
        statistics.median(costs[-fifth:]),
    )


def _step(lane: Lane, session: Session, shape: Shape) -> float:
    """Rows are deleted, inserted again and updated, one by one; then many at once."""
    one_by_one = lane.sql(delete(shape), insert(shape), update(shape))
    cost = session.loop(one_by_one, SINGLE_PER_STEP).cpu * SINGLE_PER_STEP
    cost += session.statement(lane.sql(update(shape, ROWS_AT_ONCE))).cpu
    # What is left of old rows is not what this is about.
    session.do(f"VACUUM {shape.name}")
    return cost / (SINGLE_PER_STEP * 3 + 1)
