"""A stored value as PostgreSQL writes it, or part of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import JSON, Boolean, Enum, LargeBinary, String
from sqlalchemy.types import TypeDecorator, TypeEngine

#: What a value is to those who look at it: ``text`` that somebody wrote, a JSON document, bytes in hexadecimal, or
#: ``other``: numbers, times, enums, arrays, ranges and all else that has a notation of its own.
ValueKind = Literal["text", "json", "bytes", "other"]


@dataclass(frozen=True)
class Value:
    """One column's value as PostgreSQL writes it, at most so many characters of it.

    :ivar text: ``None`` for NULL.
    :ivar length: of the whole value, in characters; ``None`` for NULL. Bytes are written as ``\\x``, and two characters
        for each.
    :ivar start: how many characters come before those in ``text``.
    :ivar is_masked: it is a mask instead of the value.
    :ivar is_redacted: the value was removed; ``text`` is ``None`` then.
    :ivar digest: the SHA-256 of bytes in hexadecimal, where it was asked for and they are not too many.
    """

    text: str | None
    length: int | None
    start: int = 0
    kind: ValueKind = "other"
    digest: str | None = None
    is_masked: bool = False
    is_redacted: bool = False

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it."""
        return self.text is not None and self.length is not None and self.length > len(self.text)

    @property
    def rest(self) -> int:
        """How many characters come after those in ``text``."""
        return 0 if self.text is None or self.length is None else self.length - self.start - len(self.text)


def kind_of_type(type_: TypeEngine[Any]) -> ValueKind:
    """The kind of a column's values."""
    inner = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    if isinstance(inner, LargeBinary):
        return "bytes"
    if isinstance(inner, JSON):
        return "json"
    return "text" if isinstance(inner, String) and not isinstance(inner, (Enum, Boolean)) else "other"
