"""From terms to one filter: names that are repeated mean one of their values, different names all of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

from ...history.filter import ChangeFilter
from ...history.recorded import RecordedTable
from ..language import gettext
from .names import Parts, read_term
from .sight import NotUnderstood, Sight
from .term import Term

_EVERYTHING = ChangeFilter()


@dataclass(frozen=True)
class _Group:
    """Terms of one name, and the filters, one of which a change has to meet."""

    terms: tuple[Term, ...]
    parts: Parts

    def concerns(self, table: RecordedTable) -> bool:
        return any(part.concerns(table) for part in self.parts)


@dataclass
class Builder:
    """Reads the terms of one query.

    :ivar failures: the terms that say nothing, each with the reason.
    """

    sight: Sight
    failures: list[tuple[Term, NotUnderstood]] = field(default_factory=list)

    def build(self, terms: Sequence[Term]) -> ChangeFilter:
        """The filter for the terms that could be read; :meth:`~ChangeFilter.chosen` finds tables for it."""
        read = [(term, self._read(term)) for term in terms if term.name == "table"]
        tables = self._choose(part for term, parts in read if not term.is_negated for part in parts)
        read += [(term, self._read(term)) for term in terms if term.name != "table"]
        where = ChangeFilter(
            tables=tables, excluding=tuple(part for term, parts in read if term.is_negated for part in parts)
        )
        for group in _grouped((term, parts) for term, parts in read if not term.is_negated and term.name != "table"):
            if self._take(group):
                where = _narrowed(where, group.parts)
        return where

    def _read(self, term: Term) -> Parts:
        try:
            return read_term(term, self.sight)
        except NotUnderstood as problem:
            self.failures.append((term, problem))
            return ()

    def _choose(self, parts: Iterable[ChangeFilter]) -> tuple[object, ...]:
        """The tables that are asked for; columns and keys are then asked of these."""
        names = tuple(dict.fromkeys(name for part in parts for name in part.tables))
        if names:
            tables = tuple(table for table in self.sight.tables if table.table.key in names)
            self.sight = replace(self.sight, tables=tables)
        return names

    def _take(self, group: _Group) -> bool:
        tables = tuple(table for table in self.sight.tables if group.concerns(table))
        if self.sight.tables and not tables:
            problem = NotUnderstood(gettext("no table has both this and what the other terms ask for"))
            self.failures.extend((term, problem) for term in group.terms)
            return False
        self.sight = replace(self.sight, tables=tables)
        return True


def _grouped(read: Iterable[tuple[Term, Parts]]) -> Iterator[_Group]:
    groups: dict[object, _Group] = {}
    for term, parts in read:
        if parts:
            # All words of free text have to occur.
            key = term if not term.name else term.name
            group = groups.get(key, _Group((), ()))
            groups[key] = _Group((*group.terms, term), (*group.parts, *parts))
    yield from groups.values()


def _narrowed(where: ChangeFilter, parts: Parts) -> ChangeFilter:
    """``where``, and one of ``parts``; a single one by its own field, so that an index serves."""
    if len(parts) == 1 and not parts[0].tables:
        return _merged(where, parts[0])
    return replace(where, any_of=(*where.any_of, parts))


def _merged(where: ChangeFilter, part: ChangeFilter) -> ChangeFilter:
    merged = {}
    for condition in fields(part):
        name = condition.name
        value, before = getattr(part, name), getattr(where, name)
        if value != getattr(_EVERYTHING, name):
            if isinstance(value, dict):
                value = {**before, **value}
            elif isinstance(value, tuple):
                value = (*before, *value)
            merged[name] = value
    return replace(where, **merged)
