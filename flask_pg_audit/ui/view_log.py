"""Who read the log: one row of ``audit_view`` for each page, search, export and revert, and the way to read them."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Insert,
    MetaData,
    Table,
    Text,
    cast,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import SQLAlchemyError, TimeoutError

from ..declare.registry import find_view_table
from ..errors import AuditConfigError, AuditError, driver_message, sqlstate
from ..history.context import parse_context
from .language import gettext, message

ViewAction = Literal["view", "search", "export", "revert"]

#: Characters of JSON that are kept of a query, and characters of one argument: a whole search, of whatever characters,
#: or somebody would put what must not be seen behind much that says nothing.
MAX_QUERY_LENGTH, MAX_ARGUMENT_LENGTH = 16_000, 2_000

#: Characters that are kept of everything else.
MAX_TEXT_LENGTH = 200

#: Stands for what was cut off.
_CUT = "…"

#: What PostgreSQL cannot store, and UTF-8 cannot say.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class View:
    """One look at the log.

    :ivar action: ``view``, ``search``, ``export`` or ``revert``.
    :ivar page: the endpoint.
    :ivar query: what was asked for: the arguments that the page understood, those of the URL's rule included. Of the
        others a client could send so many that what it asked for would be cut off.
    :ivar row_count: how many rows it was given; ``None`` where that is not known before the answer, as of an export.
    """

    action: ViewAction
    page: str
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    row_count: int | None = None
    username: str | None = None
    actor_id: str | None = None
    remote_addr: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class RecordedView:
    """A row of ``audit_view``: a :class:`View` as it was recorded.

    :ivar viewed_at: when, with time zone.
    """

    id: int
    viewed_at: datetime.datetime
    action: str
    page: str
    query: Mapping[str, Any]
    row_count: int | None
    username: str | None
    actor_id: str | None
    remote_addr: str | None
    request_id: str | None


def record_view(bind: Engine | Connection, metadata: MetaData, view: View) -> None:
    """Write ``view`` down, in a transaction of its own that is committed when this returns.

    Call it when what was asked for has been read, and answer only then: what cannot be recorded must not be shown. Who
    acts is not looked up for it, and texts are cut, and kept from what PostgreSQL cannot store.

    :param bind: the engine of the database that was read; or a connection that is in no transaction and may write.
    :raises AuditError: it could not be recorded. The message names the way out.
    :raises AuditConfigError: ``metadata`` has no ``audit_view``, or the connection is in a transaction.

    .. versionadded:: 0.1
    """
    failed = gettext("it could not be recorded that you read the log, so it is not shown")
    with _explained(_view_table(metadata), failed, gettext(_SWITCH_OFF)), _transaction(bind) as connection:
        connection.execute(_insert(metadata, view))


def record_with(connection: Connection, metadata: MetaData, view: View) -> None:
    """Write ``view`` down together with what it is about: in the transaction that changes something.

    :raises AuditError: it could not be recorded; roll back.
    """
    failed = gettext("it could not be recorded that you changed something, so nothing was changed")
    with _explained(_view_table(metadata), failed, gettext(_SWITCH_OFF)):
        connection.execute(_insert(metadata, view))


def _insert(metadata: MetaData, view: View) -> Insert:
    # inline(): to ask for the new id the role would need SELECT as well.
    return insert(_view_table(metadata)).inline().values(_storable(view))


def read_views(
    connection: Connection, metadata: MetaData, *, before: int | None = None, limit: int
) -> list[RecordedView]:
    """Who read the log, the newest first.

    Views that are recorded meanwhile make nobody who goes from page to page skip or repeat one.

    :param before: the ``id`` of the last one of the page before.
    :param limit: how many at most, from 1.
    :raises AuditError: they could not be read. The message names the way out.
    :raises AuditConfigError: ``metadata`` has no ``audit_view``.

    .. versionadded:: 0.1
    """
    table = _view_table(metadata)
    query = func.left(cast(table.c.query, Text), MAX_QUERY_LENGTH + 1).label("query")
    others = [_start_of(column) for column in table.columns if column.key != "query"]
    statement = select(*others, query).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(table.c.id < before)
    with _explained(table, gettext("who read the log cannot be told")):
        rows = connection.execute(statement).mappings().all()
    return [RecordedView(**{**row, "query": parse_context(row["query"])}) for row in rows]


def _view_table(metadata: MetaData) -> Table:
    table = find_view_table(metadata)
    if table is None:
        raise AuditConfigError(
            "it is not recorded who reads the log: AUDIT_LOG_VIEWS or AUDIT_UI is False, or no table is audited"
        )
    return table


def _start_of(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Whoever may write the table chooses how much is in it."""
    is_text = isinstance(column.type, Text)
    return func.left(column, MAX_TEXT_LENGTH).label(column.key) if is_text and column.key else column


