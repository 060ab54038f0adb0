"""Reading at one moment, without being able to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Engine

#: How PostgreSQL writes values, whatever the role, the database or the client has set: in UTC and ISO 8601, floating
#: point numbers with all their digits, bytes in hexadecimal. And no compiler: with hundreds of columns that are read
#: once it takes longer than the query.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "jit": "off",
}


@contextmanager
def snapshot(engine: Engine) -> Iterator[Connection]:
    """A connection of its own, in a transaction that sees one moment and cannot write, also on an AUTOCOMMIT engine.

    .. versionadded:: 0.1
    """
    with engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


def settle_output(connection: Connection) -> None:
    """Have values written the same everywhere, until the end of the transaction."""
    _settle(connection, _SETTINGS)


def settle_order(connection: Connection, keep: bool) -> None:
    """Have rows read in the order of an index and not sorted wherever that is possible, or leave it to PostgreSQL.

    Of tables that were never analyzed it knows too little to see what sorting a whole history comes to.
    """
    _settle(connection, {"enable_sort": "off" if keep else "on"})


def _settle(connection: Connection, settings: Mapping[str, str]) -> None:
    # Literals, so that the statement is known to be harmless; see context/statements.py.
    connection.execute(sa.select(*(_set(name, value) for name, value in settings.items())))


def _set(name: str, value: str) -> ColumnElement[str]:
    setting: ColumnElement[str] = sa.literal_column(f"'{name}'")
    return sa.func.set_config(setting, sa.literal_column(f"'{value}'"), sa.true())
