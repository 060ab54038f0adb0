"""Values as people read them: safe, cut, NULL and empty told apart, and bytes by their length and digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from ..history.value import Value
from .language import ngettext
from .room import Room
from .text import visible, visible_edges

#: Bytes of which the page of a change shows the hexadecimal form.
MAX_HEAD = 64

#: From this depth on JSON is not indented any further.
_MAX_INDENT = 40

_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A value on a page.

    :ivar kind: ``absent``, it was not recorded; ``redacted``, it was removed; ``null``; ``empty``; ``bytes``; or
        ``text``.
    :ivar text: what is shown of it, nothing in it invisible.
    :ivar before: what is left out before the text, in words; empty for nothing.
    :ivar size: how long the whole is, in words; empty where all of it is shown.
    :ivar digest: the SHA-256 of bytes; ``None`` where it is not known.
    :ivar is_masked: it is what stands for the value.
    """

    kind: Literal["absent", "redacted", "null", "empty", "bytes", "text"]
    text: str = ""
    before: str = ""
    size: str = ""
    digest: str | None = None
    is_masked: bool = False


def show_value(value: Value | None, room: Room) -> Shown:
    """The value as a page shows it."""
    if value is None:
        return Shown("absent")
    if value.is_redacted:
        return Shown("redacted")
    return replace(_show(value, room), is_masked=value.is_masked)


def _show(value: Value, room: Room) -> Shown:
    if value.text is None:
        return Shown("null")
    if value.text == (r"\x" if value.kind == "bytes" else ""):
        return Shown("empty")
    return _show_bytes(value, room) if value.kind == "bytes" else _show_text(value, room)


def _show_bytes(value: Value, room: Room) -> Shown:
    number = ((value.length or 2) - 2) // 2
    head = (value.text or "")[2 : 2 + 2 * min(MAX_HEAD, room.value // 4)]
    text = " ".join(re.findall("....|..", head)) if room.lines else head
    return Shown("bytes", text + ("…" if 2 * number > len(head) else ""), size=count_bytes(number), digest=value.digest)


def _show_text(value: Value, room: Room) -> Shown:
    text = value.text or ""
    shown = clip(text, room.value)
    is_whole = shown == text and not value.is_cut
    if value.kind == "json" and room.lines and is_whole:
        shown = indent_json(shown)
    elif is_whole:
        shown = visible_edges(shown)
    return Shown(
        "text",
        make_readable(shown, room),
        before=count_characters(value.start) if value.start else "",
        size="" if is_whole else count_characters(value.length or 0),
    )


def make_readable(text: str, room: Room) -> str:
    """Nothing invisible, and in one line where there is no room for several."""
    shown = visible(text)
    return shown if room.lines else shown.replace("↵\n", "↵").replace("\n", "↵").replace("\t", "⇥")


def clip(text: str, length: int) -> str:
    """No more than so many characters; a little more is shown rather than cut, unless there is no room at all."""
    return text if len(text) <= length + min(12, length // 4) else text[:length]


def count_bytes(number: int) -> str:
    """``1 byte``, ``1,024 bytes``."""
    return ngettext("%(num)s byte", "%(num)s bytes", number)


def count_characters(number: int) -> str:
    """``1 character``, ``1,024 characters``."""
    return ngettext("%(num)s character", "%(num)s characters", number)


def indent_json(text: str) -> str:
    """A document with a line for each of its values, each of them written as it is stored."""
    lines, depth, previous = [""], 0, ""
    for part in _JSON_PART.findall(text):
        closes, was_open = part in "}]", previous in ("{", "[")
        depth -= closes
        if (closes and not was_open) or ((was_open or previous == ",") and not closes):
            lines.append("  " * min(depth, _MAX_INDENT))
        lines[-1] += f"{part} " if part == ":" else part
        depth += part in "{["
        previous = part
    return "\n".join(lines)
