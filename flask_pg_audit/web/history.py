"""What :class:`FlaskAudit` offers for reading the history of the current app."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

from sqlalchemy import Connection, MetaData, Subquery, Table
from typing_extensions import Unpack

from ..history.as_of import as_of
from ..history.change import Change
from ..history.entity import find_table
from ..history.family import family
from ..history.feed import Page, read_changes, read_feed
from ..history.filter import ChangeFilter, Conditions
from ..history.moment import Moment
from ..history.past_object import get_as_of
from ..history.position import Position
from ..history.timeline import read_transaction, timeline
from .state import get_state

T = TypeVar("T")


class HistoryMethods:
    """Reads on the connection of ``db.session``: what the session has flushed is seen, nothing is written."""

    def feed(
        self,
        *,
        before: Position | None = None,
        after: Position | None = None,
        limit: int = 50,
        bind: str | None = None,
        **where: Unpack[Conditions],
    ) -> Page:
        """The newest changes of all audited tables, a page of them.

        :param where: conditions, see :class:`~flask_pg_audit.history.ChangeFilter`.
        :param before: ``page.older``, for the next older changes.
        :param after: ``page.newer``, for the next newer ones.
        :param bind: the key in ``SQLALCHEMY_BINDS``; ``None`` is the default database.
        :raises AuditConfigError: no table of the bind is audited, or a condition names what there is not.

        .. versionadded:: 0.1
        """
        metadata = get_state().metadata(bind)
        chosen = ChangeFilter(**where)
        return read_feed(_connection(metadata), metadata, chosen, before=before, after=after, limit=limit)

    def timeline(
        self,
        entity: object,
        key: object = None,
        *,
        before: Position | None = None,
        after: Position | None = None,
        limit: int = 50,
    ) -> list[Change]:
        """One record's changes, the newest first (``after`` a position: the oldest first).

        :param entity: the instance; or a mapped class or ``Table``, with the ``key``.
        :raises AuditConfigError: see :func:`flask_pg_audit.history.timeline`.

        .. versionadded:: 0.1
        """
        query = timeline(entity, key, before=before, after=after, limit=limit)
        metadata = find_table(entity).metadata
        return read_changes(_connection(metadata, find_table(entity)), metadata, query)

    def history_of(self, instance: object) -> list[Change]:
        """Everything that is recorded of ``instance``, the newest change first.

        :raises AuditConfigError: its table is not audited or has no primary key.

        .. versionadded:: 0.1
        """
        table = find_table(instance)
        return read_changes(_connection(table.metadata, table), table.metadata, timeline(instance))

    def family(
        self,
        entity: object,
        key: object = None,
        *,
        relationships: Collection[str],
        before: Position | None = None,
        after: Position | None = None,
        limit: int = 50,
    ) -> list[Change]:
        """As :meth:`timeline`, with the changes of the record's children.

        :param relationships: ``["lines", "lines.product"]``; see :func:`flask_pg_audit.history.family`.
        :raises AuditConfigError: there is no such relationship, or its table is not audited.

        .. versionadded:: 0.1
        """
        query = family(entity, key, relationships=relationships, before=before, after=after, limit=limit)
        table = find_table(entity)
        return read_changes(_connection(table.metadata, table), table.metadata, query)

    def transaction(
        self, transaction_id: int, *, after: Position | None = None, limit: int = 1000, bind: str | None = None
    ) -> list[Change]:
        """What one transaction changed, in the order in which it did.

        :param transaction_id: a row of ``audit_transaction``.
        :raises AuditConfigError: no table of the bind is audited.

        .. versionadded:: 0.1
        """
        metadata = get_state().metadata(bind)
        return read_transaction(_connection(metadata), metadata, transaction_id, after=after, limit=limit)

    def as_of(self, entity: type[Any] | Table, when: Moment) -> Subquery:
        """A table as it was, to select from: ``aliased(Post, audit.as_of(Post, when))``.

        :param when: a ``datetime`` with a time zone, a ``Position`` or the id of a row of ``audit_transaction``.
        :raises AuditError: see :func:`flask_pg_audit.history.as_of`.

        .. versionadded:: 0.1
        """
        return as_of(entity, when)

    def get_as_of(self, model: type[T], key: object, when: Moment) -> T | None:
        """The object with primary key ``key`` as it was, detached and not to be attached; ``None`` if there was none.

        :raises AuditError: see :func:`flask_pg_audit.history.get_as_of`.

        .. versionadded:: 0.1
        """
        return get_as_of(get_state().db.session, model, key, when)


def _connection(metadata: MetaData, table: Table | None = None) -> Connection:
    """That of the session for the database where ``metadata`` is."""
    clause = table if table is not None else next(iter(metadata.tables.values()))
    connection: Connection = get_state().db.session.connection(bind_arguments={"clause": clause})
    return connection
