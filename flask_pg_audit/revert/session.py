"""A connection or an ORM session as something to write with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.orm import Session, scoped_session

from ..context.settings import is_autocommit
from ..errors import AuditConfigError
from ..history.changes import Source
from .target import Reverted, RowWrite
from .versions import mappers_of


def write_with(source: Source, table: Table, write: Callable[[Connection], Reverted]) -> Reverted:
    """Call ``write`` with the connection on which a session, or whoever it is, writes to ``table``.

    A session is flushed before, and shows the truth afterwards: its objects are expired, and those whose rows were
    deleted are not in it any more.

    :raises AuditConfigError: the connection is in AUTOCOMMIT mode.
    """
    session = _session(source)
    if session is None:
        return write(_checked(source))  # type: ignore[arg-type]
    session.flush()
    # Of several binds, the one that the table is in: a session may know it by the class, or by the table.
    where = {"mapper": next(mappers_of(table), None), "clause": table}
    reverted = write(_checked(session.connection(bind_arguments=where)))
    if not reverted.dry_run:
        _refresh(session, table, reverted.writes)
    return reverted


def _session(source: Source) -> Session | None:
    if isinstance(source, scoped_session):
        session: Session = source()
        return session
    return source if isinstance(source, Session) else None


def _checked(connection: Connection) -> Connection:
    if is_autocommit(connection):
        raise AuditConfigError(
            "a revert needs a transaction, but this connection is in AUTOCOMMIT mode, where rows cannot be locked and "
            "nothing could be taken back; use engine.begin()"
        )
    return connection


def _refresh(session: Session, table: Table, writes: Iterable[RowWrite]) -> None:
    # Not only the written rows: collections of others have changed too.
    session.expire_all()
    by_name = {each.fullname: each for each in table.metadata.tables.values()}
    for write in writes:
        if write.operation == "D":
            _forget(session, by_name[write.table], write)


def _forget(session: Session, table: Table, write: RowWrite) -> None:
    for mapper in mappers_of(table):
        identity = mapper.identity_key_from_primary_key(_identity(mapper, table, write))
        instance = session.identity_map.get(identity)
        if instance is not None:
            session.expunge(instance)


def _identity(mapper: Any, table: Table, write: RowWrite) -> tuple[Any, ...]:
    """The key as the mapper has it: of joined tables, it is the first one's."""
    if all(column.table is table for column in mapper.primary_key):
        return tuple(write.key[column.name] for column in mapper.primary_key)
    return tuple(write.key.values())
