"""How changes look in a terminal of 80 columns. Nothing that somebody stored can move the cursor or pose as ours."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import click

from ...history.key import format_key
from ...history.sketch import Sketch, SketchedImage, SketchedValue
from ...history.sketch_diff import read_value
from ...ui.text import visible

WIDTH = 80
INDENT = "    "

_COLOURS = {"I": "green", "U": "yellow", "D": "red", "T": "red", "S": "blue"}
_PLAIN_NAME = re.compile(r"[\w.@+:-]+(?: [\w.@+:-]+)*")
_LONGEST_NAME = 24
_MAX_FIELDS = 8

#: What is between two fields of a line.
_GAP = "  "


def log_lines(change: Sketch) -> Iterator[str]:
    """A change in a few lines: when, who, what, and which columns became what."""
    what = f"{line(change.table)} {key_text(change.key)}".rstrip()
    yield from header(change, what)
    yield from request_line(change)
    if change.operation == "T":
        yield f"{INDENT}every row was removed"
    elif change.old is not None and change.new is not None:
        yield from _changed_lines(change, change.old, change.new)
    else:
        if change.operation == "U":
            yield f"{INDENT}what it was before is not known"
        yield from _pairs(change.old or change.new or {})


def header(change: Sketch, what: str) -> Iterator[str]:
    """When, who, the operation, and ``what``, on a line of its own where that is too long."""
    when = change.at[:19].replace("T", " ")
    who = fit(_who(change), 32)
    operation = click.style(change.operation_label, fg=_COLOURS[change.operation])
    padded_who = who + " " * (12 - width(who))
    padding = " " * (8 - len(change.operation_label))
    start = f"{click.style(when, dim=True)}{_GAP}{padded_who}{_GAP}{operation}"
    if 19 + width(padded_who) + 8 + width(what) + 3 * len(_GAP) <= WIDTH:
        yield f"{start}{padding}{_GAP}{what}".rstrip()
    else:
        yield start
        yield f"{INDENT}{fit(what, WIDTH - len(INDENT))}"


def _who(change: Sketch) -> str:
    """The user, quoted where the name is an odd one; the database role in parentheses where there is none."""
    name = change.username
    if name is None:
        return f"({line(change.role)})"
    return line(name if _PLAIN_NAME.fullmatch(name) else json.dumps(name, ensure_ascii=False))


def key_text(key: SketchedImage) -> str:
    """A key as ``flask audit history`` takes it."""
    values = map(read_value, key.values())
    return line(format_key([value if isinstance(value, str) else show(value) for value in values]))


def request_line(change: Sketch) -> Iterator[str]:
    """What is known of the request or the command."""
    context = {name: line(str(value)) for name, value in change.context.items() if value}
    parts = [f"{context.get('method', '')} {context['path']}".strip()] if "path" in context else []
    parts += [context["command"]] if "command" in context and not parts else []
    parts += [f"request {line(change.request_id)}"] if change.request_id else []
    parts += [f"reason {json.dumps(context['reason'], ensure_ascii=False)}"] if "reason" in context else []
    if parts:
        yield INDENT + fit(_GAP.join(parts), WIDTH - len(INDENT))


def _changed_lines(change: Sketch, old: SketchedImage, new: SketchedImage) -> Iterator[str]:
    for name in change.changed[:_MAX_FIELDS]:
        yield INDENT + became(name, value_text(old, name), value_text(new, name), WIDTH - len(INDENT))
    if len(change.changed) > _MAX_FIELDS:
        yield f"{INDENT}… and {len(change.changed) - _MAX_FIELDS} more columns"
    if not change.changed:
        yield f"{INDENT}nothing changed"


def became(name: str, old: str, new: str, columns: int) -> str:
    """``name  old -> new``, both shortened to what room there is."""
    label = fit(line(name), _LONGEST_NAME)
    room = columns - width(label) - len(_GAP) - len(" -> ")
    old_room = max(room // 2, room - width(new))
    old = fit(old, old_room)
    new = fit(new, room - width(old))
    return f"{label}{_GAP}{click.style(old, fg='red')} -> {click.style(new, fg='green')}"


def _pairs(image: SketchedImage) -> Iterator[str]:
    """Names and values on two lines, and how many more there are."""
    pairs = [f"{fit(line(name), _LONGEST_NAME)} {fit(value_text(image, name), 24)}" for name in image]
    lines, shown = [""], 0
    for pair in pairs:
        longer = f"{lines[-1]}, {pair}" if lines[-1] else pair
        if width(longer) <= WIDTH - len(INDENT) - 1:
            lines[-1] = longer
        elif len(lines) < 2:
            lines[-1] += ","
            lines.append(pair)
        else:
            break
        shown += 1
    yield from (INDENT + each for each in lines if each)
    if shown < len(pairs):
        yield f"{INDENT}… and {len(pairs) - shown} more columns"


def value_text(image: SketchedImage, name: str) -> str:
    """A value as JSON on one line; ``NULL``, ``""`` and ``absent`` are three things, and so is ``"NULL"``."""
    if name not in image:
        return "absent"
    return _json_text(image[name])


def _json_text(value: SketchedValue) -> str:
    if value.json is None:
        return "NULL"
    # Line breaks of a json column; in its strings there are none.
    text = line(re.sub(r"[\n\r\t]", " ", value.json))
    return f"{text}…" if value.is_cut else text


def show(value: Any) -> str:
    """A value out of a JSON document, on one line."""
    try:
        return line(_show(value))
    except RecursionError:
        return "…"


def _show(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)}: {_show(part)}" for key, part in value.items())
            + "}"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_show, value)) + "]"
    if value is None or isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def line(text: str) -> str:
    """Text that stays on its line and shows what is in it."""
    return visible(text).replace("\n", "⟨U+000A⟩").replace("\t", "⟨U+0009⟩")


def width(text: str) -> int:
    """How many columns a terminal needs for it."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """The text, or its beginning and ``…``, in no more than so many columns."""
    if width(text) <= columns:
        return text
    used, kept = 1, ""
    for character in text:
        used += _width(character)
        if used > columns:
            break
        kept += character
    return f"{kept}…"


#: A piece of text, and how it is styled.
Styled = tuple[str, Callable[[str], str]]


def wrap(pieces: Iterable[Styled], indent: str) -> Iterator[str]:
    """Lines of styled words, each as long as fits; line breaks in the text stay."""
    room = WIDTH - len(indent)
    current, used, gap = "", 0, ""
    for text, style in pieces:
        for word in re.findall(r"\n|[^\S\n]+|\S+", text):
            if word.isspace() and word != "\n":
                gap = word if current else ""
                continue
            for part in _chop(word, room):
                if part == "\n" or used + width(gap) + width(part) > room:
                    yield f"{indent}{current}".rstrip()
                    current, used, gap = "", 0, ""
                if part != "\n":
                    current, used, gap = current + gap + style(part), used + width(gap) + width(part), ""
    if current:
        yield f"{indent}{current}"


def _chop(word: str, columns: int) -> Iterator[str]:
    """A word in pieces that fit."""
    while width(word) > columns:
        piece = fit(word, columns).removesuffix("…")
        yield piece
        word = word[len(piece) :]
    yield word