def _storable(view: View) -> dict[str, Any]:
    texts = ("action", "page", "username", "actor_id", "remote_addr", "request_id")
    values: dict[str, Any] = {name: _shortened(getattr(view, name), MAX_TEXT_LENGTH) for name in texts}
    # As text: the application may have given its engine a serializer of its own.
    query = cast(literal(_query_text(view.query), Text()), JSONB)
    return {**values, "query": query, "row_count": view.row_count}


def _shortened(text: str | None, length: int) -> str | None:
    if text is None:
        return None
    return _UNSTORABLE.sub("\ufffd", text if len(text) <= length else text[: length - 1] + _CUT)


def _query_text(query: Mapping[str, str | Sequence[str]]) -> str:
    """``query`` as JSON: as many of its arguments as fit, each of them cut, and how many are left out."""
    kept: dict[str, Any] = {}
    for number, (name, value) in enumerate(query.items()):
        more = {**kept, str(_shortened(name, 100)): _argument(value)}
        if len(_json(more)) > MAX_QUERY_LENGTH - 40:  # room for what is said of the rest
            return _json({**kept, _CUT: f"{len(query) - number} more"})
        kept = more
    return _json(kept)


def _argument(value: str | Sequence[str]) -> str | list[str]:
    if isinstance(value, str):
        # No character takes more than six in JSON: "\u0001".
        return _shortened(value, MAX_ARGUMENT_LENGTH) or ""
    kept: list[str] = []
    for number, part in enumerate(value):
        text = _argument(part)
        if len(_json([*kept, text])) > 2 * MAX_ARGUMENT_LENGTH:
            return [*kept, f"{_CUT} {len(value) - number} more"]
        kept.append(str(text))
    return kept


def _json(value: object) -> str:
    """As long as PostgreSQL will write it."""
    return json.dumps(value, ensure_ascii=False)


@contextmanager
def _transaction(bind: Engine | Connection) -> Iterator[Connection]:
    if isinstance(bind, Engine):
        with bind.begin() as connection:
            yield connection
    elif bind.in_transaction():
        raise AuditConfigError("record_view() needs a transaction of its own: give it the engine")
    else:
        with bind.begin():
            yield bind


_SWITCH_OFF = message("AUDIT_LOG_VIEWS = False shows the log without recording who reads it")

_NOT_INSTALLED = message("the table %(table)s is not in the database. Run: flask audit install")
_REASONS = {
    "42P01": _NOT_INSTALLED,
    "3F000": _NOT_INSTALLED,
    "42703": message("the table %(table)s lacks a column. Run: flask audit install"),
    "42501": message(
        "the application's database role may not use %(table)s. Grant it INSERT, and SELECT to see who read the log"
    ),
    "25006": message(
        "the database takes no writes here. Let the application connect to the primary server, without read-only"
    ),
}


@contextmanager
def _explained(table: Table, what: str, way_out: str | None = None) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, UnicodeError) as error:
        reason = _reason(error, table)
        if way_out is None:
            raise AuditError(gettext("%(what)s: %(reason)s", what=what, reason=reason)) from error
        sentence = gettext("%(what)s: %(reason)s (%(way_out)s)", what=what, reason=reason, way_out=way_out)
        raise AuditError(sentence) from error


def _reason(error: Exception, table: Table) -> str:
    if isinstance(error, TimeoutError):
        return gettext("no database connection was free. Try again, or give the application's pool more connections")
    template = _REASONS.get(sqlstate(error) or "")
    if template is None:
        return gettext("the database said: %(message)s", message=driver_message(error))
    return gettext(template, table=table.fullname)
