"""Looking through a long history piece by piece, for as long as there is time, and saying how far that was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from sqlalchemy import Connection

from .budget import Budget

_T = TypeVar("_T")

#: The greatest number that PostgreSQL has for a transaction.
MAX_ID = 2**63 - 1

#: Of the time, for an attempt to look through all that is left at once: an index may find what there is.
_AT_ONCE = 0.5

#: Transactions in the first window; it is many times as wide soon, where little is to be done for each.
FIRST_WIDTH = 2_000

#: Of the time, for anything else that may take too long: something narrower is tried with the rest.
_PATIENCE = 0.6

#: How much wider the next window may be, and how much narrower one is after one that took too long.
_WIDER, _NARROWER = 8.0, 8


@dataclass(frozen=True)
class Window:
    """The transactions from ``first`` on until before ``end``; ``None``: without such a bound.

    :ivar is_piece: it was cut from a wider one, and is to be read from one end to the other.
    """

    first: int | None
    end: int | None
    is_piece: bool = False

    @property
    def width(self) -> int:
        """How many numbers there are in it, where it has both bounds."""
        return 0 if self.first is None or self.end is None else max(0, self.end - self.first)

    @property
    def closed(self) -> Window:
        """The same with both bounds."""
        first, end = (-MAX_ID if self.first is None else self.first), (MAX_ID if self.end is None else self.end)
        return Window(first, end, self.is_piece)

    def cut(self, width: int, upwards: bool) -> tuple[Window, Window]:
        """The next ``width`` transactions, and the rest; of a window with both bounds."""
        if self.first is None or self.end is None:
            raise ValueError(f"{self} has no end to cut from")
        edge = min(self.first + width, self.end) if upwards else max(self.end - width, self.first)
        lower, upper = Window(self.first, edge, is_piece=True), Window(edge, self.end, is_piece=True)
        return (lower, upper) if upwards else (upper, lower)


@dataclass(frozen=True)
class Found(Generic[_T]):
    """What was found, in the order of reading.

    :ivar edge: where the search stopped, because the time was over: transactions with lower numbers were not looked
        at; or, when it went upwards, this one and those with higher numbers. ``None``: all were, or enough was found.
    :ivar searched: how many numbers of transactions were looked through, when it stopped.
    """

    items: list[_T]
    edge: int | None = None
    searched: int = 0


@dataclass(frozen=True)
class Search(Generic[_T]):
    """Something that is looked for.

    :ivar read: reads no more than so many of what is in a window, in the order of reading.
    :ivar parts: divides a window into those, with both bounds, of which the others have nothing; the lowest first.
        What may be found in each but the last by other means than reading all of it is tried so first.
    """

    connection: Connection
    budget: Budget
    upwards: bool
    read: Callable[[Window, int], list[_T]]
    parts: Callable[[Window], Sequence[Window]]

    def find(self, window: Window, limit: int) -> Found[_T]:
        """The first ``limit`` in ``window``, or as many as there is time for.

        However little time there is, one transaction more is looked through.
        """
        if not self.budget.is_bounded:
            return Found(self.read(window, limit))
        at_once = self._attempt(_AT_ONCE, window, limit)
        if at_once is not None:
            return Found(at_once)
        parts = [part for part in self.parts(window) if part.width]
        return self._go_through(parts if self.upwards else parts[::-1], limit)

    def _attempt(self, share: float, window: Window, limit: int) -> list[_T] | None:
        return self.budget.part(share).attempt(self.connection, lambda: self.read(window, limit))

    def _go_through(self, parts: Sequence[Window], limit: int) -> Found[_T]:
        found: list[_T] = []
        searched, width = 0, FIRST_WIDTH
        for number, part in enumerate(parts):
            at_once = self._attempt(_PATIENCE, part, limit - len(found)) if number > 0 or self.upwards else None
            rest = part
            if at_once is not None:
                found, rest = found + at_once, part.cut(part.width, self.upwards)[1]
            else:
                items, rest, width = self._look_through(part, width, limit - len(found), force=searched == 0)
                found = found + items
            searched += part.width - rest.width
            if len(found) >= limit:
                break
            if rest.width:
                return Found(found, rest.first if self.upwards else rest.end, searched)
        return Found(found)

    def _look_through(self, rest: Window, width: int, limit: int, *, force: bool) -> tuple[list[_T], Window, int]:
        """What was found piece by piece, what was not looked at, and how wide the next piece may be.

        :param force: look through one transaction at least, or nobody would ever get beyond it.
        """
        found: list[_T] = []
        whole = rest
        while rest.width and len(found) < limit and not self.budget.is_used_up:
            (piece, beyond), left = rest.cut(width, self.upwards), self.budget.left
            items = self._attempt(_PATIENCE, piece, limit - len(found))
            if items is not None:
                found, rest = found + items, beyond
                width = _next_width(width, left - self.budget.left, self.budget.left)
            elif piece.width > 1:
                width = max(1, piece.width // _NARROWER)
            else:
                break
        if force and rest == whole:
            piece, rest = rest.cut(1, self.upwards)
            found = self.read(piece, limit)
        return found, rest, width


def _next_width(width: int, taken: float, left: float) -> int:
    """As wide as may be looked through in a part of the time that is left."""
    factor = 0.4 * left / taken if taken > 0 else _WIDER
    return max(1, int(width * min(_WIDER, max(0.5, factor))))
