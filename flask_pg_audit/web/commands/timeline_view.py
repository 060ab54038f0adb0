"""One record's timeline in a terminal, with what each change made of each value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import click

from ...history.diff import ABSENT, FieldDiff
from ...history.json_diff import JsonDiff, format_path
from ...history.sketch import Sketch
from ...history.sketch_diff import diff_sketches
from ...history.text_diff import Segment
from ...ui.text import visible
from .terminal import INDENT, WIDTH, Styled, became, fit, header, line, request_line, show, wrap

_MAX_PATHS = 20
_KEPT = 60
_LONGEST_SEGMENT = 2000

_red = partial(click.style, fg="red")
_green = partial(click.style, fg="green")


def timeline_lines(change: Sketch) -> Iterator[str]:
    """A change with every value that it changed, or with the whole row that came or went."""
    yield from header(change, str(change.position))
    yield from request_line(change)
    if change.operation == "T":
        yield f"{INDENT}every row of the table was removed"
        return
    if change.operation == "U" and change.old is None:
        yield f"{INDENT}what it was before is not known"
    differences = diff_sketches(change.old, change.new)
    for field in differences:
        if field.name not in change.redacted:
            yield from _field(field, has_old=change.old is not None, has_new=change.new is not None)
    for name in change.redacted:
        yield f"{INDENT}{line(name)}  redacted"
    if masked := [line(name) for name in change.masked if name in differences.names]:
        yield f"{INDENT}masked: {', '.join(masked)}"
    for name in change.changed:
        if name not in differences.names:
            yield f"{INDENT}{line(name)}  is the same value, written differently"
    if change.operation == "U" and change.old is not None and not change.changed:
        yield f"{INDENT}nothing changed"


def _field(field: FieldDiff, has_old: bool, has_new: bool) -> Iterator[str]:
    if not (has_old and has_new):
        value = field.new if has_new else field.old
        yield INDENT + fit(f"{line(field.name)}  {_show(value)}", WIDTH - len(INDENT))
    elif field.words is not None:
        yield f"{INDENT}{line(field.name)}"
        yield from wrap(_segments(field.words), INDENT + "  ")
    elif field.json is not None:
        yield f"{INDENT}{line(field.name)}"
        yield from _paths(field.json)
    else:
        yield INDENT + became(field.name, _show(field.old), _show(field.new), WIDTH - len(INDENT))


def _show(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    return "NULL" if value is None else show(value)


def _segments(segments: Sequence[Segment]) -> Iterator[Styled]:
    """``[-deleted-]{+inserted+}``, with the text around them shortened."""
    for place, segment in enumerate(segments):
        text = visible(segment.text)
        if segment.kind == "delete":
            yield f"[-{_cut(text)}-]", _red
        elif segment.kind == "insert":
            yield f"{{+{_cut(text)}+}}", _green
        else:
            yield _shortened(text, has_before=place > 0, has_after=place < len(segments) - 1), str


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SEGMENT else f"{text[:_LONGEST_SEGMENT]}…"


def _shortened(text: str, has_before: bool, has_after: bool) -> str:
    """Text that stayed: what is next to a difference."""
    if len(text) <= 2 * _KEPT:
        return text
    head, tail = text[:_KEPT] if has_before else "", text[-_KEPT:] if has_after else ""
    return f"{head}…{tail}"


def _paths(differences: Sequence[JsonDiff]) -> Iterator[str]:
    room = WIDTH - len(INDENT) - 2
    for difference in differences[:_MAX_PATHS]:
        path = format_path(difference.path)
        if difference.kind in ("added", "removed"):
            value = difference.new if difference.kind == "added" else difference.old
            text = fit(f"{fit(line(path), 40)}  {difference.kind}: {show(value)}", room)
            yield f"{INDENT}  {(_green if difference.kind == 'added' else _red)(text)}"
        else:
            yield f"{INDENT}  {became(path, show(difference.old), show(difference.new), room)}"
    if len(differences) > _MAX_PATHS:
        yield f"{INDENT}  … and {len(differences) - _MAX_PATHS} more"
