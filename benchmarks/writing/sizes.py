"""How many bytes a change takes: in the history, and in the log that is written ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from benchmarks.writing import changes
from benchmarks.writing.arena import Lane
from benchmarks.writing.changes import Change
from benchmarks.writing.session import Session
from benchmarks.writing.tables import Shape


@dataclass(frozen=True)
class Size:
    """Of one change, in bytes. All of one operation are in one transaction, or each has its own.

    :ivar wal: all that is written to the log, the change to the table included.
    """

    table: str
    contender: str
    operation: str
    wal: float
    heap: float
    indexes: float


def measure(lane: Lane, shape: Shape, rows: int) -> list[Size]:
    """An insert, an update and a delete of each row, and once more an update with a transaction for each."""
    with lane.session() as session:
        sizes = [
            _measure(lane, session, shape, name, change, rows)
            for name, change in (
                ("insert", changes.insert(shape)),
                ("update", changes.update(shape)),
                ("own transaction", changes.update(shape)),
                ("delete", changes.delete(shape)),
            )
        ]
        lane.empty(session, [shape.name])
    return sizes


def _measure(lane: Lane, session: Session, shape: Shape, name: str, change: Change, rows: int) -> Size:
    run = session.transactions if name == "own transaction" else session.loop
    before, place = _bytes(lane, session), session.ask("SELECT pg_current_wal_insert_lsn()")
    run(lane.sql(change), rows)
    wal = session.ask(f"SELECT pg_current_wal_insert_lsn() - '{place}'::pg_lsn")
    after = _bytes(lane, session)
    heap, indexes = ((now - then) / rows for now, then in zip(after, before, strict=True))
    return Size(shape.name, lane.contender.name, name, float(wal) / rows, heap, indexes)


def _bytes(lane: Lane, session: Session) -> tuple[int, int]:
    """Of the history: tables with what is stored out of line, and indexes."""
    oids = ", ".join(map(str, lane.history.values())) or "0"
    every = f"FROM pg_class WHERE oid IN ({oids})"
    heap = session.ask(f"SELECT coalesce(sum(pg_table_size(oid)), 0) {every}")
    return int(heap), int(session.ask(f"SELECT coalesce(sum(pg_indexes_size(oid)), 0) {every}"))


def of_change(sizes: Sequence[Size], table: str, contender: str) -> tuple[float, float]:
    """Heap and indexes of a change: the mean of the three operations."""
    found = _operations(sizes, table, contender)
    return mean(one.heap for one in found), mean(one.indexes for one in found)


def of_log(sizes: Sequence[Size], table: str, contender: str) -> float:
    """The log of a change, the same mean."""
    return mean(one.wal for one in _operations(sizes, table, contender))


def _operations(sizes: Sequence[Size], table: str, contender: str) -> list[Size]:
    return [
        one
        for one in sizes
        if (one.table, one.contender) == (table, contender) and one.operation in ("insert", "update", "delete")
    ]


def of_transaction(sizes: Sequence[Size], table: str, contender: str) -> float:
    """What a transaction of its own adds to a change."""
    total = {one.operation: one.heap + one.indexes for one in sizes if (one.table, one.contender) == (table, contender)}
    return total["own transaction"] - total["update"]
