"""How long reading a big history takes: ``python -m benchmarks.reading``, or ``make bench-reading``.

Builds the history of :mod:`.big_history`, or uses the one that is at ``DATABASE_URL``. Each reading is done a few
times; what counts is what the server says of its own time, planning included, and the median. With ``--write`` the
figures go into the page on performance, and to ``docs/_data/reading.json``.

Exit code 1, and a line for each, when a reading that is promised is over its budget or has a plan that grows with the
history.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, Engine

from benchmarks import page
from benchmarks.big_history import Say, history
from benchmarks.plans import Plan, explain, problems, statements_of
from benchmarks.readings import Reading, read_landmarks, readings
from benchmarks.shop import FULL_SIZE

TIMES = 5


@dataclass(frozen=True)
class Figures:
    """What one reading cost.

    :ivar server_ms: all statements together, planning and execution: the median of some times.
    :ivar planning_ms: the part of it in which the server decided how.
    :ivar client_ms: processor time of the program, to make the statements and to make objects of the rows.
    :ivar rows_read: rows of the history that were looked at, by all statements.
    :ivar problems: what in a plan grows with the history.
    """

    name: str
    what: str
    budget: float | None
    server_ms: float
    planning_ms: float
    client_ms: float
    statements: int
    rows_read: int
    buffers: int
    problems: tuple[str, ...]

    @property
    def failures(self) -> tuple[str, ...]:
        """What is not as promised."""
        if self.budget is None:
            return ()
        slow = (f"{self.server_ms:.0f} ms",) if self.server_ms > self.budget else ()
        return (*slow, *self.problems)


def measure(connection: Connection, reading: Reading, times: int = TIMES) -> Figures:
    """Do it ``times`` times, after once to warm up."""
    sent = statements_of(connection, reading.read)
    client = [_milliseconds(lambda: reading.read(connection)) for _ in range(times)]
    rounds: list[Sequence[Plan]] = [[explain(connection, statement) for statement in sent] for _ in range(times)]
    last = rounds[-1]
    found = [problem for plan in last for problem in problems(plan, reading.most_rows)]
    return Figures(
        reading.name,
        reading.what,
        reading.budget,
        server_ms=statistics.median(sum(p.planning_ms + p.execution_ms for p in plans) for plans in rounds),
        planning_ms=statistics.median(sum(p.planning_ms for p in plans) for plans in rounds),
        client_ms=statistics.median(client),
        statements=len(sent),
        rows_read=sum(plan.rows_read for plan in last),
        buffers=sum(plan.buffers for plan in last),
        problems=tuple(dict.fromkeys(found)),
    )


def _milliseconds(action: Callable[[], object]) -> float:
    start = time.process_time()
    action()
    return (time.process_time() - start) * 1000


def measure_all(engine: Engine, wanted: Iterable[str] = (), times: int = TIMES, say: Say = print) -> list[Figures]:
    """Measure what begins with one of the words in ``wanted``; everything without any.

    :param times: of what is promised; the rest takes seconds, and once does.
    """
    words = tuple(wanted) or ("",)
    figures = []
    say(f"{'':24}{'server ms':>10}{'planning':>10}{'client ms':>10}{'rows':>11}{'pages':>9}")
    with engine.connect() as connection:
        for reading in readings(read_landmarks(connection)):
            if reading.name.startswith(words):
                one = measure(connection, reading, times if reading.budget is not None else 1)
                say(_line(one))
                figures.append(one)
    return figures


def _line(one: Figures) -> str:
    note = f"  {'; '.join(one.problems)}" if one.problems else ""
    return (
        f"{one.name:24}{one.server_ms:10.1f}{one.planning_ms:10.1f}{one.client_ms:10.1f}"
        f"{one.rows_read:11,}{one.buffers:9,}{note}"
    )


def describe(engine: Engine) -> dict[str, object]:
    """The machine and the server, in words that name neither."""
    with engine.connect() as connection:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        return {
            "postgresql": str(connection.exec_driver_sql("SHOW server_version").scalar_one()).split()[0],
            "shared_buffers": connection.exec_driver_sql("SHOW shared_buffers").scalar_one(),
            "cores": os.cpu_count(),
            "memory_gib": round(memory),
            "python": sys.version.split()[0],
            "driver": engine.driver,
            "size": connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one(),
        }


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_SIZE, help="changes in the history (%(default)s)")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is done (%(default)s)")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    parser.add_argument("names", nargs="*", help="only readings whose names begin so")
    options = parser.parse_args()
    with history(os.environ.get("DATABASE_URL"), options.rows) as engine:
        figures = measure_all(engine, options.names, options.times)
        if options.write:
            page.write(
                {"rows": options.rows, "machine": describe(engine), "readings": [asdict(one) for one in figures]}
            )
    failed = [f"{one.name}: {', '.join(one.failures)}" for one in figures if one.failures]
    print(*(failed or ["Everything is as promised."]), sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
