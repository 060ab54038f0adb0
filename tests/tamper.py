"""Somebody who may do anything in the database changes what was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from tests.capture import execute


def tamper(engine: Engine, *statements: str) -> None:
    """Run statements that falsify history, in one transaction, without any trigger in the way.

    The triggers are as they were afterwards: nothing else is to tell that somebody was there.
    """
    with engine.begin() as connection, _without_triggers(connection):
        for statement in statements:
            execute(connection, statement)


@contextmanager
def _without_triggers(connection: Connection) -> Iterator[None]:
    """As the owner of a table may; they are found again by table, whatever that is called by then."""
    triggers = [tuple(row) for row in execute(connection, _TRIGGERS)]
    for table in dict.fromkeys(name for _, name, *_ in triggers):
        execute(connection, f"ALTER TABLE {table} DISABLE TRIGGER USER")
    yield
    for oid, _, trigger, mode in triggers:
        table = execute(connection, f"SELECT oid::regclass::text FROM pg_class WHERE oid = {oid}").scalar()
        if table is not None:
            execute(connection, f"ALTER TABLE {table} ENABLE {mode} TRIGGER {trigger}")


_TRIGGERS = """
    SELECT tgrelid::int8, tgrelid::regclass::text, quote_ident(tgname),
           CASE tgenabled WHEN 'A' THEN 'ALWAYS' ELSE '' END
    FROM pg_trigger
    WHERE NOT tgisinternal AND tgparentid = 0 AND tgenabled IN ('A', 'O')
"""
