"""Transactions without changes, and changes without their transaction: rows that were deleted from the history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .batches import Batches
from .differences import CHANGE_WITHOUT_TRANSACTION, TRANSACTION_WITHOUT_CHANGES, Difference, Tally
from .function import Infrastructure
from .name import QualifiedName
from .progress import Meter
from .render import render
from .selection import Selection


@dataclass(frozen=True)
class Histories:
    """The audit tables to which the rows of one ``audit_transaction`` belong.

    :ivar ours: those that are known to belong to it, with the names of their audited tables.
    :ivar holders: those that may have changes of its transactions: ours, and those that nothing writes any more, since
        their tables are no longer audited. ``None``: only ours are looked at.
    """

    shared: Infrastructure
    ours: Mapping[QualifiedName, str]
    holders: tuple[QualifiedName, ...] | None


def read_histories(batches: Batches, selection: Selection) -> Histories:
    """Find them by the comments on the functions that write them, by the declaration, and by their columns."""
    shared = selection.declared.infrastructure
    ours = {table.trigger.audit_table: table.name.display for table in selection.tables}
    if selection.named:
        return Histories(shared, ours, None)
    recorded, elsewhere = {}, set()
    for name, function in selection.installed.functions.items():
        fingerprint = function.fingerprint
        if fingerprint is None or fingerprint.audit_table is None or fingerprint.table is None:
            continue
        if name.schema == shared.schema:
            recorded[fingerprint.audit_table] = fingerprint.table.display
        else:
            elsewhere.add(fingerprint.audit_table)
    found = batches.run(lambda: [QualifiedName(*row) for row in batches.rows(render("read_histories"))])
    ours = {**{name: recorded[name] for name in found if name in recorded}, **ours}
    unclaimed = (name for name in found if name not in ours and name not in elsewhere)
    return Histories(shared, ours, (*ours, *unclaimed))


def compare_transactions(
    batches: Batches, histories: Histories, tallies: Mapping[str, Tally], batch_size: int, meter: Meter
) -> None:
    """Compare ``audit_transaction`` with the histories, range by range of its id, each by one statement.

    :param tallies: by table; a transaction without changes goes to the one called as the table ``audit_transaction``.
    """
    places = (histories.shared.transaction_table.display, *histories.ours.values())
    after: int | None = None
    while True:
        until = _next(batches, histories, after, batch_size)
        query = render(
            "find_lone_transactions",
            shared=histories.shared,
            holders=histories.holders,
            ours=tuple(histories.ours),
            after=after,
            until=until,
        )
        found = batches.run(lambda query=query: batches.rows(query))  # type: ignore[misc]
        for _, place, id_ in found:
            if place is not None:
                _count(tallies[places[place]], place == 0, id_)
        meter.advance(found[0][0])
        if until is None:
            return
        after = until


def _next(batches: Batches, histories: Histories, after: int | None, size: int) -> int | None:
    names = tuple(histories.ours)
    query = render("next_transaction", shared=histories.shared, histories=names, after=after, size=size)
    [(until,)] = batches.run(lambda: batches.rows(query))
    return None if until is None else int(until)


def _count(tally: Tally, is_transaction: bool, id_: int) -> None:
    kind = TRANSACTION_WITHOUT_CHANGES if is_transaction else CHANGE_WITHOUT_TRANSACTION
    tally.count(kind, 1)
    key = {"id" if is_transaction else "audit_transaction_id": str(id_)}
    tally.keep(Difference(kind, tally.table, key))
