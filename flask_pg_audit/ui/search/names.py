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
from ..language import gettext, message
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
        raise NotUnderstood(gettext("there is no text to search for between the quotes"))
    return (ChangeFilter(text=_texts_of(term)),)


def _read_tables(term: Term, sight: Sight) -> Parts:
    return (ChangeFilter(tables=tuple(sight.table(name).table.key for name in _texts_of(term))),)


def _read_operations(term: Term, sight: Sight) -> Parts:
    for name in _texts_of(term):
        if name not in OPERATIONS:
            labels = [f"{label} ({letter})" for letter, label in OPERATION_LABELS.items()]
            problem = gettext("there is no operation %(name)s", name=repr(name))
            raise unknown(problem, name, labels, list(OPERATION_LABELS.values()))
    return (ChangeFilter(operations=tuple(OPERATIONS[name] for name in _texts_of(term))),)


def _read_transactions(term: Term, sight: Sight) -> Parts:
    for text in _texts_of(term):
        if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > _MAX_TRANSACTION:
            problem = gettext(
                "%(text)s is no transaction; it is a whole number from 0 to %(most)s",
                text=repr(text),
                most=_MAX_TRANSACTION,
            )
            raise NotUnderstood(problem)
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
        raise NotUnderstood(
            gettext("%(problem)s; a time is %(forms)s", problem=problem, forms=gettext(FORMS))
        ) from problem
    return tuple(ChangeFilter(since=period.start, until=period.end) for period in periods)


def _read_key(term: Term, sight: Sight) -> Parts:
    if len(sight.tables) != 1:
        raise NotUnderstood(gettext("a key is that of one table; name it: %(form)s", form="table:NAME key:VALUE"))
    [table] = sight.tables
    if not table.key_names or not set(table.key_names) <= set(table.column_names):
        raise NotUnderstood(gettext('the records of "%(table)s" have no key to find them by', table=table.table.key))
    try:
        key = parse_key(table.audited, format_key(_texts_of(term)))
    except AuditConfigError as problem:
        raise NotUnderstood(str(problem)) from problem
    return (ChangeFilter(key={name: _within_its_type(table, name, value) for name, value in key.items()}),)


def _within_its_type(table: RecordedTable, name: str, value: Any) -> Any:
    """PostgreSQL refuses to compare what a column cannot hold."""
    bits = _bits(table.column(name).type)
    if isinstance(value, int) and not -(2**bits) <= value < 2**bits:
        column = f"{table.table.key}.{name}"
        raise NotUnderstood(gettext("%(value)s is too large for %(column)s", value=value, column=column))
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        try:
            return value.astimezone(datetime.timezone.utc)
        except OverflowError as problem:
            raise NotUnderstood(gettext("%(value)s is too early or too late", value=value)) from problem
    return value


def _bits(type_: Any) -> int:
    plain = type_.impl_instance if isinstance(type_, sa.TypeDecorator) else type_
    if isinstance(plain, sa.SmallInteger):
        return 15
    return 63 if isinstance(plain, sa.BigInteger) else 31


_NAMES: Mapping[str, _Name] = {
    "": _Name(message("text that occurs in a value"), _read_text),
    "actor": _Name(message("who was logged in; nobody"), _each(lambda name: ChangeFilter(username=name))),
    "actor-id": _Name(message("the same by id"), _each(lambda id_: ChangeFilter(actor_id=id_))),
    "table": _Name(message("the table"), _read_tables),
    "op": _Name(message("insert, update, delete, truncate or baseline"), _read_operations),
    "changed": _Name(message("a column that an update changed"), _read_changed),
    "new": _Name(message("the value of a column since; null"), _read_new),
    "old": _Name(message("the value of a column before; null"), _read_old),
    "key": _Name(message("the primary key of a record, with one table"), _read_key),
    "at": _Name(message("when"), _read_period),
    "transaction": _Name(message("the number of the transaction"), _read_transactions),
    "request": _Name(message("the id of the request"), _each(lambda id_: ChangeFilter(request_id=id_))),
    "ip": _Name(message("the address that the request came from"), _in_context("remote_addr")),
    "path": _Name(message("the path of the request"), _in_context("path")),
    "endpoint": _Name(message("the endpoint of the request"), _in_context("endpoint")),
    "reason": _Name(message("why, as the program said"), _in_context("reason")),
    "role": _Name(message("the database role"), _each(lambda role: ChangeFilter(role=role))),
}

#: What can be before a colon, with a few words on each; they are for ``gettext()``.
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
        form = f"{term.name}.COLUMN"
        problem = gettext("%(name)s is followed by a column: %(form)s", name=term.name, form=f"{form}:VALUE")
        return NotUnderstood(problem, form)
    unknown_name = unknown(gettext("there is no condition %(name)s", name=repr(term.name)), term.name, list(NAMES))
    sentences = gettext("%(problem)s. Text with a colon is written in quotes", problem=unknown_name)
    return NotUnderstood(sentences, unknown_name.suggestion)
