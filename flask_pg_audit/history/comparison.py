"""Conditions on one column: that it has a value, and that a text occurs in it."""

from __future__ import annotations

import decimal
import re
import uuid
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
    value = _typed(type_, value)
    if not _suits(type_, value):
        return sa.cast(column, Text) == str(value)
    if isinstance(value, int) and not -_limit(type_) <= value < _limit(type_):
        return sa.false()
    if not has_equality(type_):
        return sa.cast(column, Text) == sa.cast(sa.literal(value, type_), Text)
    same: ColumnElement[bool] = column == value
    return same


def _python_type(type_: Any) -> type[Any] | None:
    try:
        found: type[Any] = type_.python_type
    except NotImplementedError:
        return None
    return found


def _typed(type_: Any, value: Any) -> Any:
    """What a text is for a column of whole numbers or UUIDs: these are keys, which an index finds by their value."""
    parse = {int: int, uuid.UUID: uuid.UUID}.get(_python_type(type_) or str)
    if not isinstance(value, str) or parse is None:
        return value
    try:
        typed = parse(value)
    except ValueError:
        return value
    return typed if str(typed) == value else value


def _suits(type_: Any, value: Any) -> bool:
    """Whether PostgreSQL can compare the two without being told how."""
    if isinstance(value, str):
        return isinstance(type_, String) and not isinstance(type_, EnumType)
    if isinstance(type_, sa.TypeDecorator):
        return True  # it knows what it takes
    python = _python_type(type_)
    if python is None or isinstance(type_, (EnumType, sa.JSON)):
        return True
    if isinstance(value, bool) or python is bool:
        return isinstance(value, bool) and python is bool
    numbers = (int, float, decimal.Decimal)
    return isinstance(value, numbers) if python in numbers else isinstance(value, python)


def _limit(type_: Any) -> float:
    bits = 16 if isinstance(type_, sa.SmallInteger) else 64 if isinstance(type_, sa.BigInteger) else 32
    return 2.0 ** (bits - 1) if isinstance(type_, sa.Integer) else float("inf")


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
