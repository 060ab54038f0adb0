"""What writing costs: ``make bench``, or with fewer rounds and nothing from PyPI ``make bench-quick``.

The database's side first, then that of an application, which :mod:`benchmarks.application` also measures alone.

Starts a PostgreSQL of its own (``AUDIT_POSTGRES_BIN`` names another version's programs) with a database for each
contender. ``--write`` keeps the figures in ``docs/_data/writing-<version>.json``, draws the curves, and puts both into
the page on cost.

Says of each target whether it is met; that is no failure, since the machine may be busy. ``benchmarks.guard`` is the
one that fails.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from benchmarks.application.__main__ import measure_all as measure_applications
from benchmarks.application.__main__ import show as show_applications
from benchmarks.contenders import Contender, from_pypi, own
from benchmarks.writing import clients, curves, long_session, page, parts, series, sizes, tabulate
from benchmarks.writing.arena import Arena, arena
from benchmarks.writing.curves import QUICK, Extent
from benchmarks.writing.figures import Entrant, Figures, Machine, Measured
from benchmarks.writing.series import Series
from benchmarks.writing.tables import CHILD, LARGE, NARROW, ORDINARY, PARENT, WIDE

#: Those with bytes to count.
SHAPES = (NARROW, ORDINARY, WIDE, LARGE)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    :ivar single: one-row statements in a loop.
    :ivar bulk: rows in one statement.
    :ivar seconds: for each contender and series, after which it gets no further round.
    """

    size: str = "full"
    single: int = 2_000
    bulk: int = 200_000
    rounds: int = 7
    seconds: float = 8.0
    clients: tuple[int, ...] = (1, 2, 4, 8, 16)
    transactions: int = 4_000
    steps: int = 40
    extent: Extent = field(default_factory=Extent)

    def series(self) -> tuple[Series, ...]:
        """What is measured; tables that are wide or large with fewer rows."""
        return (
            series.single(NARROW, self.single),
            series.single(ORDINARY, self.single),
            series.single(WIDE, max(20, self.single // 5)),
            series.cascade(max(20, self.single // 2)),
            series.large(LARGE, max(5, self.single // 50)),
            series.bulk(NARROW, self.bulk),
            series.bulk(ORDINARY, self.bulk),
            series.bulk(WIDE, max(20, self.bulk // 10)),
        )


QUICK_PLAN = Plan(
    size="quick",
    single=400,
    bulk=20_000,
    rounds=4,
    seconds=0.5,
    clients=(1, 4, 16),
    transactions=800,
    steps=10,
    extent=QUICK,
)


def measure(place: Arena, plan: Plan, say: Callable[[str], object] = print) -> Figures:
    """Everything, on a server that is there."""
    all_series = plan.series()
    results = [one for each in all_series for one in series.run(each, place.lanes, plan.rounds, plan.seconds, say)]
    say("what it is made of")
    made_of = parts.run(place, plan.single, plan.bulk, plan.rounds, plan.seconds, say)
    say("bytes")
    many, few = plan.single * 3, plan.single // 20
    counts = {NARROW: many, ORDINARY: many, WIDE: plan.single, LARGE: few}
    found = [one for lane in place.lanes for shape, rows in counts.items() for one in sizes.measure(lane, shape, rows)]
    say("many clients")
    throughput = clients.run(place.lanes, plan.clients, plan.transactions, max(1, plan.rounds // 2))
    say("long sessions")
    sessions = [long_session.run(lane, plan.steps, plan.seconds * 3) for lane in place.lanes]
    say("curves")
    points = curves.run(place.server, own(), plan.extent)
    return Figures(
        describe(place, plan),
        entrants(place),
        tuple(Measured(each.name, each.title, each.rows) for each in all_series),
        tuple(results),
        tuple(made_of),
        tuple(found),
        tuple(throughput),
        tuple(sessions),
        tuple(points),
    )


def describe(place: Arena, plan: Plan) -> Machine:
    """The machine, as far as figures depend on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    version = ".".join(map(str, place.server.version))
    return Machine(version, os.cpu_count() or 1, round(memory), plan.size)


def entrants(place: Arena) -> tuple[Entrant, ...]:
    """Who takes part, and who cannot."""
    return tuple(
        Entrant(one.name, one.title, one.configuration, place.skipped.get(one.name)) for one in place.contenders
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and rows, and nothing from PyPI")
    parser.add_argument("--own", action="store_true", help="nothing from PyPI")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    options = parser.parse_args()
    plan = QUICK_PLAN if options.quick else Plan()
    chosen: tuple[Contender, ...] = own() if options.quick or options.own else own() + from_pypi()
    start = time.perf_counter()

    def say(line: str) -> None:
        print(f"[{time.perf_counter() - start:4.0f} s] {line}", flush=True)

    with arena(chosen, (*SHAPES, PARENT, CHILD)) as place:
        figures = measure(place, plan, say)
    applications = measure_applications(options.quick, options.own, say)
    figures = replace(figures, application=applications)
    show(figures)
    show_applications(applications)
    print(f"\n{time.perf_counter() - start:.0f} s")
    if options.write:
        page.write(figures)


def show(figures: Figures) -> None:
    """All tables, on the terminal."""
    for name, table in page.TABLES.items():
        print(f"\n{name}\n\n{table(figures)}", end="")
    print(f"\ntargets\n\n{tabulate.targets({figures.machine.major: figures})}", end="")


if __name__ == "__main__":
    main()
