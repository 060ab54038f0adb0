"""The controls for the most usual terms, and how they write the same text."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from ...declare.columns import OPERATION_LABELS
from .names import OPERATIONS
from .query import Query
from .scan import quote, scan
from .term import KEYWORDS, Term

_DATE = re.compile(r"(?:\d{4}-\d\d-\d\d)?", re.ASCII)
_WORDS = re.compile(r'"((?:[^"]|"")*)"(?!\S)|(\S+)')


@dataclass(frozen=True)
class Form:
    """What the controls of the search say; ``""`` where one says nothing. Its ``str()`` is the text of the query.

    What a control says takes the place of all that ``rest`` says of the same thing.

    :ivar actor: a username; ``nobody`` for nobody.
    :ivar table: the name of a table.
    :ivar op: ``insert``, ``update``, ``delete``, ``truncate`` or ``baseline``.
    :ivar since: the first day, ``2026-01-31``.
    :ivar until: the last day, which is included.
    :ivar text: words and ``"quoted phrases"`` of free text, all of which occur.
    :ivar rest: the query's other terms, for which there are no controls.

    .. versionadded:: 0.1
    """

    actor: str = ""
    table: str = ""
    op: str = ""
    since: str = ""
    until: str = ""
    text: str = ""
    rest: str = ""

    def __str__(self) -> str:
        terms = list(self._terms())
        rest = _without({term.name for term in terms if term.name}, self.rest)
        return " ".join(filter(None, (*map(str, terms), rest)))

    def _terms(self) -> Iterator[Term]:
        if self.actor:
            yield Term("actor", (None if self.actor == KEYWORDS["actor"] else self.actor,))
        for name, value in (("table", self.table), ("op", self.op), ("at", self._period)):
            if value:
                yield Term(name, (value,))
        for phrase, word in _WORDS.findall(self.text):
            yield Term("", (phrase.replace('""', '"') or word,))

    @property
    def _period(self) -> str:
        if self.since == self.until:
            return self.since
        return f"{self.since}..{self.until}"


def form_of(query: Query) -> Form:
    """The controls that show ``query``: those of its terms that one value says, the others in :attr:`Form.rest`.

    .. versionadded:: 0.1
    """
    actor, table = _sole(query, "actor", _show_actor), _sole(query, "table", str)
    op, period = _sole(query, "op", _show_operation), _sole(query, "at", _show_period)
    since, dots, until = period.partition("..")
    shown = {name for name, value in (("actor", actor), ("table", table), ("op", op), ("at", period)) if value}
    return Form(
        actor=actor,
        table=table,
        op=op,
        since=since,
        until=until if dots else since,
        text=" ".join(_show_word(term) for term in query.terms if _is_word(term)),
        rest=query.text_of(lambda term: not (_is_word(term) or (term.name in shown and not term.is_negated))),
    )


def _sole(query: Query, name: str, show: Callable[[str | None], str]) -> str:
    """What a control shows of the terms ``name``: nothing unless there is one, with one value."""
    terms = [term for term in query.terms if term.name == name and not term.is_negated]
    return show(terms[0].values[0]) if len(terms) == 1 and len(terms[0].values) == 1 else ""


def _show_actor(name: str | None) -> str:
    nobody = KEYWORDS["actor"]
    if name is None:
        return nobody
    return "" if name == nobody else name


def _show_operation(name: str | None) -> str:
    return OPERATION_LABELS[OPERATIONS[name or ""]]


def _show_period(text: str | None) -> str:
    return text if text and all(map(_DATE.fullmatch, text.split(".."))) else ""


def _is_word(term: Term) -> bool:
    return not term.name and not term.is_negated


def _show_word(term: Term) -> str:
    text = term.values[0] or ""
    return quote(text) if text.startswith('"') or re.search(r"\s", text) else text


def _without(names: Collection[str], text: str) -> str:
    """``text`` without its terms of these names, but for those that are excluded."""
    kept = (token for token in scan(text) if token.is_negated or token.name not in names)
    return " ".join(text[token.start : token.end] for token in kept)
