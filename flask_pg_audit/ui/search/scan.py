"""From a text to its tokens: where each begins and ends, and what is quoted. Knows no names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ..language import gettext, message

_QUOTED = re.compile(r'"((?:[^"]|"")*)"(?!")')
#: What names begin with that go on with a column's, which may need quotes.
_NAME = re.compile(r'([^\s":]+|((?:new|old)\.)"((?:[^"]|"")*)"(?!")):')
_VALUE = re.compile(r'[^\s",][^\s,]*')
_WORD = re.compile(r'[^\s"]\S*')
_REST = re.compile(r"\S*")

_NO_END = message('the quotation is not closed; a quote within it is written twice: "say ""hi"""')
_NO_SPACE = message(
    'after a closing quote comes a space or a comma; a quote within quotes is written twice: "say ""hi"""'
)
_NO_VALUE = message('a value is missing; the empty text is written ""')


@dataclass(frozen=True)
class Value:
    """One of the values of a token, without its quotes."""

    text: str
    is_quoted: bool


@dataclass(frozen=True)
class Token:
    """What stands between spaces.

    :ivar start: where it begins in the text, from 0.
    :ivar end: where it ends; the first place that does not belong to it.
    :ivar name: what is before the colon; ``""`` for free text.
    :ivar problem: why it has no values; ``None`` where it has.
    """

    start: int
    end: int
    is_negated: bool
    name: str
    values: tuple[Value, ...]
    problem: str | None = None


class _Broken(Exception):
    """It cannot be read on from here.

    :ivar end: where the token ends.
    """

    def __init__(self, problem: str, end: int) -> None:
        super().__init__(problem)
        self.end = end


def scan(text: str) -> Iterator[Token]:
    """The tokens of ``text``, in order; none overlap, and what is between them are spaces."""
    position = _next(text, 0)
    while position < len(text):
        token = _read_token(text, position)
        yield token
        position = _next(text, token.end)


def _next(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _read_token(text: str, start: int) -> Token:
    is_negated = re.compile(r"-(?=\S)").match(text, start) is not None
    position = start + is_negated
    named = _NAME.match(text, position)
    name = _name_of(named) if named else ""
    try:
        values, end = _read_values(text, named.end()) if named else _read_text(text, position)
    except _Broken as broken:
        return Token(start, broken.end, is_negated, name, (), gettext(str(broken)))
    return Token(start, end, is_negated, name, values)


def _name_of(named: re.Match[str]) -> str:
    return named[1] if named[2] is None else named[2] + named[3].replace('""', '"')


def _read_text(text: str, position: int) -> tuple[tuple[Value, ...], int]:
    value, end = _read_value(text, position, _WORD)
    return (value,), _end_of_token(text, end)


def _read_values(text: str, position: int) -> tuple[tuple[Value, ...], int]:
    value, end = _read_value(text, position, _VALUE)
    values = [value]
    while text[end : end + 1] == ",":
        value, end = _read_value(text, end + 1, _VALUE)
        values.append(value)
    return tuple(values), _end_of_token(text, end)


def _read_value(text: str, position: int, bare: re.Pattern[str]) -> tuple[Value, int]:
    if text[position : position + 1] == '"':
        quoted = _QUOTED.match(text, position)
        if quoted is None:
            raise _Broken(_NO_END, len(text))
        return Value(quoted[1].replace('""', '"'), True), quoted.end()
    word = bare.match(text, position)
    if word is None:
        raise _Broken(_NO_VALUE, _end_of_word(text, position))
    return Value(word[0], False), word.end()


def _end_of_token(text: str, end: int) -> int:
    if end < len(text) and not text[end].isspace():
        raise _Broken(_NO_SPACE, _end_of_word(text, end))
    return end


def _end_of_word(text: str, position: int) -> int:
    rest = _REST.match(text, position)
    return rest.end() if rest else position


# The other way


def format_text(text: str, is_negated: bool) -> str:
    """Free text, in quotes where it would be read as something else without."""
    begins_alike = text.startswith("-") and text != "-" and not is_negated
    is_bare = _WORD.fullmatch(text) is not None and _NAME.match(text) is None and not begins_alike
    return text if is_bare else quote(text)


def format_value(text: str) -> str:
    """A value, in quotes where it would be read as something else without."""
    return text if _VALUE.fullmatch(text) else quote(text)


def format_name(name: str) -> str:
    """A name with its colon."""
    if _NAME.fullmatch(name + ":"):
        return name + ":"
    beginning, _, column = name.partition(".")
    return f"{beginning}.{quote(column)}:"


def quote(text: str) -> str:
    """``text`` in quotes."""
    return '"' + text.replace('"', '""') + '"'
