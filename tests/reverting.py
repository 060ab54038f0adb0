"""What the tests of reverts share: tables, and what is in their history."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table, Text

from flask_pg_audit import AuditConflictError
from flask_pg_audit.history.change import Change
from flask_pg_audit.history.feed import read_feed
from flask_pg_audit.history.filter import ChangeFilter
from tests.capture import audited_table, column, install


def note(*columns: Any, metadata: MetaData | None = None, **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    return audited_table(metadata or MetaData(), "note", key, Column("text", Text), *columns, options=options)


def history(engine: Engine, table: Table, **where: Any) -> list[Change]:
    """Oldest first."""
    with engine.connect() as connection:
        changes = read_feed(connection, table.metadata, ChangeFilter(tables=[table], **where), limit=500).changes
    return [*reversed(changes)]


def last(engine: Engine, table: Table, **where: Any) -> Change:
    return history(engine, table, **where)[-1]


def told(reverted: Any) -> list[tuple[Any, ...]]:
    return [(w.table, tuple(w.key.values()), w.operation, w.columns) for w in reverted.writes]


def reasons(conflict: pytest.ExceptionInfo[AuditConflictError]) -> list[tuple[Any, ...]]:
    return [(c.table, tuple(c.key.values()), c.column, c.expected, c.found) for c in conflict.value.conflicts]


def family(engine: Engine, **foreign_key: Any) -> tuple[Table, Table, Table]:
    metadata = MetaData()
    parent = audited_table(metadata, "parent", column("id", Integer, primary_key=True), column("name", Text))
    child = audited_table(
        metadata,
        "child",
        column("id", Integer, primary_key=True),
        Column("parent_id", ForeignKey("parent.id", name="child_parent", **foreign_key)),
        Column("elder_id", ForeignKey("child.id", name="child_elder", **foreign_key)),
    )
    toy = audited_table(
        metadata,
        "toy",
        column("id", Integer, primary_key=True),
        Column("child_id", ForeignKey("child.id", name="toy_child", **foreign_key)),
    )
    install(engine, metadata)
    return parent, child, toy


EVERYTHING = (
    "SELECT 'parent', id, name, NULL::int FROM parent "
    "UNION ALL SELECT 'child', id, parent_id::text, elder_id FROM child "
    "UNION ALL SELECT 'toy', id, child_id::text, NULL FROM toy ORDER BY 1, 2"
)
