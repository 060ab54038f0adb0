"""Somebody who may do anything in the database changes what was recorded."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from tests.capture import execute


def tamper(engine: Engine, *statements: str) -> None:
    """Run statements that falsify history, in one transaction, without any trigger in the way."""
    with engine.begin() as connection:
        _without_triggers(connection)
        for statement in statements:
            execute(connection, statement)


def _without_triggers(connection: Connection) -> None:
    """The owner of a table may disable its triggers; as a superuser this is one statement for all of them."""
    execute(connection, "SET LOCAL session_replication_role = replica")
