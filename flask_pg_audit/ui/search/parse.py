"""From a text to a query: never an exception, whatever the text."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from ...history.filter import ChangeFilter
from ...history.recorded import RecordedTable
from ..language import gettext, ngettext
from ..numbers import format_number
from .build import Builder
from .query import Mistake, Query
from .scan import Token, scan
from .sight import NotUnderstood, Sight
from .term import KEYWORDS, Term, kind_of

#: Characters of a query.
MAX_LENGTH = 2000

#: Terms of a query; each value of a term counts.
MAX_VALUES = 50


def parse(text: str, tables: Iterable[RecordedTable], zone: datetime.tzinfo, now: datetime.datetime) -> Query:
    """Read what somebody typed. What cannot be read is in :attr:`Query.errors`; nothing is raised.

    :param tables: those that the reader sees, without the columns that are hidden from them: nothing else is found,
        named in an error, or told from what does not exist.
    :param zone: the reader's; dates are days there.
    :param now: the time, with a time zone, for ``today`` and the like.

    .. versionadded:: 0.1
    """
    if len(text) > MAX_LENGTH:
        problem = ngettext(
            "the query has %(num)s character; it may have %(most)s",
            "the query has %(num)s characters; it may have %(most)s",
            len(text),
            most=format_number(MAX_LENGTH),
        )
        return Query(text, (), (Mistake(text, 0, len(text), problem),), ChangeFilter())
    terms, mistakes = _read_terms(text)
    builder = Builder(Sight(tuple(tables), zone, now))
    where = builder.build(terms)
    mistakes += [_mistake(text, term.start, term.end, problem) for term, problem in builder.failures]
    failed = {term.start for term, _ in builder.failures}
    good = tuple(term for term in terms if term.start not in failed)
    return Query(text, good, tuple(sorted(mistakes, key=lambda mistake: mistake.start)), where)


def _read_terms(text: str) -> tuple[list[Term], list[Mistake]]:
    terms, mistakes, count = [], [], 0
    for token in scan(text):
        count += max(1, len(token.values))
        if count > MAX_VALUES:
            problem = gettext(
                "a query may have %(most)s terms, each value counts; this is not searched for", most=MAX_VALUES
            )
            mistakes.append(_mistake(text, token.start, len(text), NotUnderstood(problem)))
            break
        try:
            terms.append(_read_term(text, token))
        except NotUnderstood as failure:
            mistakes.append(_mistake(text, token.start, token.end, failure))
    return terms, mistakes


def _read_term(text: str, token: Token) -> Term:
    if token.problem is not None:
        raise NotUnderstood(token.problem)
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text[token.start : token.end]):
        raise NotUnderstood(gettext("there is a character that PostgreSQL keeps in no text"))
    keyword = KEYWORDS.get(kind_of(token.name))
    values = tuple(None if v.text == keyword and not v.is_quoted else v.text for v in token.values)
    return Term(token.name, values, token.is_negated, token.start, token.end)


def _mistake(text: str, start: int, end: int, problem: NotUnderstood) -> Mistake:
    return Mistake(text[start:end], start, end, str(problem), problem.suggestion)
