"""Columns that the ORM counts an object's versions in (``version_id_col``), and those that every update sets.

A version must not go back: a session that loaded the object long ago would take it for the one that it knows, and
overwrite it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Integer, Table
from sqlalchemy.orm import Mapper
from sqlalchemy.orm.mapper import _all_registries


@dataclass(frozen=True)
class VersionColumn:
    """The version column of a table.

    :ivar next: makes the next version of one, or the first one of ``None``; ``None`` if the server does.
    :ivar is_counter: the next version is the version plus one.
    """

    name: str
    next: Callable[[Any], Any] | None
    is_counter: bool


def mappers_of(table: Table) -> Iterator[Mapper[Any]]:
    """The mappers of the classes that are stored in ``table``, as a whole or in part."""
    # There is no public way from a table to its classes, and a change names its table only.
    for registry in _all_registries():
        for mapper in registry.mappers:
            if table in mapper.tables:
                yield mapper


def version_of(table: Table) -> VersionColumn | None:
    """The column of ``table`` in which an object's versions are counted; ``None`` without one."""
    for mapper in mappers_of(table):
        column = mapper.version_id_col
        if isinstance(column, Column) and column.table is table:
            generator = mapper.version_id_generator
            next_ = generator if callable(generator) else None
            return VersionColumn(column.name, next_, next_ is not None and _is_counter(column, next_))
    return None


def _is_counter(column: ColumnElement[Any], next_: Callable[[Any], Any]) -> bool:
    return isinstance(column.type, Integer) and next_(41) == 42


def set_by_every_update(table: Table) -> frozenset[str]:
    """Columns with ``onupdate``: that they differ says that there was another update, and not of what."""
    return frozenset(c.name for c in table.columns if c.onupdate is not None or c.server_onupdate is not None)
