"""What differs between two texts, word by word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, NamedTuple

from .alignment import Aligner, Run, common_head
from .words import is_start, split_words

#: Between the first and the last difference, texts of no more than so many characters are compared word by word.
MAX_LENGTH = 60_000


@dataclass(frozen=True)
class Segment:
    """A part of one text or of both.

    :ivar kind: ``keep``, it is in both; ``delete``, only in the old text; ``insert``, only in the new one.
    :ivar text: never empty.
    """

    kind: Literal["keep", "delete", "insert"]
    text: str


class _Part(NamedTuple):
    """What stands in the old text in the place of what stands in the new one."""

    same: bool
    old: str
    new: str


def word_diff(old: str, new: str) -> tuple[Segment, ...]:
    """The way from ``old`` to ``new``: joined, what is kept and deleted is ``old``, what is kept and inserted ``new``.

    Words are runs of letters, digits and marks; everything else is compared character by character. Two segments of
    the same kind never follow one another, and of a replacement the deleted text comes first. Spaces between two
    changed words count as changed.

    The work is limited: where more than :data:`MAX_LENGTH` characters lie between the first and the last difference,
    lines are compared, and words only between lines that stayed; where even those are so far apart, what is between
    them is replaced as a whole.

    .. versionadded:: 0.1
    """
    head = _head(old, new)
    tail = _tail(old[head:], new[head:])
    old_middle, new_middle = old[head : len(old) - tail], new[head : len(new) - tail]
    kept_tail = old[len(old) - tail :]
    parts = [_Part(True, old[:head], old[:head]), *_compare(old_middle, new_middle), _Part(True, kept_tail, kept_tail)]
    return tuple(_segments(_bridge(_merge(parts))))


def _head(old: str, new: str) -> int:
    """How much both begin with, in whole words."""
    length = common_head(old, new)
    if length == len(old) == len(new):
        return length
    for place in _near(length, -1, 0):
        if is_start(old, place) and is_start(new, place):
            return place
    return 0


def _tail(old: str, new: str) -> int:
    """How much both end with, in whole words."""
    length = common_head(old[::-1], new[::-1])
    old_start, new_start = len(old) - length, len(new) - length
    for place in _near(0, 1, length):
        if is_start(old, old_start + place) and is_start(new, new_start + place):
            return length - place
    return 0


def _near(place: int, step: int, end: int) -> range:
    """Places from there to the end, but no more than a few: a text may have no space."""
    return range(place, end + step, step)[:1000]


def _compare(old: str, new: str) -> Iterator[_Part]:
    """By word, or else by line with the words of lines that differ, or else as a whole."""
    aligner = Aligner()
    if _is_short(old, new):
        yield from _align(aligner, split_words(old), split_words(new))
        return
    for part in _align(aligner, old.splitlines(keepends=True), new.splitlines(keepends=True)):
        if part.same or not _is_short(part.old, part.new):
            yield part
        else:
            yield from _align(aligner, split_words(part.old), split_words(part.new))


def _is_short(old: str, new: str) -> bool:
    return len(old) * len(new) <= MAX_LENGTH**2


def _align(aligner: Aligner, old: Sequence[str], new: Sequence[str]) -> Iterator[_Part]:
    return (_part(run, old, new) for run in aligner.align(old, new))


def _part(run: Run, old: Sequence[str], new: Sequence[str]) -> _Part:
    there, here = ("".join(words[place.start : place.stop]) for words, place in ((old, run.old), (new, run.new)))
    return _Part(run.same, there, here)


def _merge(parts: Iterable[_Part]) -> list[_Part]:
    """Neighbours that are both the same, or both different, as one; without those that are empty."""
    merged = []
    for same, group in groupby((part for part in parts if part.old or part.new), key=lambda part: part.same):
        neighbours = list(group)
        old, new = ("".join(texts) for texts in list(zip(*neighbours, strict=True))[1:])
        merged.append(_Part(same, old, new))
    return merged


def _bridge(parts: list[_Part]) -> list[_Part]:
    """Two words that were replaced are one replacement, not two with a space in between that happened to stay."""
    inner = [part._replace(same=part.same and not _is_gap(part.old)) for part in parts[1:-1]]
    return _merge([*parts[:1], *inner, *parts[1:][-1:]])


def _is_gap(text: str) -> bool:
    return text.isspace() and "\n" not in text


def _segments(parts: Iterable[_Part]) -> Iterator[Segment]:
    for part in parts:
        if part.same:
            yield Segment("keep", part.old)
            continue
        if part.old:
            yield Segment("delete", part.old)
        if part.new:
            yield Segment("insert", part.new)
