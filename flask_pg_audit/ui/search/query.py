"""A query: its terms, what is wrong with it, the filter it means, and the texts that lead from it to others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ...history.filter import ChangeFilter
from .term import Term


@dataclass(frozen=True)
class Mistake:
    """A part of a query that says nothing. Equal to the same part elsewhere.

    :ivar source: the part.
    :ivar start: where it begins in the text of the query, in characters from 0.
    :ivar end: where it ends; the first character that does not belong to it.
    :ivar message: what is wrong, and what is allowed.
    :ivar suggestion: what may be meant, in place of the name or the value; ``None`` if nothing is like it.

    .. versionadded:: 0.1
    """

    source: str
    start: int = field(compare=False)
    end: int = field(compare=False)
    message: str = field(compare=False)
    suggestion: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Query:
    """What a text asks for. Its ``str()`` is the same query with as few characters as can be.

    :ivar text: as it was written.
    :ivar terms: what could be read, in order.
    :ivar errors: what could not, in order.
    :ivar where: the changes that ``terms`` ask for.

    .. versionadded:: 0.1
    """

    text: str = field(compare=False)
    terms: tuple[Term, ...]
    errors: tuple[Mistake, ...]
    where: ChangeFilter

    def __str__(self) -> str:
        return self.text_of(lambda term: True)

    def text_of(self, is_kept: Callable[[Term], bool]) -> str:
        """The text of the query with those of its terms that are kept, and with its mistakes."""
        kept: list[Term | Mistake] = [*filter(is_kept, self.terms), *self.errors]
        parts = sorted(kept, key=lambda part: part.start)
        return " ".join(part.source if isinstance(part, Mistake) else str(part) for part in parts)

    def without(self, term: Term) -> str:
        """The text of the query without ``term``."""
        return self.text_of(lambda other: other != term)

    def with_term(self, name: str, value: str | None) -> str:
        """The text of the query for changes with this value, in place of what it says about ``name``.

        Free text, whose name is ``""``, is added to what there is.

        :param value: ``None`` for ``nobody`` and ``null``.
        """
        term = Term(name, (value,))
        rest = self.text_of(lambda other: other.name != name if name else other != term)
        # In front: a quotation that is not closed would swallow it.
        return f"{term} {rest}" if rest else str(term)
