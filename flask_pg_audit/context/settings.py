"""Session settings: ``audit.<name>`` for the current transaction, always with bound parameters."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import re
import reprlib
import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import Session, scoped_session

from ..declare.options import check_setting_name
from ..errors import AuditContextError

_TEXT_TYPES = (
    int,
    float,
    decimal.Decimal,
    uuid.UUID,
    datetime.date,
    datetime.time,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
)

#: U+0000, which PostgreSQL keeps in no text, and halves of characters, which UTF-8 cannot say.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def set_session_vars(connectable: Connection | Session | scoped_session[Any], **values: object) -> None:
    """Set ``audit.<name>`` for the rest of the current transaction, starting one if there is none.

    :param connectable: a ``Connection`` or an ORM ``Session`` (its default bind).
    :param values: strings, numbers, booleans, ``uuid.UUID``, dates and datetimes (give time zones), IP addresses,
        enum members (their value); ``None`` clears.
    :raises AuditConfigError: a name that PostgreSQL would not accept as a setting, or one that is reserved.
    :raises AuditContextError: a value of another type, or a connection in AUTOCOMMIT mode, where the settings
        would be gone before the next statement.

    .. versionadded:: 0.1
    """
    settings = {f"audit.{name}": setting_text(name, value) for name, value in values.items()}
    for name in values:
        check_setting_name(name, "set_session_vars()")
    connection = connectable if isinstance(connectable, Connection) else connectable.connection()
    if is_autocommit(connection):
        raise AuditContextError(
            "set_session_vars() needs a transaction, but this connection is in AUTOCOMMIT mode; "
            "the settings would be gone before the next statement"
        )
    if settings:
        statement, parameters = render_set_config(connection.dialect.paramstyle, settings)
        connection.exec_driver_sql(statement, parameters)


def is_autocommit(connection: Connection) -> bool:
    """Whether every statement is a transaction of its own; asks the driver, not the server."""
    dbapi_connection = connection.connection.dbapi_connection
    # asyncpg's adapter has an isolation level only.
    return bool(getattr(dbapi_connection, "autocommit", False)) or (
        getattr(dbapi_connection, "isolation_level", None) == "autocommit"
    )


def render_set_config(paramstyle: str, settings: Mapping[str, str], local: bool = True) -> tuple[str, tuple[str, ...]]:
    """One ``SELECT`` that sets all ``settings``, and its parameters.

    :param paramstyle: the dialect's: ``$1`` for asyncpg, ``%s`` for the psycopg drivers.
    :param local: for the transaction; otherwise for the session.
    """
    numbered = paramstyle.startswith("numeric")
    calls = []
    for index in range(len(settings)):
        name, value = (f"${2 * index + 1}", f"${2 * index + 2}") if numbered else ("%s", "%s")
        calls.append(f"pg_catalog.set_config({name}, {value}, {str(local).lower()})")
    return f"SELECT {', '.join(calls)}", tuple(text for pair in settings.items() for text in pair)


def setting_text(name: str, value: object) -> str:
    """The text of a setting; ``None`` is the empty string, which reads as "not set".

    :raises AuditContextError: a value whose text would be a guess, or that PostgreSQL cannot store.
    """
    if value is None:
        return ""
    if isinstance(value, enum.Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, (str, *_TEXT_TYPES)):
        raise AuditContextError(
            f"session setting {name!r} cannot be {_shown(value)} ({type(value).__name__}); give a string, number, "
            "UUID, date, datetime or None"
        )
    text = _text_of(name, value)
    if unstorable := _UNSTORABLE.search(text):
        what = "a NUL character" if unstorable.group() == "\0" else "half of a character (a lone surrogate)"
        raise AuditContextError(f"session setting {name!r} contains {what}, which PostgreSQL cannot store")
    return text


def _text_of(name: str, value: object) -> str:
    try:
        return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
    except ValueError as error:  # Python writes no integer of more than some thousand digits
        raise AuditContextError(f"session setting {name!r} cannot be written as text: {error}") from error


def _shown(value: object) -> str:
    """For a message: a few words, whatever it is and however much of it there is."""
    try:
        return reprlib.repr(value)
    except Exception:
        return "what it is"
