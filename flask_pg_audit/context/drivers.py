"""What is done in different words with psycopg2 and psycopg 3, and how settings are sent.

On an unwatched cursor or none: no events, no compilation, one round trip.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .settings import render_set_config

_IDLE = 0  # libpq's PQTRANS_IDLE, the same number in both drivers


def set_config(connection: Any, settings: Mapping[str, str], local: bool = True) -> None:
    statement, parameters = render_set_config("format", settings, local)
    if _is_psycopg2(connection) or in_pipeline(connection) or _begins_specially(connection):
        execute(connection, statement, parameters)
    else:
        _send_as_text(connection, statement, parameters)


def execute(connection: Any, statement: str, parameters: tuple[str, ...] | None = None) -> None:
    """On an unwatched cursor: no events, no compilation, one round trip."""
    cursor = plain_cursor_class(connection)(connection)
    try:
        cursor.execute(statement, parameters)
    finally:
        cursor.close()


def _send_as_text(connection: Any, statement: str, parameters: tuple[str, ...]) -> None:
    """psycopg 3 would send the ``BEGIN`` of a transaction first, in a round trip of its own: it goes along here."""
    from psycopg import ClientCursor, errors, generators
    from psycopg.pq import ExecStatus

    begin = "BEGIN; " if is_idle(connection) and not connection.autocommit else ""
    text = begin + ClientCursor(connection).mogrify(statement, parameters)
    with connection.lock:
        connection.pgconn.send_query(text.encode(connection.info.encoding))
        results = connection.wait(generators.execute(connection.pgconn))
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR:
            raise errors.error_from_result(result, encoding=connection.info.encoding)


def _begins_specially(connection: Any) -> bool:
    """Whether a transaction of psycopg 3 begins with more than ``BEGIN``."""
    return any(each is not None for each in (connection.isolation_level, connection.read_only, connection.deferrable))


def _is_psycopg2(connection: Any) -> bool:
    return hasattr(connection, "get_transaction_status")


def plain_cursor_class(connection: Any) -> Callable[[Any], Any]:
    """The driver's own cursor class, whatever ``connection`` makes."""
    if _is_psycopg2(connection):
        from psycopg2.extensions import cursor

        return cursor
    from psycopg import Cursor

    return Cursor


def is_idle(connection: Any) -> bool:
    """Whether no transaction is open: libpq knows, the server is not asked."""
    if _is_psycopg2(connection):
        return bool(connection.get_transaction_status() == _IDLE)
    return bool(connection.pgconn.transaction_status == _IDLE)


def in_pipeline(connection: Any) -> bool:
    return not _is_psycopg2(connection) and bool(connection.pgconn.pipeline_status)
