"""Values for rows that are inserted, which the history does not have: the caller's, and the model's defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement

from ..errors import AuditConfigError
from .live import LiveTable


@dataclass(frozen=True)
class Supplied:
    """What the caller gave as ``values``: ``"column"``, or ``"table.column"`` if several tables have it."""

    values: Mapping[str, Any] = field(default_factory=dict)

    def check(self, tables: Iterable[LiveTable]) -> None:
        """
        :raises AuditConfigError: a name that none of the tables has.
        """
        known = {name for table in tables for column in table.columns for name in (column, f"{table.name}.{column}")}
        for name in self.values:
            if name not in known:
                raise AuditConfigError(f"values has {name!r}, and no table that is written has that column")

    def given(self, table: LiveTable) -> dict[str, Any]:
        """What the caller gave for columns of ``table``."""
        own = {name: self.values[name] for name in table.columns if name in self.values}
        qualified = ((name, f"{table.name}.{name}") for name in table.columns)
        return own | {name: self.values[full] for name, full in qualified if full in self.values}

    def lacking(self, table: LiveTable, recorded: frozenset[str]) -> list[str]:
        """The columns that an insert would leave null although they must not be."""
        filled = recorded | self.given(table).keys() | _with_default(table).keys()
        required = (c.name for c in table.columns.values() if c.is_not_null and not c.has_default)
        return [name for name in required if name not in filled]

    def constants(self, table: LiveTable, recorded: frozenset[str]) -> dict[str, ColumnElement[Any]]:
        """The values that every inserted row gets."""
        values = {
            name: _element(column.default.arg, column)  # type: ignore[union-attr]
            for name, column in _with_default(table).items()
            if name not in recorded and not column.default.is_callable  # type: ignore[union-attr]
        }
        declared = {column.name: column for column in table.recorded.table.columns}
        values |= {name: _element(value, declared.get(name)) for name, value in self.given(table).items()}
        return values

    def callables(self, table: LiveTable, recorded: frozenset[str]) -> dict[str, Any]:
        """Functions that are called for each row that is inserted."""
        given = self.given(table)
        return {
            name: column.default.arg  # type: ignore[union-attr]
            for name, column in _with_default(table).items()
            if name not in recorded and name not in given and column.default.is_callable  # type: ignore[union-attr]
        }


def _with_default(table: LiveTable) -> dict[str, Column[Any]]:
    """The columns that get a value from the model; a sequence is the database's."""
    return {
        column.name: column
        for column in table.recorded.table.columns
        if column.default is not None and not column.default.is_sequence and column.name in table.columns
    }


def _element(value: Any, column: Column[Any] | None) -> ColumnElement[Any]:
    if isinstance(value, ColumnElement):
        return value
    return sa.literal(value, column.type if column is not None else None)
