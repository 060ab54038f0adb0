"""The rounds in which the contenders take turns, each in a process of its own."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import URL, Engine

from benchmarks.application.contenders import Application
from benchmarks.application.figures import Applications, Participant, Sent, Taken
from benchmarks.application.network import network
from benchmarks.application.steps import ONE, STAGES, Plan, Size, Step
from benchmarks.application.worker import Worker, worker
from benchmarks.contenders import Unavailable
from benchmarks.writing.arena import SETTINGS
from tools.embedded_postgres import EmbeddedPostgres

Say = Callable[[str], object]

#: Microseconds for each object, as the process of a contender tells them.
Cost = Mapping[str, float]

TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
    AND c.relname <> 'user'
"""

LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*): ")

#: What is measured cannot be installed twice.
WARM_UP = 3
PINGS = 100


@dataclass
class Seat:
    """A contender in its database, and the process that works on it just now."""

    contender: Application
    engine: Engine
    url: URL
    worker: Worker

    def tables(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(TABLES, execution_options={"no_parameters": True}).scalars())

    def empty(self) -> None:
        """Leave nothing in the table nor in the history."""
        sql = f"SET session_replication_role = replica; TRUNCATE {', '.join(self.tables())} CASCADE"
        with self.engine.begin() as connection:
            connection.exec_driver_sql(sql)

    def rows(self) -> dict[str, int]:
        """How many each table has."""
        with self.engine.connect() as connection:
            return {each: connection.exec_driver_sql(f"SELECT count(*) FROM {each}").scalar_one() for each in self.tables()}


@dataclass
class Entry:
    """A contender that can take part."""

    contender: Application
    python: Path
    url: URL
    engine: Engine


@dataclass
class Rounds:
    """What has been measured on one route: for each task and contender, round by round."""

    costs: dict[tuple[str, str], list[Cost]] = field(default_factory=dict)

    def add(self, task: str, contender: str, cost: Cost) -> None:
        self.costs.setdefault((task, contender), []).append(cost)

    def taken(self, driver: str, route: str) -> list[Taken]:
        """Medians, and ratios of what was measured in the same round."""
        return [
            Taken(
                task,
                contender,
                driver,
                route,
                wall=_median(cost["wall"] for cost in costs),
                least=min(cost["least"] for cost in costs),
                client=_median(cost["client"] for cost in costs),
                server=_median(cost["server"] for cost in costs),
                ratio=_median(map(_ratio, costs, self.costs[task, "none"])),
                work=_median(map(_work_ratio, costs, self.costs[task, "none"])),
                rounds=len(costs),
            )
            for (task, contender), costs in self.costs.items()
        ]


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def _ratio(cost: Cost, none: Cost) -> float:
    return cost["wall"] / none["wall"]


def _work_ratio(cost: Cost, none: Cost) -> float:
    return (cost["client"] + cost["server"]) / (none["client"] + none["server"])


def measure(contenders: Sequence[Application], plan: Plan, say: Say = print) -> Applications:
    """Everything, on a server of its own."""
    with EmbeddedPostgres(settings=SETTINGS) as server, network(_socket(server)) as port:
        entries, skipped = _install(server, contenders, say)
        taken: list[Taken] = []
        sent: list[Sent] = []
        pings: dict[str, float] = {}
        for driver in plan.drivers:
            with _seated(entries, driver, None) as seats:
                say(f"application, {driver}: statements")
                sent += _count(seats, server, driver, plan.check)
            for route, size in (("socket", plan.near), ("network", plan.far)):
                say(f"application, {driver}: {route}")
                with _seated(entries, driver, port if route == "network" else None) as seats:
                    pings.setdefault(route, seats[0].worker.do("ping", PINGS)["wall"])
                    taken += _take_turns(seats, size, plan.seconds).taken(driver, route)
        for entry in entries:
            entry.engine.dispose()
        version = ".".join(map(str, server.version))
    return Applications(
        plan.size,
        version,
        plan.near.objects,
        plan.far.objects,
        pings["socket"],
        pings["network"],
        tuple(Participant(one.name, one.title, one.configuration, skipped.get(one.name)) for one in contenders),
        tuple(taken),
        tuple(sent),
    )


