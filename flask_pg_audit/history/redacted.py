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
    each = sa.func.unnest(table.c.columns).table_valued(sa.column("name", Text)).render_derived()
    names: sa.Select[Any] = sa.select(sa.func.array_agg(each.c.name.distinct())).select_from(
        table.join(each, sa.true())
    )
    return names.where(*_same_row(table, images)).correlate(images).scalar_subquery()


def is_redacted(recorded: RecordedTable, images: FromClause, column: RecordedColumn) -> ColumnElement[bool]:
    """Whether the value of ``column`` was removed from an image."""
    if not column.is_redacted:
        return sa.false()
    table = redaction_table(recorded.table.metadata).alias()
    is_it = sa.literal(column.name, Text) == sa.any_(table.c.columns)
    found = sa.select(sa.literal(1)).select_from(table).where(*_same_row(table, images), is_it)
    found_any = found.correlate(images).exists()
    return sa.and_(images.c[column.name].is_(None), found_any)


def _same_row(table: FromClause, images: FromClause) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # By the number that the index has; the other one tells a change from a row of audit_view, which has none.
    return table.c.audit_id == images.c.audit_id, table.c.audit_transaction_id == images.c.audit_transaction_id


def masked_names(recorded: RecordedTable, audit_id: int | None) -> frozenset[str]:
    """The columns of which the change has a mask."""
    if audit_id is None:
        return frozenset()
    return frozenset(c.name for c in recorded.columns if any(audit_id in found for found in c.masks))
