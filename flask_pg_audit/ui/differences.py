"""What became of a value, as people read it: from what to what, word by word, or path by path."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from ..history.diff import LONG_TEXT
from ..history.excerpts import Field
from ..history.json_diff import format_path, json_diff
from ..history.stored import ABSENT, Kind, is_list, is_object
from ..history.text_diff import Segment
from ..history.value import Value
from .language import gettext
from .room import Room
from .values import Shown, clip, count_characters, make_readable, show_value

_RAW_NUMBER = re.compile(r'"\\u0000([^"\\]*)\\u0000"')


@dataclass(frozen=True)
class Part:
    """A part of a text: in both, only in the old one, only in the new one, or left out."""

    kind: Literal["keep", "delete", "insert", "gap"]
    text: str


@dataclass(frozen=True)
class PathDifference:
    """What became of one place of a JSON document; ``old`` and ``new`` are ``None`` where there was nothing."""

    path: str
    kind: Kind
    old: Shown | None
    new: Shown | None


@dataclass(frozen=True)
class Difference:
    """What became of a value.

    :ivar kind: ``set``, from NULL; ``cleared``, to NULL; ``added``, it was not recorded before; ``removed``, it is not
        any more; ``changed``.
    :ivar parts: how the text changed, where it is long and part of it stayed.
    :ivar paths: what changed in a JSON document.
    :ivar more: differences that are not shown.
    """

    kind: Kind
    old: Shown
    new: Shown
    parts: tuple[Part, ...] = ()
    paths: tuple[PathDifference, ...] = ()
    more: int = 0


def show_difference(field: Field, room: Room) -> Difference:
    """What became of the field's value."""
    old, new = field.nearby or (field.old, field.value)
    kind = _kind(old, new)
    if kind == "changed" and old is not None and new is not None:
        found = _by_path(old, new, room) or _by_word(field, old, new, room)
        if found is not None:
            return found
    return Difference(kind, show_value(old, room), show_value(new, room))


def _kind(old: Value | None, new: Value | None) -> Kind:
    if old is None:
        return "added"
    if new is None:
        return "removed"
    if old.is_redacted or new.is_redacted:
        return "changed"
    if old.text is None:
        return "set"
    return "cleared" if new.text is None else "changed"


# JSON, path by path


def _by_path(old: Value, new: Value, room: Room) -> Difference | None:
    """``None`` for what is no JSON, was not read whole, or is not an object or a list on both sides."""
    if old.kind != "json" or new.kind != "json" or old.is_cut or new.is_cut:
        return None
    try:
        before, after = _parse(old.text), _parse(new.text)
    except (ValueError, ArithmeticError, RecursionError):  # numbers of 5,000 digits; brackets, thousands deep
        return None
    if not all(is_object(value) or is_list(value) for value in (before, after)):
        return None
    found = json_diff(before, after)
    paths = [_show_path(difference, room) for difference in found[: room.differences]]
    shown = show_value(old, room), show_value(new, room)
    return Difference("changed", *shown, paths=tuple(paths), more=len(found) - len(paths)) if found else None


def _parse(text: str | None) -> Any:
    return json.loads(text or "", parse_float=Decimal)


def _show_path(difference: Any, room: Room) -> PathDifference:
    path = make_readable(clip(format_path(difference.path), room.value), room)
    old, new = (_show_json(value, room) for value in (difference.old, difference.new))
    return PathDifference(path or gettext("the document"), difference.kind, old, new)


def _show_json(value: Any, room: Room) -> Shown | None:
    if value is ABSENT:
        return None
    text = _write(value)
    return show_value(Value(text, len(text), kind="text"), room)


def _write(value: Any) -> str:
    """As JSON, with every digit of its numbers."""
    try:
        written = json.dumps(value, ensure_ascii=False, default=lambda number: f"\0{number}\0")
    except RecursionError:
        return "…"
    return _RAW_NUMBER.sub(r"\1", written)


# Text, word by word


def _by_word(field: Field, old: Value, new: Value, room: Room) -> Difference | None:
    """``None`` for bytes, for what is short, and where nothing stayed."""
    if old.kind == "bytes" or old.text is None or new.text is None:
        return None
    if not any(len(text) >= LONG_TEXT or "\n" in text for text in (old.text, new.text)):
        return None
    segments = _without_ragged_end(field.words, old, new)
    stayed = sum(len(segment.text) for segment in segments if segment.kind == "keep")
    if len(segments) < 2 or stayed * 5 < min(len(old.text), len(new.text)):
        return None
    shown, more = _limit(segments, room.differences)
    parts = [*_gap(old.start), *_condense(shown, room), *_gap(new.rest)]
    return Difference("changed", show_value(old, room), show_value(new, room), parts=tuple(parts), more=more)


def _without_ragged_end(segments: tuple[Segment, ...], old: Value, new: Value) -> list[Segment]:
    """Where both were cut, one has words at its end that the other has behind the cut."""
    kept = list(segments)
    cut = {"delete": old.rest > 0, "insert": new.rest > 0}
    if any(segment.kind == "keep" for segment in kept[1:-1]):
        while kept and cut.get(kept[-1].kind):
            kept.pop()
    return kept


def _limit(segments: list[Segment], limit: int) -> tuple[list[Segment], int]:
    """The first so many differences with what is around them, and how many there are beyond them."""
    places = [place for place, segment in enumerate(segments) if segment.kind != "keep"]
    if len(places) <= 2 * limit:
        return segments, 0
    rest = sum(segments[place - 1].kind == "keep" for place in places[2 * limit :])
    return segments[: places[2 * limit]], max(1, rest)


def _condense(segments: list[Segment], room: Room) -> Iterator[Part]:
    last = len(segments) - 1
    for place, segment in enumerate(segments):
        if segment.kind == "keep":
            yield from _shorten(segment.text, room.around if place else 0, room.around if place < last else 0, room)
        else:
            shown = clip(segment.text, room.value)
            yield Part(segment.kind, make_readable(shown, room))
            yield from _gap(len(segment.text) - len(shown))


def _shorten(text: str, head: int, tail: int, room: Room) -> Iterable[Part]:
    """What is near the differences."""
    if len(text) <= head + tail + 24:
        return [Part("keep", make_readable(text, room))]
    parts = [Part("keep", make_readable(text[:head], room)), *_gap(len(text) - head - tail)]
    end = text[len(text) - tail :]
    return [part for part in (*parts, Part("keep", make_readable(end, room))) if part.text]


def _gap(length: int) -> Iterator[Part]:
    if length:
        yield Part("gap", count_characters(length))
