"""The history of a mapped class as a relationship, for those who like it among the attributes."""

from __future__ import annotations

from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Table
from sqlalchemy.orm import Mapper, Relationship, foreign, relationship

from ..errors import AuditConfigError
from .entity import find_audited

T = TypeVar("T")


def audit_table_of(entity: object) -> Table:
    """The audit table of a ``Table`` or mapped class, to select from or to map a class to.

    :raises AuditConfigError: it is not audited.

    .. versionadded:: 0.1
    """
    return find_audited(entity).audit_table


def history_relationship(model: type[Any], history_model: type[T]) -> Relationship[list[T]]:
    """A relationship from ``model`` to the rows of its history, the newest first; view only.

    It leads to what was recorded under the primary key that the record has now. A truncate is recorded without a key,
    so it is not among them; :func:`timeline` has it.

    :param history_model: a class that is mapped to the audit table: ``__table__ = audit_table_of(model)``.
    :raises AuditConfigError: ``model`` is not audited or has no primary key, or ``history_model`` is mapped to another
        table.

    .. versionadded:: 0.1
    """
    audited = find_audited(model)
    mapper: Mapper[Any] = sa.inspect(history_model)
    if mapper.local_table is not audited.audit_table:
        raise AuditConfigError(
            f"{history_model.__name__} is mapped to {mapper.local_table}; the history of {model.__name__} is in "
            f'"{audited.audit_table.fullname}": give it __table__ = audit_table_of({model.__name__})'
        )
    if not audited.key_columns:
        raise AuditConfigError(f'the table "{audited.table.fullname}" has no primary key to find its history by')
    history = audited.audit_table.c
    same_key = (column == foreign(history[column.key]) for column in audited.key_columns)
    return relationship(history_model, primaryjoin=sa.and_(*same_key), order_by=history.audit_id.desc(), viewonly=True)
