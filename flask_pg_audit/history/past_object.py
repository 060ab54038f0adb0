"""Objects of a mapped class as they were: detached, and never to be attached."""

from __future__ import annotations

from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Subquery, event, inspect, select
from sqlalchemy.orm import Session, raiseload, scoped_session, undefer

from ..declare.registry import AuditedTable
from ..errors import AuditError
from .as_of import as_of
from .entity import audited_table_of
from .moment import Moment

_T = TypeVar("_T")

#: In ``inspect(instance).info``: the moment at which the instance was as it is.
AS_OF_KEY = "audit.as_of"


def get_as_of(source: Session | scoped_session[Any] | Connection, model: type[_T], key: Any, when: Moment) -> _T | None:
    """Return the object with primary key ``key`` as it was, detached; ``None`` if it was not there.

    All column attributes are loaded, deferred ones too. Those that are not recorded, and relationships, raise
    SQLAlchemy's error for what is not loaded: they would be the present. Adding the object to a session, or deleting
    it from one, raises :class:`~flask_pg_audit.AuditError`.

    :param source: where to read, in its transaction: what it has sent is seen. A session is not flushed, and its
        identity map is not touched.
    :param key: a value, or a tuple of them in the order of the primary key.
    :param when: as for :func:`as_of`.
    :raises AuditConfigError: as for :func:`as_of`.
    :raises AuditError: the key has another number of values, and as for :func:`as_of`.

    .. versionadded:: 0.1
    """
    past = as_of(model, when)
    rows = select(past).where(*_is_key(audited_table_of(model), past, key))
    statement = select(model).from_statement(rows).options(undefer("*"), raiseload("*"))
    # A session of its own: the identity map of any other may have the present object under the same key.
    with Session(_connect(source, model), join_transaction_mode="rollback_only") as reader:
        found = reader.scalars(statement).one_or_none()
        if found is not None:
            reader.expunge(found)
            _protect(found, when)
        return found


def _connect(source: Session | scoped_session[Any] | Connection, model: type[Any]) -> Connection:
    if isinstance(source, Connection):
        return source
    return source.connection(bind_arguments={"mapper": inspect(model)})


def _is_key(audited: AuditedTable, past: Subquery, key: Any) -> list[ColumnElement[bool]]:
    values = key if isinstance(key, tuple) else (key,)
    columns = audited.key_columns
    if len(values) != len(columns):
        names = ", ".join(column.name for column in columns)
        raise AuditError(f'the key of table "{audited.table.fullname}" is ({names}), so {key!r} is none')
    return [past.c[column.key] == value for column, value in zip(columns, values, strict=True)]


def _protect(instance: object, when: Moment) -> None:
    inspect(instance, raiseerr=True).info[AS_OF_KEY] = when
    if not event.contains(Session, "before_attach", _refuse):
        event.listen(Session, "before_attach", _refuse)


def _refuse(session: Session, instance: object) -> None:
    state = inspect(instance, raiseerr=True)
    if AS_OF_KEY in state.info:
        raise AuditError(
            f"this {type(instance).__name__} is what it was at {state.info[AS_OF_KEY]} and cannot be added to a "
            "session; load the present object and copy the values that you want back"
        )
