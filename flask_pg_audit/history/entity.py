"""From a mapped class or a table to the audited table that has its history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, inspect
from sqlalchemy.orm import Mapper

from ..declare.registry import AuditedTable, audited_tables
from ..errors import AuditConfigError


def audited_table_of(entity: type[Any] | Mapper[Any] | Table) -> AuditedTable:
    """The audited table of a mapped class, a mapper or a table.

    :raises AuditConfigError: it is none of these, it is not audited, or its class is spread over several tables.
    """
    mapper = mapper_of(entity)
    table = entity if isinstance(entity, Table) else _only_table(mapper, entity)
    for audited in audited_tables(table.metadata):
        if audited.table is table:
            return audited
    raise AuditConfigError(
        f'table "{table.fullname}" is not audited, so there is no history to read; declare it with info=audited()'
    )


def mapper_of(entity: object) -> Mapper[Any] | None:
    """The mapper of a mapped class, or the mapper itself; ``None`` for anything else."""
    mapper = inspect(entity, raiseerr=False)
    return mapper if isinstance(mapper, Mapper) else None


def _only_table(mapper: Mapper[Any] | None, entity: object) -> Table:
    if mapper is None:
        raise AuditConfigError(f"{entity!r} is neither a mapped class nor a Table, so it has no history")
    family = list(mapper.self_and_descendants)
    table = mapper.persist_selectable
    # A join of their pasts would read the present for a subclass that SQLAlchemy loads from a table of its own.
    if not isinstance(table, Table) or any(other.persist_selectable is not table for other in family):
        names = sorted({str(part) for other in family for part in other.tables})
        raise AuditConfigError(
            f"class {mapper.class_.__name__} is kept in several tables ({', '.join(names)}); each has a history of "
            "its own, so ask for the tables, Class.__table__, and join what comes of it"
        )
    return table
