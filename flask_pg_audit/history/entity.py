"""From a mapped class, an instance or a table to the audited table that has its history."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, inspect
from sqlalchemy.orm import Mapper

from ..declare.registry import AuditedTable, audited_tables
from ..errors import AuditConfigError


def find_table(entity: object) -> Table:
    """The table of ``entity``: a ``Table``, a mapped class, or an instance of one.

    :raises AuditConfigError: it is none of these, or mapped to several tables or to something that is no table.
    """
    if isinstance(entity, Table):
        return entity
    inspected: Any = inspect(entity, raiseerr=False)
    mapper = getattr(inspected, "mapper", None)
    if isinstance(mapper, Mapper) and isinstance(mapper.local_table, Table):
        if len(mapper.tables) > 1:
            names = ", ".join(sorted(str(table) for table in mapper.tables))
            raise AuditConfigError(
                f"class {mapper.class_.__name__} is kept in several tables ({names}); each has a history of its "
                "own, so ask for the tables, Class.__table__, with the key"
            )
        return mapper.local_table
    raise AuditConfigError(f"{entity!r} is neither a Table, nor a mapped class, nor an instance of one")


def find_audited(entity: object) -> AuditedTable:
    """How the table of ``entity`` is audited.

    :raises AuditConfigError: it is not.
    """
    table = find_table(entity)
    for audited in audited_tables(table.metadata):
        if audited.table is table:
            return audited
    names = ", ".join(audited.table.fullname for audited in audited_tables(table.metadata)) or "none"
    raise AuditConfigError(f'the table "{table.fullname}" is not audited; audited are: {names}')


def audited_table_of(entity: type[Any] | Mapper[Any] | Table) -> AuditedTable:
    """The audited table of a mapped class, a mapper or a table.

    :raises AuditConfigError: it is none of these, it is not audited, or its class is spread over several tables.
    """
    return find_audited(entity if isinstance(entity, Table) else _only_table(mapper_of(entity), entity))


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
