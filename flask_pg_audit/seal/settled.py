"""Finding out up to which number history is settled: no row with a lower one can still appear.

Whoever records a change first adds a row to ``audit_transaction``. PostgreSQL locks that table (``ROW EXCLUSIVE``)
before it takes the row's number from the sequence, and keeps the lock until the transaction has ended. So a number
that was taken before we read the sequence belongs to a transaction that has ended, or whose lock we see. When all that
held the lock at that time are gone, the transactions up to that number are complete: what they changed is there, or
never will be. The rows of audit tables carry the number of their transaction, so one number bounds them all.

This asks less than waiting for the snapshot's xmin would, which the long transaction of somebody who writes no history
holds back, in another database of the server even; and it holds for tables whose rows are numbered before their
transaction has an xid, as those of ``audit_view`` are. Nobody waits for us: we take no lock that conflicts with a
writer's.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from ..database.name import QualifiedName
from ..database.render import literal, qualified, render
from ..errors import AuditSealError

#: Seconds between two looks: first short, since most transactions are.
_SHORTEST, _LONGEST = 0.005, 0.2

_AS_IT_IS = {"no_parameters": True}


@dataclass(frozen=True)
class _Writer:
    """A transaction that holds one of the tables.

    :ivar transaction: its virtual id, which no other one gets; ``None`` when it is prepared, as it has none then.
    """

    transaction: str | None
    description: str


def settle(connection: Connection, tables: Collection[QualifiedName], wait: float) -> Mapping[QualifiedName, int]:
    """Wait until what has a number now is there or never will be.

    The transaction has to be ``READ COMMITTED``: what was waited for is seen by statements that begin afterwards.

    :param tables: those with an ``id`` from a sequence.
    :param wait: seconds.
    :returns: for each table the highest settled number; 0 where none was taken yet.
    :raises AuditSealError: a transaction did not end in time, or a sequence hands out numbers in blocks.
    """
    bounds = {table: _read_number(connection, table) for table in sorted(tables)}
    # After the numbers: who takes one from now on is of no concern.
    known = {writer.transaction for writer in _read_writers(connection, tables)}
    until, pause = time.monotonic() + wait, _SHORTEST
    # A transaction that is being prepared loses its virtual id; prepared ones are all waited for.
    while left := [w for w in _read_writers(connection, tables) if w.transaction is None or w.transaction in known]:
        if time.monotonic() >= until:
            raise AuditSealError(_still_open(left, wait))
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)
    return bounds


def _read_number(connection: Connection, table: QualifiedName) -> int:
    query = render("read_numbering", table=table)
    row = connection.exec_driver_sql(query, execution_options=_AS_IT_IS).one_or_none()
    if row is None:
        raise AuditSealError(f"{table.display}.id has no sequence, so nobody knows which numbers were taken")
    sequence, cache = row
    if cache != 1:
        raise AuditSealError(
            f"the sequence {sequence} of {table.display} has CACHE {cache}: sessions hold back numbers, so that rows "
            f"with lower ones may come later; ALTER SEQUENCE {sequence} CACHE 1, and reconnect"
        )
    query = f"SELECT last_value, is_called FROM {sequence}"  # noqa: S608 - quoted by the server
    number, is_called = connection.exec_driver_sql(query, execution_options=_AS_IT_IS).one()
    return int(number) if is_called else int(number) - 1


def _read_writers(connection: Connection, tables: Collection[QualifiedName]) -> list[_Writer]:
    names = [literal(qualified(table)) for table in tables]
    rows = connection.exec_driver_sql(render("read_open_writers", names=names), execution_options=_AS_IT_IS)
    return [_Writer(None if pid is None else transaction, text) for pid, transaction, text in rows]


def _still_open(writers: list[_Writer], wait: float) -> str:
    more = f", and {len(writers) - 1} more" if len(writers) > 1 else ""
    return (
        f"nothing was sealed: after {wait:g} seconds a transaction that writes history is still open: "
        f"{writers[0].description}{more}; end it, or wait for longer with --wait"
    )
