"""Conditions on one column: that it has a value, and that a text occurs in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, String, Text
from sqlalchemy.types import Enum as EnumType

from ..declare.tables import INDEXED_LENGTH, indexed_part
from .equality import is_binary


def has_value(column: ColumnElement[Any], type_: Any, value: Any) -> ColumnElement[bool]:
    """Typed where the value is, so that an index serves; else as text."""
    if value is None:
        return column.is_(None)
    is_text = isinstance(type_, String) and not isinstance(type_, EnumType)
    if isinstance(value, str) and not is_text:
        return sa.cast(column, Text) == value
    if not has_equality(type_):
        return sa.cast(column, Text) == sa.cast(sa.literal(value, type_), Text)
    same: ColumnElement[bool] = column == value
    return same


def has_equality(type_: Any) -> bool:
    """Whether PostgreSQL can compare values of the type with ``=``; json, xml and point cannot be (trap T7)."""
    return not isinstance(type_, (sa.JSON, sa.types.UserDefinedType)) or isinstance(type_, sa.dialects.postgresql.JSONB)


def has_long_value(column: ColumnElement[Any], value: str) -> Iterator[ColumnElement[bool]]:
    """As the index on the beginning of a text can find it."""
    yield indexed_part(column) == indexed_part(sa.literal(value, Text))
    # Said twice where once is enough, PostgreSQL expects far fewer rows than there are.
    if len(value) >= INDEXED_LENGTH:
        yield column == value


def has_text(columns: Sequence[ColumnElement[Any]], text: str) -> ColumnElement[bool]:
    """Whether ``text`` occurs in what PostgreSQL writes for one of ``columns``; upper and lower case are the same.

    A ``bytea`` is no text. NULL where none of the columns has a value.
    """
    # One parameter for all columns: psycopg 3 sends no more than 65,535.
    pattern = sa.literal(f"%{_escape(text)}%", Text)
    return sa.or_(sa.false(), *(_as_text(column).ilike(pattern) for column in columns if not is_binary(column)))


def _escape(text: str) -> str:
    return re.sub(r"[\\%_]", r"\\\g<0>", text)


def _as_text(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Under the database's collation: PostgreSQL finds no pattern in a column whose own is not deterministic."""
    return sa.collate(sa.cast(column, Text), "default")
