"""Exported changes as CSV, NDJSON and JSON: bytes, a piece at a time, for a file or a streaming response."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields
from json.encoder import encode_basestring

from .export import ExportRow

#: The columns of a CSV file and the keys of a JSON object, in this order.
COLUMNS = tuple(field.name for field in fields(ExportRow))

#: Those whose text is JSON already.
_STRUCTURED = frozenset({"key", "context", "changed", "old", "new", "masked", "redacted"})

#: What a spreadsheet takes for a formula; with the apostrophes that are in front already, so that taking one away from
#: what matches always gives back the value.
_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_NEEDS_QUOTES = re.compile('[",\r\n]')


def render_csv(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """CSV as in RFC 4180, UTF-8, with a line of names; key, context, changed, old, new, masked and redacted are
    JSON.

    Nothing between two commas is NULL, ``""`` is an empty text. A cell that a spreadsheet would take for a formula, and
    that is no number, has an apostrophe in front.

    .. versionadded:: 0.1
    """
    yield _line(COLUMNS)
    for row in rows:
        yield _line(map(row.__dict__.__getitem__, COLUMNS))


def _line(cells: Iterable[str | None]) -> bytes:
    return (",".join(map(_cell, cells)) + "\r\n").encode()


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    return '"' + text.replace('"', '""') + '"' if not text or _NEEDS_QUOTES.search(text) else text


def render_ndjson(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """A JSON object for each change, each on a line of its own; UTF-8.

    .. versionadded:: 0.1
    """
    return (f"{render_object(row)}\n".encode() for row in rows)


def render_json(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """A JSON array of the objects of :func:`render_ndjson`, one on a line; UTF-8.

    .. versionadded:: 0.1
    """
    before = "[\n"
    for row in rows:
        yield f"{before}{render_object(row)}".encode()
        before = ",\n"
    yield b"\n]\n" if before == ",\n" else b"[]\n"


def render_object(row: ExportRow) -> str:
    """One change as a JSON object."""
    values = row.__dict__
    return "{" + ", ".join([f'"{name}": {_value(name, values[name])}' for name in COLUMNS]) + "}"


def _value(name: str, text: str | None) -> str:
    if text is None:
        return "null"
    # A json column may have line breaks, but in JSON they are never in a string.
    return text.replace("\n", " ").replace("\r", " ") if name in _STRUCTURED else encode_basestring(text)


#: How changes are written, by the name of the format.
FORMATS: Mapping[str, Callable[[Iterable[ExportRow]], Iterator[bytes]]] = {
    "csv": render_csv,
    "ndjson": render_ndjson,
    "json": render_json,
}
