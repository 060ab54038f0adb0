"""The rounds in which the contenders take turns, each in a process of its own."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.application.contenders import Application
from benchmarks.application.figures import Applications, Participant, Sent, Taken
from benchmarks.application.network import network
from benchmarks.application.seats import Seat, install, seated
from benchmarks.application.steps import ONE, STAGES, Plan, Size, Step
from benchmarks.writing.arena import SETTINGS
from benchmarks.writing.series import Say
from tools.embedded_postgres import EmbeddedPostgres

#: Microseconds for each object, as the process of a contender tells them.
Cost = Mapping[str, float]

LOGGED = re.compile(r"LOG:  (?:statement|execute [^:]*): ")

#: Plans are made once in a session; PostgreSQL makes its last one after five executions.
WARM_UP = 8
PINGS = 100


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
        entries, skipped = install(server, contenders, say)
        taken: list[Taken] = []
        sent: list[Sent] = []
        pings: dict[str, float] = {}
        for driver in plan.drivers:
            for route, size in (("socket", plan.near), ("network", plan.far)):
                say(f"application, {driver}: {route}")
                with seated(entries, driver, port if route == "network" else None) as seats:
                    if route == "socket":
                        sent += _count(seats, server, driver, plan.check)
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
        seat.worker.ask(call="log", on=True)
        for stage in STAGES:
            for step in stage:
                found.append(_count_one(seat, server, driver, step, count))
            seat.empty()
        seat.worker.ask(call="log", on=False)
    return found


def _count_one(seat: Seat, server: EmbeddedPostgres, driver: str, step: Step, count: int) -> Sent:
    lines, rows = len(LOGGED.findall(server.log())), seat.rows()
    seat.worker.do(step.task, count)
    # The ids of the objects are asked for beforehand, in a transaction of its own.
    statements = len(LOGGED.findall(server.log())) - lines - (3 if step in ONE[1:] else 0)
    grown = [number - rows[table] for table, number in seat.rows().items() if not table.endswith(".account")]
    recorded = None if step.task == "read" else max(grown, default=0) >= count
    return Sent(step.task, seat.contender.name, driver, statements / (count if step in ONE else 1), recorded)
