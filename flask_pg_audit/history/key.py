"""Primary keys, as a caller gives them and as a person types them."""

from __future__ import annotations

import csv
import datetime
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Table

from ..declare.registry import AuditedTable
from ..errors import AuditConfigError

#: What PostgreSQL writes at the end of a time, and Python reads from 3.11 on only.
_FRACTION, _WHOLE_HOURS = re.compile(r"\.(\d{1,6})"), re.compile(r"(:\d\d(?:\.\d+)?[+-]\d\d)$")


def _parse_datetime(text: str) -> datetime.datetime:
    padded = _FRACTION.sub(lambda match: f".{match[1]:0<6}", text)
    return datetime.datetime.fromisoformat(_WHOLE_HOURS.sub(r"\1:00", padded))


#: From text to a value of the column's Python type; other types keep the text.
_PARSERS: Mapping[type, Callable[[str], Any]] = {
    int: int,
    uuid.UUID: uuid.UUID,
    datetime.date: datetime.date.fromisoformat,
    datetime.datetime: _parse_datetime,
}


def key_of(audited: AuditedTable, key: object) -> dict[str, Any]:
    """The primary key's columns and values out of what a caller gives: a value, a sequence, a mapping, an instance.

    :raises AuditConfigError: the table has no primary key, or ``key`` has other columns or another number of values.
    """
    columns = audited.key_columns
    if not columns:
        raise AuditConfigError(
            f'the table "{audited.table.fullname}" has no primary key, so its history knows no single record'
        )
    if isinstance(key, Mapping):
        return _of_mapping(audited, key)
    instance: Any = sa.inspect(key, raiseerr=False) if not isinstance(key, (str, int, tuple, list)) else None
    if instance is not None and hasattr(instance, "mapper"):
        return _of_instance(audited, key, instance.mapper)
    values = key if isinstance(key, (tuple, list)) else (key,)
    if len(values) != len(columns):
        raise AuditConfigError(_mismatch(audited, key))
    return {column.name: value for column, value in zip(columns, values, strict=True)}


def _of_mapping(audited: AuditedTable, key: Mapping[str, Any]) -> dict[str, Any]:
    names = [column.name for column in audited.key_columns]
    if set(key) != set(names):
        raise AuditConfigError(_mismatch(audited, dict(key)))
    return {name: key[name] for name in names}


def _of_instance(audited: AuditedTable, instance: object, mapper: Any) -> dict[str, Any]:
    return {c.name: getattr(instance, mapper.get_property_by_column(c).key) for c in audited.key_columns}


def _mismatch(audited: AuditedTable, key: object) -> str:
    names = ", ".join(column.name for column in audited.key_columns)
    return f'{key!r} is no key of "{audited.table.fullname}", whose primary key is {names}'


def parse_key(audited: AuditedTable, text: str) -> dict[str, Any]:
    """A key as a person types it: values separated by commas, each quoted with ``"`` where it has one itself.

    :raises AuditConfigError: it has another number of values, or one that is none of the column's type.
    """
    try:
        values = next(csv.reader([text]), [])
    except csv.Error as error:
        raise AuditConfigError(f"{text!r} is no list of values: {error}") from error
    key = key_of(audited, values)
    return {name: _parse(audited.table, name, value) for name, value in key.items()}


def _parse(table: Table, name: str, text: str) -> Any:
    column = next(column for column in table.columns if column.name == name)
    try:
        type_ = column.type.python_type
    except NotImplementedError:
        return text
    try:
        return _PARSERS.get(type_, str)(text)
    except ValueError as error:
        raise AuditConfigError(f"{text!r} is no {type_.__name__}, as {table.fullname}.{name} is") from error


def format_key(values: Sequence[object]) -> str:
    """The inverse of :func:`parse_key`."""
    return ",".join(_quote(str(value)) for value in values)


def _quote(text: str) -> str:
    needs_quotes = not text or any(character in text for character in ',"\r\n')
    return '"' + text.replace('"', '""') + '"' if needs_quotes else text
