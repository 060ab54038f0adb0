"""Comparing one table with its history, range by range of its key, and repairing the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .batches import Batches
from .differences import COLUMN_DIFFERS, REPAIRABLE, SHOWN, ColumnDifference, Difference, Tally
from .pairing import KeyRange, Pair
from .progress import Meter
from .render import render


class TableComparison:
    """Compares each live row with its last image.

    A range of keys is compared by one statement. A change and its record become visible together, so what the
    statement sees is consistent whatever others do meanwhile, and no lock is needed.

    :param repair: write the missing images.
    """

    def __init__(self, batches: Batches, pair: Pair, batch_size: int, repair: bool) -> None:
        self._batches = batches
        self._pair = pair
        self._batch_size = batch_size
        self._repair = repair

    def run(self, tally: Tally, meter: Meter) -> None:
        """Compare the whole table."""
        tally.rows = 0
        for range_ in self._ranges():
            rows, is_different = self._compare(range_, tally)
            if is_different and self._repair:
                tally.repaired += self._mend(range_)
            tally.rows += rows
            meter.advance(rows)

    def _ranges(self) -> Iterator[KeyRange]:
        """Ranges in which neither the table nor the history has many more rows than a batch."""
        after: tuple[str, ...] | None = None
        while True:
            query = render("next_key", pair=self._pair, range=KeyRange(after), size=self._batch_size)
            found = self._batches.run(lambda query=query: self._batches.rows(query))  # type: ignore[misc]
            until = tuple(found[0][0]) if found else None
            yield KeyRange(after, until)
            if until is None:
                return
            after = until

    def _compare(self, range_: KeyRange, tally: Tally) -> tuple[int, bool]:
        """How many live rows there are, and whether there is any difference."""
        # One at least: the number of all comes with it.
        limits = {kind: max(tally.room(kind), 1) for kind in sorted(REPAIRABLE)}
        query = render("find_differences", pair=self._pair, range=range_, limits=limits, length=SHOWN + 1)
        found = self._batches.run(lambda: self._batches.rows(query))
        totals = {kind: total for _, kind, total, *_ in found if kind is not None}
        for kind, total in totals.items():
            tally.count(kind, total)
        for _, kind, _, *details in found:
            if kind is not None:
                tally.keep(self._build(kind, *details))
        return int(found[0][0]), bool(totals)

    def _build(
        self,
        kind: str,
        key: list[str],
        differing: list[bool] | None,
        recorded: list[str | None] | None,
        live: list[str | None] | None,
    ) -> Difference:
        names = [column.name for column in self._pair.key]
        columns: tuple[ColumnDifference, ...] = ()
        if kind == COLUMN_DIFFERS and differing and recorded and live:
            columns = tuple(
                ColumnDifference(column.name, _shorten(recorded[index]), _shorten(live[index]))
                for index, column in enumerate(self._pair.columns)
                if differing[index]
            )
        return Difference(kind, self._pair.table.display, dict(zip(names, key, strict=True)), columns)

    def _mend(self, range_: KeyRange) -> int:
        """Write what is missing in a range; how many rows that took.

        Compared once more, under a lock that keeps writers out: what differs then is no change that is on its way.
        """

        def work() -> int:
            self._batches.lock(self._pair.table, "SHARE ROW EXCLUSIVE")
            self._batches.execute(render("mark_repair"))
            return sum(
                self._batches.execute(
                    render("repair_differences", pair=self._pair, range=range_, rows_exist=rows_exist)
                ).rowcount
                for rows_exist in (True, False)
            )

        return self._batches.run(work)


def _shorten(text: Any) -> str | None:
    return f"{text[:SHOWN]}…" if text is not None and len(text) > SHOWN else text
