"""From an object of the app to its page in the log."""

from __future__ import annotations

import enum
from typing import Any

import sqlalchemy as sa
from flask import url_for
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import InstanceState

from ..errors import AuditConfigError, AuditError
from ..history.entity import find_audited
from ..history.key import format_key, key_of
from .state import AuditState, get_state

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class LinkMethods:
    """Links from the app's own pages to the log."""

    def url_for(self, instance: object, **values: Any) -> str:
        """The URL of the page with everything that is recorded of ``instance``; for templates: ``audit_url_for``.

        Whoever follows the link needs access to the log, and to what the page shows of it.

        :param instance: an object of a mapped class that is audited, and has its primary key: flushed, or loaded.
        :param values: more of the query string, ``**{"with": "lines"}`` for the changes of a relationship or
            ``**{"as-of": "2026-01-31T14:00"}``; and what ``flask.url_for()`` takes, ``_external=True``.
        :raises AuditConfigError: the table is not audited or has no primary key, ``instance`` is no object of a mapped
            class, or the app has no pages (``AUDIT_UI``).
        :raises AuditError: the object has no primary key yet.

        .. versionadded:: 0.1
        """
        state = get_state()
        if not state.config.ui:
            raise AuditConfigError("this app has no audit-log pages to link to: AUDIT_UI is False")
        if not isinstance(sa.inspect(instance, raiseerr=False), InstanceState):
            raise AuditConfigError(f"{instance!r} is no object of a mapped class, so it has no page in the audit log")
        audited = find_audited(instance)
        key = key_of(audited, instance)
        missing = [name for name, value in key.items() if value is None]
        if missing:
            raise AuditError(
                f"{instance!r} has no {', '.join(missing)} yet, so nothing can be recorded of it; flush the session "
                "first"
            )
        texts = [_text(column, key[column.name]) for column in audited.key_columns]
        arguments = {"table": audited.table.key, "key": format_key(texts), "bind": _bind(state, audited.table)}
        return url_for("audit.record", **{**arguments, **values})


def _bind(state: AuditState, table: sa.Table) -> str | None:
    """The key of the database where the table is; the pages look into the first one unless told otherwise."""
    keys = [key for key, metadata in state.metadatas.items() if metadata is table.metadata]
    if not keys:
        raise AuditConfigError(f'the table "{table.fullname}" belongs to no database of this app')
    return keys[0]


def _text(column: Column[Any], value: object) -> str:
    """A value of the key as PostgreSQL writes it."""
    if isinstance(value, enum.Enum):
        process = column.type.dialect_impl(_DIALECT).bind_processor(_DIALECT)
        value = process(value) if process is not None else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (bytes, memoryview)):
        return f"\\x{bytes(value).hex()}"
    return str(value)
