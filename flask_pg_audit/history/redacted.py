"""From which recorded changes values were removed: what ``audit_redaction`` tells.

Columns of which nothing was removed are marked as such, so that for them nobody looks there.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Text
from sqlalchemy.dialects.postgresql import ARRAY

from ..declare.registry import redaction_table
from .recorded import RecordedColumn, RecordedTable


def redacted_names(recorded: RecordedTable, images: FromClause) -> ColumnElement[Any]:
    """The names of the columns whose values were removed from an image, as an array; null for none."""
    if not any(column.is_redacted for column in recorded.columns):
        return sa.cast(sa.null(), ARRAY(Text))
    table = redaction_table(recorded.table.metadata).alias()
    name = sa.func.unnest(table.c.columns).column_valued("name")
    names = sa.select(sa.func.array_agg(name.distinct())).select_from(table).join(name, sa.true())
    return names.where(table.c.audit_id == images.c.audit_id).correlate(images).scalar_subquery()


def is_redacted(recorded: RecordedTable, images: FromClause, column: RecordedColumn) -> ColumnElement[bool]:
    """Whether the value of ``column`` was removed from an image."""
    if not column.is_redacted:
        return sa.false()
    table = redaction_table(recorded.table.metadata).alias()
    is_it = (table.c.audit_id == images.c.audit_id, sa.literal(column.name, Text) == sa.any_(table.c.columns))
    found = sa.select(sa.literal(1)).select_from(table).where(*is_it).correlate(images).exists()
    return sa.and_(images.c[column.name].is_(None), found)


def masked_names(recorded: RecordedTable, audit_id: int | None) -> frozenset[str]:
    """The columns of which the change has a mask."""
    if audit_id is None:
        return frozenset()
    return frozenset(c.name for c in recorded.columns if any(audit_id in found for found in c.masks))
