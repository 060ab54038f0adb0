"""Which elements of two sequences correspond: the longest common subsequence, for a limited amount of work."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

#: How many pairs of elements an aligner may compare: two sequences of 10,000. Takes about a twentieth of a second and,
#: for two bits each at most, 27 MB.
BUDGET = 100_000_000

_Elements = Sequence[Hashable]
#: A place in the old sequence, one in the new one, and how many elements from there on are the same.
_Block = tuple[int, int, int]


class Run(NamedTuple):
    """Places of the old sequence beside places of the new one.

    :ivar same: the elements are the same, one by one; otherwise they have no counterparts.
    """

    same: bool
    old: range
    new: range


class Aligner:
    """Aligns sequences until its budget is used up, so that a document with many of them is no more work than one."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._left = budget

    def align(self, old: _Elements, new: _Elements) -> list[Run]:
        """Runs that cover both sequences in order.

        What both have in common at their beginning and at their end costs nothing. The rest is aligned by a longest
        common subsequence, as long as the budget allows. Beyond it, the elements that occur once in both are aligned,
        and then what is between those in the same way, or not at all.
        """
        blocks = self._blocks(old, new, by_landmarks=True)
        return list(_runs([*blocks, (len(old), len(new), 0)]))

    def _blocks(self, old: _Elements, new: _Elements, by_landmarks: bool) -> Iterator[_Block]:
        head = common_head(old, new)
        old_rest, new_rest = old[head:], new[head:]
        tail = common_head(old_rest[::-1], new_rest[::-1])
        middle = old_rest[: len(old_rest) - tail], new_rest[: len(new_rest) - tail]
        yield 0, 0, head
        yield from _move(self._middle_blocks(*middle, by_landmarks), head, head)
        yield len(old) - tail, len(new) - tail, tail

    def _middle_blocks(self, old: _Elements, new: _Elements, by_landmarks: bool) -> Iterable[_Block]:
        cost = len(old) * len(new)
        if cost <= self._left:
            self._left -= cost
            return ((i, j, 1) for i, j in _matches(old, new))
        return self._blocks_by_landmarks(old, new) if by_landmarks else ()

    def _blocks_by_landmarks(self, old: _Elements, new: _Elements) -> Iterator[_Block]:
        old_place = new_place = 0
        for i, j in [*_landmarks(old, new), (len(old), len(new))]:
            if i > old_place and j > new_place:
                between = self._blocks(old[old_place:i], new[new_place:j], by_landmarks=False)
                yield from _move(between, old_place, new_place)
            yield i, j, int(i < len(old))
            old_place, new_place = i + 1, j + 1


def common_head(old: Sequence[Any], new: Sequence[Any]) -> int:
    """How many elements both begin with; by halves, each compared as a whole."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _move(blocks: Iterable[_Block], old_by: int, new_by: int) -> Iterator[_Block]:
    return ((i + old_by, j + new_by, length) for i, j, length in blocks)


def _runs(blocks: Iterable[_Block]) -> Iterator[Run]:
    """Blocks of same elements, with what lies between them; the last one ends where both sequences do."""
    old_place = new_place = 0
    for old_start, new_start, length in blocks:
        if (old_place, new_place) != (old_start, new_start):
            yield Run(False, range(old_place, old_start), range(new_place, new_start))
        old_place, new_place = old_start + length, new_start + length
        if length:
            yield Run(True, range(old_start, old_place), range(new_start, new_place))


def _landmarks(old: _Elements, new: _Elements) -> list[tuple[int, int]]:
    """The places of elements that occur once in both; of those that changed their order, as many as did not."""
    new_places = _places_of_unique(new)
    common = [(i, new_places[element]) for element, i in _places_of_unique(old).items() if element in new_places]
    ends: list[int] = []
    # For each length the chain that ends first in the new sequence: its last pair, and the chain that this extends.
    chains: list[Any] = []
    for pair in common:
        length = bisect_left(ends, pair[1])
        ends[length : length + 1] = [pair[1]]
        chains[length : length + 1] = [(pair, chains[length - 1] if length else None)]
    return _unchain(chains[-1] if chains else None)


def _unchain(chain: Any) -> list[tuple[int, int]]:
    pairs = []
    while chain is not None:
        pair, chain = chain
        pairs.append(pair)
    return pairs[::-1]


def _places_of_unique(elements: _Elements) -> dict[Hashable, int]:
    counts = Counter(elements)
    return {element: place for place, element in enumerate(elements) if counts[element] == 1}


def _matches(old: _Elements, new: _Elements) -> list[tuple[int, int]]:
    """The places of a longest common subsequence, in order.

    A row of the usual table of lengths is one long integer: bit ``j`` is 0 where the length grows from column ``j`` to
    the next (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004). A row is then an addition, not a loop.
    """
    if len(old) > len(new):
        return [(i, j) for j, i in _matches(new, old)]
    masks = _masks(set(old), new)
    every = row = (1 << len(new)) - 1
    grown = []
    for element in old:
        if element in masks:
            matched = row & masks[element]
            row = ((row + matched) | (row - matched)) & every
        grown.append(row ^ every)
    return list(_trace(grown, len(new)))[::-1]


def _masks(wanted: set[Hashable], elements: _Elements) -> dict[Hashable, int]:
    """Where each of ``wanted`` is among the elements, as bits."""
    places: dict[Hashable, bytearray] = {}
    for place, element in enumerate(elements):
        if element in wanted:
            bits = places.get(element) or places.setdefault(element, bytearray(len(elements) // 8 + 1))
            bits[place >> 3] |= 1 << (place & 7)
    return {element: int.from_bytes(bits, "little") for element, bits in places.items()}


def _trace(grown: list[int], column: int) -> Iterator[tuple[int, int]]:
    """The matches that the rows tell of, from the last to the first."""
    for row in reversed(range(len(grown))):
        column = (grown[row] & ((1 << column) - 1)).bit_length()
        if not column:
            return
        above = grown[row - 1] if row else 0
        if not above >> (column - 1) & 1:  # it grows here, and did not grow one row up: this pair made it
            column -= 1
            yield row, column
