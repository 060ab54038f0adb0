"""The names that terms have: each reads its values into filters, any of which a change may meet."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa

from ...declare.columns import OPERATION_LABELS
from ...errors import AuditConfigError
from ...history.filter import ChangeFilter
from ...history.key import format_key, parse_key
from ...history.recorded import RecordedTable
from .period import FORMS, NoTime, parse_period
from .sight import NotUnderstood, Sight, unknown
from .term import Term

Parts: TypeAlias = tuple[ChangeFilter, ...]

#: What an operation may be called, and its letter.
OPERATIONS: Mapping[str, str] = {
    name: letter for letter, label in OPERATION_LABELS.items() for name in (label, letter, letter.lower())
}

_MAX_TRANSACTION = 2**63 - 1


@dataclass(frozen=True)
class _Name:
    description: str
    read: Callable[[Term, Sight], Parts]


def _each(build: Callable[[Any], ChangeFilter]) -> Callable[[Term, Sight], Parts]:
    return lambda term, sight: tuple(map(build, term.values))


def _in_context(key: str) -> Callable[[Term, Sight], Parts]:
    return _each(lambda value: ChangeFilter(context={key: value}))


def _texts_of(term: Term) -> tuple[str, ...]:
    return tuple(value for value in term.values if value is not None)


def _read_text(term: Term, sight: Sight) -> Parts:
    if "" in term.values:
        raise NotUnderstood("there is no text to search for between the quotes")
    return (ChangeFilter(text=_texts_of(term)),)


def _read_tables(term: Term, sight: Sight) -> Parts:
    return (ChangeFilter(tables=tuple(sight.table(name).table.key for name in _texts_of(term))),)


def _read_operations(term: Term, sight: Sight) -> Parts:
    for name in _texts_of(term):
        if name not in OPERATIONS:
            labels = [f"{label} ({letter})" for letter, label in OPERATION_LABELS.items()]
            raise unknown("operation", name, labels, list(OPERATION_LABELS.values()))
    return (ChangeFilter(operations=tuple(OPERATIONS[name] for name in _texts_of(term))),)


def _read_transactions(term: Term, sight: Sight) -> Parts:
    for text in _texts_of(term):
        if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > _MAX_TRANSACTION:
            raise NotUnderstood(f"{text!r} is no transaction; it is a whole number from 0 to {_MAX_TRANSACTION}")
    return tuple(ChangeFilter(transaction_id=int(text)) for text in _texts_of(term))


def _read_changed(term: Term, sight: Sight) -> Parts:
    return tuple(
        ChangeFilter(tables=() if table is None else (table.table.key,), changed=(column,))
        for name in _texts_of(term)
        for table, column in sight.columns(name)
    )


def _read_new(term: Term, sight: Sight) -> Parts:
    column = term.name.partition(".")[2]
    sight.check_column(column)
    return tuple(ChangeFilter(new={column: value}) for value in term.values)


def _read_old(term: Term, sight: Sight) -> Parts:
    column = term.name.partition(".")[2]
    sight.check_column(column)
    return tuple(ChangeFilter(old={column: value}) for value in term.values)


def _read_period(term: Term, sight: Sight) -> Parts:
    try:
        periods = [parse_period(text, sight.zone, sight.now) for text in _texts_of(term)]
    except NoTime as problem:
        raise NotUnderstood(f"{problem}; a time is {FORMS}") from problem
    return tuple(ChangeFilter(since=period.start, until=period.end) for period in periods)


def _read_key(term: Term, sight: Sight) -> Parts:
    if len(sight.tables) != 1:
        raise NotUnderstood("a key is that of one table; name it: table:NAME key:VALUE")
    [table] = sight.tables
    if not table.key_names or not set(table.key_names) <= set(table.column_names):
        raise NotUnderstood(f'the records of "{table.table.key}" have no key to find them by')
    try:
        key = parse_key(table.audited, format_key(_texts_of(term)))
    except AuditConfigError as problem:
        raise NotUnderstood(str(problem)) from problem
    return (ChangeFilter(key={name: _within_its_type(table, name, value) for name, value in key.items()}),)


def _within_its_type(table: RecordedTable, name: str, value: Any) -> Any:
    """PostgreSQL refuses to compare what a column cannot hold."""
    bits = _bits(table.column(name).type)
    if isinstance(value, int) and not -(2**bits) <= value < 2**bits:
        raise NotUnderstood(f"{value} is too large for {table.table.key}.{name}")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        try:
            return value.astimezone(datetime.timezone.utc)
        except OverflowError as problem:
            raise NotUnderstood(f"{value} is too early or too late") from problem
    return value


def _bits(type_: Any) -> int:
    plain = type_.impl_instance if isinstance(type_, sa.TypeDecorator) else type_
    if isinstance(plain, sa.SmallInteger):
        return 15
    return 63 if isinstance(plain, sa.BigInteger) else 31


_NAMES: Mapping[str, _Name] = {
    "": _Name("text that occurs in a value", _read_text),
    "actor": _Name("who was logged in; nobody", _each(lambda name: ChangeFilter(username=name))),
    "actor-id": _Name("the same by id", _each(lambda id_: ChangeFilter(actor_id=id_))),
    "table": _Name("the table", _read_tables),
    "op": _Name("insert, update, delete, truncate or baseline", _read_operations),
    "changed": _Name("a column that an update changed", _read_changed),
    "new": _Name("the value of a column since; null", _read_new),
    "old": _Name("the value of a column before; null", _read_old),
    "key": _Name("the primary key of a record, with one table", _read_key),
    "at": _Name("when", _read_period),
    "transaction": _Name("the number of the transaction", _read_transactions),
    "request": _Name("the id of the request", _each(lambda id_: ChangeFilter(request_id=id_))),
    "ip": _Name("the address that the request came from", _in_context("remote_addr")),
    "path": _Name("the path of the request", _in_context("path")),
    "endpoint": _Name("the endpoint of the request", _in_context("endpoint")),
    "reason": _Name("why, as the program said", _in_context("reason")),
    "role": _Name("the database role", _each(lambda role: ChangeFilter(role=role))),
}

#: What can be before a colon, with a few words on each.
NAMES: Mapping[str, str] = {
    f"{name}.COLUMN" if name in ("new", "old") else name: known.description for name, known in _NAMES.items() if name
}


def read_term(term: Term, sight: Sight) -> Parts:
    """The filters, one of which a change has to meet for ``term``.

    :raises NotUnderstood: there is no such name, or a value says nothing.
    """
    name = _NAMES.get(term.kind)
    if name is None or term.name in ("new", "old"):
        raise _unknown_name(term)
    return name.read(term, sight)


def _unknown_name(term: Term) -> NotUnderstood:
    if term.name in ("new", "old"):
        return NotUnderstood(f"{term.name} is followed by a column: {term.name}.COLUMN:VALUE", f"{term.name}.COLUMN")
    problem = unknown("condition", term.name, list(NAMES))
    return NotUnderstood(f"{problem}. Text with a colon is written in quotes", problem.suggestion)
