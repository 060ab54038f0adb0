"""Many clients at a time, each transaction an update of one row with all that its program sends."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.writing import changes
from benchmarks.writing.arena import Lane
from benchmarks.writing.session import Cost, Session
from benchmarks.writing.tables import ORDINARY, Shape


@dataclass(frozen=True)
class Throughput:
    """:ivar per_second: transactions of all clients together.
    :ivar cpu: of the server for one transaction, in microseconds.
    """

    contender: str
    clients: int
    per_second: float
    cpu: float


def run(
    lanes: Sequence[Lane], counts: Sequence[int], transactions: int, rounds: int, shape: Shape = ORDINARY
) -> list[Throughput]:
    """Measure, the contenders in turns, ``transactions`` for each number of clients."""
    found: dict[tuple[str, int], list[Throughput]] = {}
    for clients in counts:
        for _ in range(rounds):
            for lane in lanes:
                each = run_once(lane, clients, transactions // clients, shape)
                found.setdefault((each.contender, clients), []).append(each)
    return [
        Throughput(
            *key,
            per_second=statistics.median(each.per_second for each in rounds),
            cpu=statistics.median(each.cpu for each in rounds),
        )
        for key, rounds in found.items()
    ]


def run_once(lane: Lane, clients: int, transactions: int, shape: Shape = ORDINARY) -> Throughput:
    """Each client updates rows of its own, in a loop on the server."""
    sql = lane.sql(changes.update(shape))
    with ExitStack() as stack:
        sessions = [stack.enter_context(lane.session()) for _ in range(clients)]
        sessions[0].statement(changes.insert(shape, clients * transactions).sql)

        def work(numbered: tuple[int, Session]) -> Cost:
            number, session = numbered
            return session.transactions(sql, transactions, first=number * transactions + 1)

        with ThreadPoolExecutor(clients) as pool:
            start = time.perf_counter()
            costs = list(pool.map(work, enumerate(sessions)))
            seconds = time.perf_counter() - start
        lane.empty(sessions[0], [shape.name])
    cpu = statistics.mean(cost.cpu for cost in costs)
    return Throughput(lane.contender.name, clients, clients * transactions / seconds, cpu)
