"""Telling how far a long job is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

#: Called with how much is done, and how much there is to do.
Progress = Callable[[int, int], None]


class Meter:
    """Adds up what is done, part by part.

    :param progress: is told; without one, nothing is counted.
    """

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = self._total = 0

    def expect(self, counts: Iterable[int]) -> None:
        """There is that much to do; ``counts`` are worked out only if somebody wants to know."""
        if self._progress is not None:
            self._total = sum(counts)

    def advance(self, count: int) -> None:
        """So much more is done; others write meanwhile, so it may become more than was expected."""
        self._done += count
        if self._progress is not None:
            self._total = max(self._total, self._done)
            self._progress(self._done, self._total)
