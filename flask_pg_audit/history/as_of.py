"""A table as it was at some point of its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Label,
    Select,
    Subquery,
    Table,
    func,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Mapper
from sqlalchemy.sql.visitors import replacement_traverse

from ..declare.registry import AuditedTable
from ..errors import AuditConfigError
from .entity import audited_table_of, mapper_of
from .moment import Moment, recorded_by


def as_of(entity: type[Any] | Mapper[Any] | Table, when: Moment) -> Subquery:
    """Return a table as it was at a point of its history, to select from, to join, or to alias a class to.

    ``aliased(Post, as_of(Post, when))`` is the class ``Post`` in the past. Several tables joined in one statement are
    seen at the same point. The columns have the names, keys and Python types of the table's; those that are not
    recorded, excluded or virtual ones, are not among them, and those that did not exist yet are null. What was removed
    from history is null too; of masked columns come the masks.

    What "at" means when transactions overlap is in the documentation, "Time and order".

    :param entity: a mapped class or a ``Table``; of a class in single-table inheritance only its own rows come.
    :param when: an aware ``datetime``: what statements had done by that instant, by the server's clock. A
        :class:`~flask_pg_audit.history.feed.Position`: the state right after that change. An ``int``, the id of a row
        of ``audit_transaction``: the state right after its last change, and no row if it made none.
    :raises AuditConfigError: the table is not audited or has no primary key, or the class has several tables.
    :raises AuditError: ``when`` is a naive ``datetime`` or something else.

    Audit tables are read, never the audited one; no lock is taken that hinders a writer.

    .. versionadded:: 0.1
    """
    audited = audited_table_of(entity)
    _check_key(audited)
    latest = _latest_changes(audited, when).subquery("latest")
    images = {column: _image(column, latest, audited) for column in audited.image_columns}
    # Here and not among the changes: for a range of audit_id, with a bound that it does not know, PostgreSQL expects
    # next to no rows, and plans for that.
    is_left = latest.c.audit_id > _last_truncate(audited, when)
    rows = select(*images.values()).where(latest.c.audit_operation != "D", is_left)
    mapper = mapper_of(entity)
    if mapper is not None and mapper.single and mapper.polymorphic_on is not None:
        rows = rows.where(_is_of_class(mapper, mapper.polymorphic_on, images, audited))
    return rows.subquery()


def _check_key(audited: AuditedTable) -> None:
    if not audited.key_columns:
        raise AuditConfigError(
            f'table "{audited.table.fullname}" has no primary key, so nothing tells which image is of which row; give '
            f'it one, or read the changes themselves from "{audited.audit_table.fullname}"'
        )


def _latest_changes(audited: AuditedTable, when: Moment) -> Select[Any]:
    """The newest change of each key."""
    changes = audited.audit_table.alias("changes")
    key = [changes.c[column.key] for column in audited.key_columns]
    images = [changes.c[column.key] for column in audited.image_columns]
    latest = (
        select(changes.c.audit_operation, changes.c.audit_id, *images)
        .where(recorded_by(changes, when, audited.table.metadata))
        # Not those of truncates, and none from before a column joined the key: of which row now would that be?
        .where(*(column.is_not(None) for column in key))
        # All in one direction, so that the index on (key, audit_id) is this order, read backwards.
        .order_by(*(column.desc() for column in key), changes.c.audit_id.desc())
    )
    return _one_for_each(latest, key)


def _one_for_each(statement: Select[Any], key: Sequence[ColumnElement[Any]]) -> Select[Any]:
    if hasattr(postgresql, "distinct_on"):  # since SQLAlchemy 2.1, which warns of the other
        return statement.ext(postgresql.distinct_on(*key))
    return statement.distinct(*key)


def _last_truncate(audited: AuditedTable, when: Moment) -> ColumnElement[int]:
    """The ``audit_id`` of the newest truncate, 0 without one: ids start at 1.

    Truncates are the rows without a key, and so the index on the key finds them.
    """
    truncates = audited.audit_table.alias("truncates")
    newest = (
        select(func.max(truncates.c.audit_id))
        .where(*(truncates.c[column.key].is_(None) for column in audited.key_columns))
        .where(truncates.c.audit_operation == "T", recorded_by(truncates, when, audited.table.metadata))
    )
    return func.coalesce(newest.scalar_subquery(), 0)


def _image(column: Column[Any], images: Subquery, audited: AuditedTable) -> Label[Any]:
    """What was recorded of ``column``, known to SQLAlchemy as that column: same name, key and type.

    But a mask that is text stays text.
    """
    label = type_coerce(images.c[column.key], audited.stored_type(column)).label(column.name)
    label.key = column.key
    # How SQLAlchemy finds a table's column in what was selected from it. Without it aliased() would go by names, and
    # only when told to; and take what it does not find from the table as it is now.
    label._proxies.append(column)
    return label


def _is_of_class(
    mapper: Mapper[Any],
    discriminator: ColumnElement[Any],
    images: Mapping[Column[Any], ColumnElement[Any]],
    audited: AuditedTable,
) -> ColumnElement[bool]:
    """What SQLAlchemy adds to each query for a class in single-table inheritance."""

    def replace(element: Any, **_: Any) -> Any:
        if not isinstance(element, Column):
            return None
        if element not in images:
            raise AuditConfigError(
                f'column "{element.name}" of table "{audited.table.fullname}" is not recorded, so nothing tells which '
                f"rows were of class {mapper.class_.__name__}; stop excluding it"
            )
        return images[element]

    identities = [each.polymorphic_identity for each in mapper.self_and_descendants]
    replaced = replacement_traverse(discriminator, {}, replace)
    return type_coerce(replaced, discriminator.type).in_(identities)
