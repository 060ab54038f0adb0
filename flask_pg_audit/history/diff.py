"""What differs between any two images of a row, column by column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from .json_diff import JsonDiff, json_diff
from .stored import ABSENT, Absent, Kind, Numbering, is_list, is_object, is_same, kind_of
from .text_diff import Segment, word_diff

__all__ = ["ABSENT", "LONG_TEXT", "Absent", "Diff", "FieldDiff", "Image", "Kind", "diff", "is_same"]

#: A row as it was: values by the names of its columns, in the order of the columns. NULL is ``None``. A column that
#: did not exist then, or was not recorded, is not in it.
Image = Mapping[str, Any]

#: From this many characters on a text is compared word by word.
LONG_TEXT = 60


@dataclass(frozen=True)
class FieldDiff:
    """One column that differs.

    :ivar name: of the column.
    :ivar old: the value before, ``None`` for NULL; ``ABSENT`` if there was no such column, or no row.
    :ivar new: the value after, ``None`` for NULL; ``ABSENT`` if there is no such column, or no row.
    """

    name: str
    old: Any | Literal[Absent.ABSENT]
    new: Any | Literal[Absent.ABSENT]

    @property
    def kind(self) -> Kind:
        """What became of the value: ``added``, ``removed``, ``set``, ``cleared`` or ``changed``.

        ``added``: there was no such column or no row before, whatever there is now, NULL included. ``removed``: there
        is none any more. ``set``: from NULL to a value. ``cleared``: from a value to NULL. ``changed``: from one value
        to another; an empty text, list or object is a value.
        """
        return kind_of(self.old, self.new)

    @cached_property
    def json(self) -> tuple[JsonDiff, ...] | None:
        """The differences by path when both values are JSON objects or lists, or arrays; else ``None``."""
        containers = all(is_object(value) or is_list(value) for value in (self.old, self.new))
        return json_diff(self.old, self.new) if containers else None

    @cached_property
    def words(self) -> tuple[Segment, ...] | None:
        """The differences by word when both values are text and one is long or has several lines; else ``None``.

        Long is :data:`LONG_TEXT` characters or more.
        """
        old, new = self.old, self.new
        if not (isinstance(old, str) and isinstance(new, str)):
            return None
        is_long = any(len(text) >= LONG_TEXT or "\n" in text for text in (old, new))
        return word_diff(old, new) if is_long else None


@dataclass(frozen=True)
class Diff:
    """What differs between two images; iterates over its fields and is false when there is none.

    :ivar fields: the columns that differ, in the order of the old image, then those that only the new one has.
    :ivar had_row: whether there was a row before; if not, its columns were all ``added``.
    :ivar has_row: whether there is a row after; if not, its columns were all ``removed``.
    """

    fields: tuple[FieldDiff, ...]
    had_row: bool = True
    has_row: bool = True

    def __iter__(self) -> Iterator[FieldDiff]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns that differ."""
        return tuple(field.name for field in self.fields)


def diff(old: Image | None, new: Image | None) -> Diff:
    """Compare two images of a row; ``None`` is no row: before an insert, after a delete.

    They need not follow one another, nor be images of the same row. Values are compared as they are stored, see
    :func:`is_same`; a column that neither image has is the same, and so is one that is ``ABSENT``.

    .. versionadded:: 0.1
    """
    before, after = old or {}, new or {}
    numbering = Numbering()
    pairs = ((name, before.get(name, ABSENT), after.get(name, ABSENT)) for name in dict.fromkeys((*before, *after)))
    fields = (
        FieldDiff(name, then, now)
        for name, then, now in pairs
        if then is not now and numbering.number(then) != numbering.number(now)
    )
    return Diff(tuple(fields), had_row=old is not None, has_row=new is not None)
