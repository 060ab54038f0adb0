"""Whether two stored values differ, asked of PostgreSQL."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Text, cast, collate
from sqlalchemy.types import TypeDecorator


def differ(now: ColumnElement[Any], then: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether two values are written differently: json, xml and point have no equality (trap T7).

    Byte by byte, since a column's own collation may hold different texts for equal.
    """
    if is_binary(now):
        return now.is_distinct_from(then)
    return as_bytes(now).is_distinct_from(as_bytes(then))


def as_bytes(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """The value as text that is compared byte by byte."""
    return collate(cast(value, Text), "C")


def is_binary(value: ColumnElement[Any]) -> bool:
    """Whether it is a ``bytea``, whose text would take twice the space."""
    type_ = value.type
    return isinstance(type_.impl_instance if isinstance(type_, TypeDecorator) else type_, LargeBinary)
