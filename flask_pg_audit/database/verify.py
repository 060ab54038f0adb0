"""Comparing every live row with its last image: finds writes that bypassed auditing, and history that was deleted."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, MetaData

from .batches import BATCH_SIZE, JOIN_RANGES, Batches, open_batches
from .comparison import TableComparison
from .differences import Tally, Verified
from .lone_transactions import compare_transactions, read_histories
from .pairing import read_pair
from .patience import LOCK_TIMEOUT, TRIES, Patience
from .progress import Meter, Progress
from .selection import Selection, select_tables

#: Differences that are shown of each kind and table.
LIMIT = 100


def verify(
    metadata: MetaData,
    engine: Engine,
    *,
    tables: Iterable[str] | None = None,
    repair: bool = False,
    limit: int = LIMIT,
    batch_size: int = BATCH_SIZE,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
    progress: Progress | None = None,
) -> tuple[Verified, ...]:
    """Compare the audited tables with their histories, and the histories with ``audit_transaction``.

    Reads only, batch by batch, and takes no locks beyond those of a ``SELECT``. Others may write meanwhile. Columns
    that are excluded, not declared, or virtual are not compared, nor are tables without a primary key.

    :param tables: names of audited tables, with their schema where that is not the default one; ``None`` for all.
        Whether transactions have lost their changes is looked at for all only.
    :param repair: write the live row as an ``S`` row where history lacks it, and a ``D`` row where the row is gone.
        Each batch in which something is repaired locks the table in ``SHARE ROW EXCLUSIVE`` mode for a moment: writers
        wait. ``audit_transaction.context`` of these rows has ``{"repair": "verify"}``.
    :param limit: differences that are kept of each kind and table; all are counted.
    :param batch_size: rows that one statement compares.
    :param lock_timeout: seconds to wait for a lock in one try; 0 waits without end.
    :param tries: how often to try.
    :param progress: is told how many rows are compared, and how many there were.
    :returns: what was found, table by table; the last one is about ``audit_transaction`` unless ``tables`` are given.
    :raises AuditConfigError: no such table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: a history is not there or not complete, a privilege is missing, a lock could not be had,
        or something is to be repaired that is not recorded as declared.

    .. versionadded:: 0.1
    """
    selection = select_tables(metadata, engine, tables)
    selection.require_installed() if repair else selection.require_history()
    with open_batches(engine, Patience(lock_timeout, tries), JOIN_RANGES) as batches:
        meter = Meter(progress)
        meter.expect(_counts(batches, selection))
        tallies = {table.name.display: Tally(table.name.display, limit) for table in selection.tables}
        for table in selection.tables:
            tally, pair = tallies[table.name.display], read_pair(batches, table, selection.installed)
            if pair.key:
                TableComparison(batches, pair, batch_size, repair).run(tally, meter)
            else:
                tally.skipped = "has no primary key, so that its rows cannot be told apart"
        _compare_transactions(batches, selection, tallies, limit, batch_size, meter)
        return tuple(tally.result() for tally in tallies.values())


def _counts(batches: Batches, selection: Selection) -> Iterable[int]:
    for table in selection.tables:
        if table.trigger.key:
            yield batches.count("count_rows", table=table.name)
    yield batches.count("count_rows", table=selection.declared.infrastructure.transaction_table)


def _compare_transactions(
    batches: Batches, selection: Selection, tallies: dict[str, Tally], limit: int, batch_size: int, meter: Meter
) -> None:
    """Tables that other applications audit in the same database get tallies when something is found of them."""
    histories = read_histories(batches, selection)
    own = histories.shared.transaction_table.display
    others = {name: Tally(name, limit) for name in (*histories.ours.values(), own) if name not in tallies}
    compare_transactions(batches, histories, {**others, **tallies}, batch_size, meter)
    for name, tally in others.items():
        if tally.result().counts or (name == own and histories.holders is not None):
            tallies[name] = tally