def _socket(server: EmbeddedPostgres) -> Path:
    return Path(str(server.url().query["host"])) / f".s.PGSQL.{server.url().port}"


def _install(
    server: EmbeddedPostgres, contenders: Sequence[Application], say: Say
) -> tuple[list[Entry], dict[str, str]]:
    """Those that can take part, and why the others cannot."""
    entries, skipped = [], {}
    for contender in contenders:
        say(f"{contender.title}: {contender.configuration}")
        try:
            entries.append(_install_one(server, contender))
        except Unavailable as error:
            skipped[contender.name] = str(error)
            say(f"  left out: {error}")
    return entries, skipped


def _install_one(server: EmbeddedPostgres, contender: Application) -> Entry:
    """A database for a contender, in which it was seen to record.

    :raises Unavailable: it cannot be installed or run.
    """
    python = contender.python()
    server.create_database(contender.name)
    url = server.url(contender.name)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with worker(python, contender.name, _text(url)) as started:
        started.ask(call="install")
        seat = Seat(contender, engine, url, started)
        for step in ONE:
            started.do(step.task, 1)
        found = {name: rows for name, rows in seat.rows().items() if not name.endswith(".account")}
        if found and max(found.values()) < 3:
            raise Unavailable(f"recorded {max(found.values())} of 3 changes")
        seat.empty()
    return Entry(contender, python, url, engine)


@contextmanager
def _seated(entries: Sequence[Entry], driver: str, port: int | None) -> Iterator[list[Seat]]:
    """All processes started.

    :param port: of the network; ``None`` is the socket.
    """
    with ExitStack() as stack:
        seats = []
        for entry in entries:
            url = entry.url.set(drivername=f"postgresql+{driver}")
            if port is not None:
                url = url.set(host="127.0.0.1", port=port, query={})
            process = stack.enter_context(worker(entry.python, entry.contender.name, _text(url)))
            seats.append(Seat(entry.contender, entry.engine, entry.url, process))
        yield seats


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _take_turns(seats: Sequence[Seat], size: Size, seconds: float) -> Rounds:
    """Every stage, step by step, the contenders in turns."""
    rounds = Rounds()
    for stage, number in zip(STAGES, size.rounds, strict=True):
        count = size.transactions if stage is ONE else size.objects
        used = dict.fromkeys((seat.contender.name for seat in seats), 0.0)
        for seat in seats:
            for step in stage:
                seat.worker.do(step.task, WARM_UP)
            seat.empty()
        for _ in range(number):
            left = [seat for seat in seats if used[seat.contender.name] < seconds]
            _take_turn(left, stage, count, rounds, used)
    return rounds


def _take_turn(
    seats: Sequence[Seat], stage: Sequence[Step], count: int, rounds: Rounds, used: dict[str, float]
) -> None:
    for step in stage:
        for seat in seats:
            start = time.perf_counter()
            rounds.add(step.task, seat.contender.name, seat.worker.do(step.task, count))
            used[seat.contender.name] += time.perf_counter() - start
    if stage is not ONE:
        for seat in seats:
            seat.empty()


def _count(seats: Sequence[Seat], server: EmbeddedPostgres, driver: str, count: int) -> list[Sent]:
    """What the server gets, and whether the history has it."""
    found = []
    for seat in seats:
        for stage in STAGES:
            # What is asked once about types and the like is no part of it.
            for step in stage:
                seat.worker.do(step.task, WARM_UP)
            seat.empty()
        seat.worker.ask(call="log")
        for stage in STAGES:
            for step in stage:
                found.append(_count_one(seat, server, driver, step, count))
            seat.empty()
    return found


def _count_one(seat: Seat, server: EmbeddedPostgres, driver: str, step: Step, count: int) -> Sent:
    lines, rows = len(LOGGED.findall(server.log())), seat.rows()
    seat.worker.do(step.task, count)
    # The ids of the objects are asked for beforehand, in a transaction of its own.
    statements = len(LOGGED.findall(server.log())) - lines - (3 if step in ONE[1:] else 0)
    grown = [number - rows[table] for table, number in seat.rows().items() if not table.endswith(".account")]
    recorded = None if step.task == "read" else max(grown, default=0) >= count
    return Sent(step.task, seat.contender.name, driver, statements / (count if step in ONE else 1), recorded)
