"""What differs between two JSON documents, path by path."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .alignment import Aligner
from .stored import ABSENT, Absent, Kind, Numbering, is_list, is_object, kind_of

#: Keys of objects and indexes of lists, from the outside in; empty for the document itself.
Path = tuple[str | int, ...]

# Paths while they grow: a step and the path that it continues. A tuple at each level would be quadratic in the depth.
_Trail = tuple[Any, str | int] | None


@dataclass(frozen=True)
class JsonDiff:
    """One difference between two documents.

    :ivar path: where it is in the new document; for what was removed, where it was in the old one.
    :ivar old: the value before, ``None`` for null; ``ABSENT`` if there was none.
    :ivar new: the value after, ``None`` for null; ``ABSENT`` if there is none any more.
    """

    path: Path
    old: Any | Literal[Absent.ABSENT]
    new: Any | Literal[Absent.ABSENT]

    @property
    def kind(self) -> Kind:
        """What became of it: ``added``, ``removed``, ``set`` (from null), ``cleared`` (to null) or ``changed``."""
        return kind_of(self.old, self.new)

    def __str__(self) -> str:
        return f"{format_path(self.path)} {self.kind}"


def json_diff(old: Any, new: Any) -> tuple[JsonDiff, ...]:
    """The differences between two documents, each as deep inside as it can be told; none for the same document.

    Which values are the same is :func:`~flask_pg_audit.history.stored.is_same`. Keys come in the order of the old
    document, then those that are new in the order of the new one; elements of lists in their order.

    The elements of two lists correspond by a longest common subsequence, so that an element put in front changes none
    of the others. Elements that are left over between two that correspond are compared one by one, by position. Where
    that is too much work, in lists with more than 10,000 elements between the first and the last difference, or once
    the lists of one document have together cost as much, only elements that occur once in both lists correspond.

    To make ``new`` of ``old``: take out what was removed, from the last difference to the first, then put in what was
    added or otherwise changed, from the first to the last. Each path then says the right place.

    .. versionadded:: 0.1
    """
    return tuple(_Comparison().differences(old, new))


class _Comparison:
    def __init__(self) -> None:
        self._numbering = Numbering()
        self._aligner = Aligner()

    def differences(self, old: Any, new: Any) -> Iterator[JsonDiff]:
        """In the order of the document; with a stack of our own, however deep the documents are."""
        pairs: list[tuple[_Trail, Any, _Trail, Any]] = [(None, old, None, new)] if self._differ(old, new) else []
        while pairs:
            old_trail, old, new_trail, new = pairs.pop()
            inner = self._inner(old, new)
            if inner is None:
                yield JsonDiff(_path(old_trail if new is ABSENT else new_trail), old, new)
                continue
            for old_step, old_part, new_step, new_part in reversed(inner):
                if self._differ(old_part, new_part):
                    pairs.append(((old_trail, old_step), old_part, (new_trail, new_step), new_part))

    def _inner(self, old: Any, new: Any) -> list[tuple[Any, Any, Any, Any]] | None:
        """What is in them, side by side; ``None`` if the one is not to be compared with the other part by part."""
        if is_object(old) and is_object(new):
            keys = dict.fromkeys((*old, *new))
            return [(key, old.get(key, ABSENT), key, new.get(key, ABSENT)) for key in keys]
        return list(self._elements(old, new)) if is_list(old) and is_list(new) else None

    def _differ(self, old: Any, new: Any) -> bool:
        if old is new:
            return False
        # What is only on one side need not be read.
        return old is ABSENT or new is ABSENT or self._numbering.number(old) != self._numbering.number(new)

    def _elements(self, old: Any, new: Any) -> Iterator[tuple[int, Any, int, Any]]:
        """Elements that correspond and those that have no counterpart."""
        numbers = [[self._numbering.number(element) for element in elements] for elements in (old, new)]
        for run in self._aligner.align(*numbers):
            for offset in () if run.same else range(max(len(run.old), len(run.new))):
                i, j = run.old.start + offset, run.new.start + offset
                yield i, old[i] if i < run.old.stop else ABSENT, j, new[j] if j < run.new.stop else ABSENT


def _path(trail: _Trail) -> Path:
    steps = []
    while trail is not None:
        trail, step = trail
        steps.append(step)
    return tuple(reversed(steps))


def format_path(path: Iterable[str | int]) -> str:
    """A path as one would write it: ``address.lines[2]["odd key"]``; empty for the document itself.

    Two paths are never written alike: a key that is no identifier is written as JSON, in brackets.

    .. versionadded:: 0.1
    """
    written = "".join(map(_format_step, path))
    return written.removeprefix(".")


def _format_step(step: str | int) -> str:
    if not isinstance(step, str):
        return f"[{step!r}]"
    return f".{step}" if step.isidentifier() else f"[{json.dumps(step, ensure_ascii=False)}]"
