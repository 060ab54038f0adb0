"""``S`` rows: a first image for rows that were there before auditing, while others write.

Why an ``S`` row never contradicts a change that is made at the same time:

1. A row that lacks history is locked with ``FOR NO KEY UPDATE``. Nobody can change it then until the transaction ends,
   and whoever changed it before has committed, the record of the change with the change. ``FOR SHARE`` would do for
   that, but two runs at a time could hold it, and each would write its ``S`` row. Foreign keys that refer to the row
   are not held up.
2. The next statement sees all that (``READ COMMITTED``: each statement has a snapshot of its own). If the row has
   history now, it gets no ``S`` row. If it has none, what it reads is the row, and nobody has changed it unseen.
3. The ``S`` row takes its ``audit_id`` under the lock. A change of the row takes a later one.

A repair (:mod:`.verify`) holds a table lock instead; a batch takes that of a writer, so the two wait for each other.

Rows that are locked by others are passed over, and looked at again when they have ended. Waiting for a row, a
transaction holds no other: it cannot be part of a deadlock over rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import Engine, MetaData

from ..errors import AuditInstallError
from .batches import BATCH_SIZE, WALK, Batches, open_batches
from .installed import Installed
from .name import QualifiedName
from .pairing import KeyRange, Pair, read_pair
from .patience import LOCK_TIMEOUT, TRIES, Patience
from .progress import Meter, Progress
from .render import qualified, render
from .selection import Selection, select_tables


@dataclass(frozen=True)
class Baselined:
    """What became of one table.

    :ivar rows: the ``S`` rows that were written.
    :ivar skipped: why nothing could be done; ``None`` where all is well.
    """

    table: str
    rows: int
    skipped: str | None = None


def baseline(
    metadata: MetaData,
    engine: Engine,
    *,
    tables: Iterable[str] | None = None,
    batch_size: int = BATCH_SIZE,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
    progress: Progress | None = None,
) -> tuple[Baselined, ...]:
    """Write an ``S`` row, its image, for every live row whose key has no history.

    Each batch is a transaction; it may be interrupted, and a further run goes on. Rows of a batch are locked with
    ``FOR NO KEY UPDATE``: they can be read, and whoever wants to change one waits until the batch is committed. A table
    without a primary key is done in one transaction, under a ``SHARE ROW EXCLUSIVE`` lock: its writers wait.

    :param tables: names of audited tables, with their schema where that is not the default one; ``None`` for all.
    :param batch_size: rows that one transaction writes.
    :param lock_timeout: seconds to wait for a lock in one try; 0 waits without end.
    :param tries: how often to try.
    :param progress: is told how many rows are done, and how many there were to do.
    :raises AuditConfigError: no such table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: a table is not recorded as declared, a privilege is missing, a lock could not be had,
        or a table that was named has neither primary key nor empty history. What was done before stays.

    .. versionadded:: 0.1
    """
    selection = select_tables(metadata, engine, tables)
    selection.require_installed()
    with open_batches(engine, Patience(lock_timeout, tries), WALK) as batches:
        jobs = [_build(batches, pair, selection.installed, batch_size) for pair in _read_pairs(batches, selection)]
        _refuse_named(selection, jobs)
        meter = Meter(progress)
        meter.expect(job.count() for job in jobs)
        return tuple(job.run(meter) for job in jobs)


def _read_pairs(batches: Batches, selection: Selection) -> Iterator[Pair]:
    for table in selection.tables:
        yield read_pair(batches, table, selection.installed)


def _build(batches: Batches, pair: Pair, installed: Installed, batch_size: int) -> _KeyedBaseline | _WholeBaseline:
    if not pair.key:
        return _WholeBaseline(batches, pair)
    # Partition by partition: rows are found again by their place, and each of the others would be asked for it too.
    leaves = tuple(
        partition.name
        for partition in installed.partitions.get(pair.table, ())
        if partition.has_rows and not partition.is_foreign
    )
    is_partitioned = installed.relations[pair.table].is_partitioned
    return _KeyedBaseline(batches, pair, leaves if is_partitioned else (pair.table,), batch_size)


def _refuse_named(selection: Selection, jobs: Iterable[_KeyedBaseline | _WholeBaseline]) -> None:
    for job in jobs:
        if selection.named and job.refusal is not None:
            raise AuditInstallError(f"{job.table}: {job.refusal}")


@dataclass(frozen=True)
class _Batch:
    """One batch as it went.

    :ivar found: rows that lacked history.
    :ivar locked: those of them that nobody else had locked.
    :ivar last: the key of the last one found; ``None`` for none.
    """

    found: int
    locked: int
    written: int
    last: tuple[str, ...] | None


class _KeyedBaseline:
    """A table with a primary key."""

    refusal: str | None = None

    def __init__(self, batches: Batches, pair: Pair, sources: tuple[QualifiedName, ...], batch_size: int) -> None:
        self._batches = batches
        self._pair = pair
        self.table = pair.table.display
        self._sources = sources
        self._batch_size = batch_size

    def count(self) -> int:
        return self._batches.count("count_unrecorded", pair=self._pair, range=KeyRange())

    def run(self, meter: Meter) -> Baselined:
        written = sum(self._run_source(source, meter) for source in self._sources)
        return Baselined(self.table, written)

    def _run_source(self, source: QualifiedName, meter: Meter) -> int:
        written, ranges = 0, [KeyRange()]
        while ranges:
            passed_over: list[KeyRange] = []
            for range_ in ranges:
                for part, batch in self._pass(source, range_):
                    written += batch.written
                    meter.advance(batch.written)
                    if batch.locked < batch.found:
                        passed_over.append(part)
            if passed_over:
                waited_for = self._write(source, passed_over[0], 1, skip_locked=False)
                written += waited_for.written
                meter.advance(waited_for.written)
            ranges = passed_over
        return written

    def _pass(self, source: QualifiedName, range_: KeyRange) -> Iterator[tuple[KeyRange, _Batch]]:
        """The batches of a range, each with its part of the range."""
        after = range_.after
        while True:
            batch = self._write(source, KeyRange(after, range_.until), self._batch_size, skip_locked=True)
            if batch.last is None:
                return
            yield KeyRange(after, batch.last), batch
            after = batch.last

    def _write(self, source: QualifiedName, range_: KeyRange, size: int, skip_locked: bool) -> _Batch:
        lock = render(
            "lock_unrecorded", pair=self._pair, source=source, range=range_, size=size, skip_locked=skip_locked
        )

        def work() -> _Batch:
            self._batches.lock(source, "ROW EXCLUSIVE")
            [(found, locked, relations, places, last)] = self._batches.rows(lock)
            written = self._record(source, relations, places) if locked else 0
            return _Batch(found, locked, written, tuple(last) if last else None)

        return self._batches.run(work)

    def _record(self, source: QualifiedName, relations: str, places: str) -> int:
        record = render("record_locked", pair=self._pair, source=source, relations=relations, places=places)
        return self._batches.execute(record).rowcount


class _WholeBaseline:
    """A table without a primary key: which rows have history cannot be told, so it is all or nothing."""

    def __init__(self, batches: Batches, pair: Pair) -> None:
        self._batches = batches
        self._pair = pair
        self.table = pair.table.display
        self._is_recorded = bool(self._history(""))
        has_baseline = self._is_recorded and bool(self._history("WHERE audit_operation = 'S'"))
        self.refusal = None if has_baseline or not self._is_recorded else self._reason

    @property
    def _reason(self) -> str:
        return (
            "has no primary key, and changes have been recorded already: which rows lack history cannot be told; "
            "declare a primary key"
        )

    def _history(self, where: str) -> int:
        # Names are quoted, and the rest is ours.
        query = f"SELECT EXISTS (SELECT FROM {qualified(self._pair.audit_table)} {where})"  # noqa: S608
        return self._batches.run(lambda: int(self._batches.execute(query).scalar_one()))

    def count(self) -> int:
        return 0 if self._is_recorded else self._batches.count("count_rows", table=self._pair.table)

    def run(self, meter: Meter) -> Baselined:
        written = 0 if self._is_recorded else self._batches.run(self._write)
        meter.advance(written)
        return Baselined(self.table, written, self.refusal)

    def _write(self) -> int:
        self._batches.lock(self._pair.table, "SHARE ROW EXCLUSIVE")
        query = f"SELECT EXISTS (SELECT FROM {qualified(self._pair.audit_table)})"  # noqa: S608
        if self._batches.execute(query).scalar_one():  # somebody was faster
            self.refusal = self._reason
            return 0
        return self._batches.execute(render("record_all", pair=self._pair)).rowcount
