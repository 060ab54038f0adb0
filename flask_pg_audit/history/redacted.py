"""From which recorded changes values were removed: what ``audit_redaction`` tells.

Columns of which nothing was removed are marked as such, so that for them nobody looks there.

``audit_redaction`` has the names that columns had then. Where it has one that the table does not have, that column was
renamed, and may be any of the marked ones: then a null in each of these may be what was removed, and counts as that.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, Text
from sqlalchemy.dialects.postgresql import ARRAY, array

from ..declare.registry import redaction_table
from .recorded import RecordedColumn, RecordedTable


def redacted_names(recorded: RecordedTable, images: FromClause) -> ColumnElement[Any]:
    """The names of the columns whose values were removed from an image, as an array; null for none."""
    if not any(column.is_redacted for column in recorded.columns):
        return sa.cast(sa.null(), ARRAY(Text))
    table = redaction_table(recorded.table.metadata).alias()
    marked = [
        sa.case((images.c[column.name].is_(None), sa.literal(column.name, Text)))
        for column in recorded.columns
        if column.is_redacted
    ]
    maybe = sa.case((_has_renamed(recorded, table), array(marked)), else_=sa.cast(sa.literal("{}"), ARRAY(Text)))
    both = table.c.columns + sa.func.array_remove(maybe, sa.null(), type_=ARRAY(Text))
    each = sa.func.unnest(both).table_valued(sa.column("name", Text)).render_derived()
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
    is_it = sa.or_(is_it, _has_renamed(recorded, table))
    found = sa.select(sa.literal(1)).select_from(table).where(*_same_row(table, images), is_it)
    found_any = found.correlate(images).exists()
    return sa.and_(images.c[column.name].is_(None), found_any)


def _has_renamed(recorded: RecordedTable, table: FromClause) -> ColumnElement[bool]:
    """Whether a row of ``audit_redaction`` names a column that there is no more."""
    names = array([column.name for column in (*recorded.columns, *recorded.hidden)], type_=Text)
    has_all: ColumnElement[bool] = table.c.columns.contained_by(sa.cast(names, ARRAY(Text)))
    return sa.not_(has_all)


def _same_row(table: FromClause, images: FromClause) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # By the number that the index has; the other one tells a change from a row of audit_view, which has none.
    return table.c.audit_id == images.c.audit_id, table.c.audit_transaction_id == images.c.audit_transaction_id


def masked_names(recorded: RecordedTable, audit_id: int | None) -> frozenset[str]:
    """The columns of which the change has a mask."""
    if audit_id is None:
        return frozenset()
    return frozenset(c.name for c in recorded.columns if any(audit_id in found for found in c.masks))
