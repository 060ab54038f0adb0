"""A term of a query: one condition, as it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from .scan import format_name, format_text, format_value, quote

#: The names whose values may be a word of their own meaning, which in quotes is the text itself.
KEYWORDS = {"actor": "nobody", "actor-id": "nobody", "new": "null", "old": "null"}


@dataclass(frozen=True)
class Term:
    """One condition of a query. Equal to what means the same, wherever it stands.

    :ivar name: ``actor``, ``new.plan``, …; ``""`` for free text.
    :ivar values: what is allowed, one of which the change has; ``None`` for ``nobody`` and ``null``.
    :ivar is_negated: written with ``-``.
    :ivar start: where it begins in the text of the query, in characters from 0.
    :ivar end: where it ends; the first character that does not belong to it.

    .. versionadded:: 0.1
    """

    name: str
    values: tuple[str | None, ...]
    is_negated: bool = False
    start: int = field(default=0, compare=False)
    end: int = field(default=0, compare=False)

    @property
    def kind(self) -> str:
        """The name without a column's."""
        return kind_of(self.name)

    def __str__(self) -> str:
        """As it is written with as few quotes as can be."""
        sign = "-" if self.is_negated else ""
        if not self.name:
            return sign + format_text(self.values[0] or "", self.is_negated)
        return sign + format_name(self.name) + ",".join(map(self._format_value, self.values))

    def _format_value(self, value: str | None) -> str:
        keyword = KEYWORDS.get(self.kind)
        if value is None:
            return keyword or ""
        return quote(value) if value == keyword else format_value(value)


def kind_of(name: str) -> str:
    """A name without a column's: ``new`` for ``new.plan``."""
    beginning, dot, _ = name.partition(".")
    return beginning if dot and beginning in ("new", "old") else name
