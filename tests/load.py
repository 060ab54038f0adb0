"""Others who write while something runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

from sqlalchemy import Connection, Engine, create_engine

from tests.capture import rows
from tests.server import Database

#: One transaction, of the choice of a random generator of its own.
Work = Callable[[Connection, random.Random], None]


@contextmanager
def writers(database: Database, work: Work, count: int = 3) -> Iterator[Callable[[], int]]:
    """Do ``work`` in transactions, without a pause, in threads; how many are committed so far can be asked for.

    What goes wrong in a thread is raised at the end.
    """
    stop, done, started = Event(), [0] * count, [Event() for _ in range(count)]

    def write(number: int) -> None:
        engine, dice = create_engine(database.url()), random.Random(number)
        try:
            while not stop.is_set():
                with engine.begin() as connection:
                    work(connection, dice)
                done[number] += 1
                started[number].set()
        finally:
            started[number].set()
            engine.dispose()

    with ThreadPoolExecutor(count) as threads:
        futures: list[Future[None]] = [threads.submit(write, number) for number in range(count)]
        try:
            for event in started:
                assert event.wait(30)
            yield lambda: sum(done)
        finally:
            stop.set()
    for future in futures:
        future.result()


def replayed(engine: Engine, table: str, key: str, *columns: str) -> list[tuple[object, ...]]:
    """The rows that are there according to the history alone, in the order of the key."""
    names = ", ".join((key, *columns))
    return rows(
        engine,
        f"""
        SELECT {names} FROM (
            SELECT DISTINCT ON ({key}) audit_operation, {names} FROM {table}_audit
            WHERE {key} IS NOT NULL AND audit_id > (
                SELECT coalesce(max(audit_id), 0) FROM {table}_audit WHERE audit_operation = 'T'
            )
            ORDER BY {key}, audit_id DESC
        ) AS last WHERE audit_operation <> 'D' ORDER BY {key}
        """,
    )
