"""Carrying a plan out: lock, compare, decide, write; all of it, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import AuditConflictError, Conflict, driver_message, sqlstate
from .comparison import Comparison, compare_rows, lock_rows, read_differences
from .constraints import check_deferred
from .decision import FORCEABLE, Rules, Write, check_columns, with_values
from .link import linked
from .live import LiveTable, read_live_tables
from .referrers import find_referrers
from .supplied import Supplied
from .target import Plan, Reverted, Target
from .versions import version_of
from .writing import Batch, make_batches, write_batches

#: Gets what is about to be written when its rows are locked; what it raises takes everything back.
Look = Callable[[Connection, Sequence[Batch]], None]

#: Rows whose conflicts are told.
MAX_ROWS = 100

#: SQLSTATEs that speak of the values, not of the server: constraints (class 23), data (22), and types that no cast
#: leads to.
_CLASSES = ("22", "23")
_STATES = frozenset({"42804", "42846", "428C9", "27000"})

_HINT = "Bring back chosen columns only (columns=…), or write over what differs (force=True)."


@dataclass(frozen=True)
class Options:
    """What a caller may choose.

    :ivar columns: bring back these only.
    :ivar force: write over what differs.
    :ivar values: what inserted rows get besides what is in the history.
    :ivar look: looks at what is about to be written.
    """

    columns: Iterable[str] | None = None
    force: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)
    dry_run: bool = False
    look: Look | None = None


def apply_plan(connection: Connection, build: Callable[[], Plan], options: Options) -> Reverted:
    """Carry out the plan that ``build`` makes, within a savepoint.

    :raises AuditConflictError: nothing was written.
    """
    with _savepoint(connection, keep=not options.dry_run):
        plan = build()
        tables = read_live_tables(connection, [recorded for recorded, _ in plan.targets])
        with _readable_errors():
            batches = make_batches(_decide(connection, tables, [targets for _, targets in plan.targets], options))
            if options.look is not None:
                options.look(connection, batches)
            _write(connection, tables, batches, plan, options)
    writes = tuple(write.row(batch.table) for batch in batches for write in batch.writes)
    return Reverted(writes, plan.link.as_json(), options.dry_run)


def _write(
    connection: Connection, tables: Sequence[LiveTable], batches: Sequence[Batch], plan: Plan, options: Options
) -> None:
    referrers = [] if options.force else find_referrers(connection, batches)
    if referrers:
        raise AuditConflictError(referrers, "Revert those first, or let it happen (force=True).")
    if batches:
        with linked(connection, plan.link):
            write_batches(connection, batches)
        check_deferred(connection, tables)


@contextmanager
def _savepoint(connection: Connection, keep: bool) -> Iterator[None]:
    """All or nothing; without ``keep``, nothing."""
    with connection.begin_nested() as savepoint:
        yield
        if not keep:
            savepoint.rollback()


def _decide(
    connection: Connection, tables: Sequence[LiveTable], targets: Sequence[Sequence[Target]], options: Options
) -> list[tuple[Rules, list[Write]]]:
    columns, supplied = check_columns(options.columns, tables), Supplied(options.values)
    supplied.check(tables)
    # All locks before anything is compared, in one order for everybody.
    for table, own in sorted(zip(tables, targets, strict=True), key=lambda pair: pair[0].name):
        lock_rows(connection, table, own)
    decided, conflicts, hint = [], list[Conflict](), ""
    for table, own in zip(tables, targets, strict=True):
        rules = Rules(table, columns, options.force, version_of(table.recorded.table), supplied)
        writes, refused = _decide_rows(rules, compare_rows(connection, table, own, rules.version))
        decided.append((rules, writes))
        conflicts += _told(connection, table, refused)
        hint = _HINT if any(conflict.reason in FORCEABLE for _, own in refused for conflict in own) else hint
    if conflicts:
        raise AuditConflictError(conflicts, hint)
    return decided


_Refused = list[tuple[Comparison, list[Conflict]]]


def _decide_rows(rules: Rules, comparisons: Iterable[Comparison]) -> tuple[list[Write], _Refused]:
    writes: list[Write] = []
    refused: _Refused = []
    for compared in comparisons:
        decision = rules.decide(compared)
        if isinstance(decision, Write):
            writes.append(decision)
        elif decision:
            refused.append((compared, decision))
    return writes, refused


def _told(connection: Connection, table: LiveTable, refused: _Refused) -> Iterator[Conflict]:
    """The conflicts of the first rows, with the values that differ."""
    first = refused[:MAX_ROWS]
    if first:
        differences = read_differences(connection, table, [compared.target for compared, _ in first])
        for (_, conflicts), (expected, found) in zip(first, differences, strict=True):
            yield from with_values(conflicts, expected, found)
    if len(refused) > len(first):
        reason = f"{len(refused) - len(first)} more rows differ"
        yield Conflict(table.name, {}, None, None, None, reason)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Constraints that the rows would violate, and values that do not fit any more, as conflicts."""
    try:
        yield
    except DBAPIError as error:
        state = sqlstate(error) or ""
        if state[:2] not in _CLASSES and state not in _STATES:
            raise
        raise AuditConflictError([_conflict(error)]) from error


def _conflict(error: DBAPIError) -> Conflict:
    # psycopg2 and psycopg 3 keep the fields of the server's message in .diag, asyncpg on the error itself.
    diagnostics = getattr(error.orig, "diag", error.orig)
    said = [driver_message(error), getattr(diagnostics, "message_detail", None) or getattr(diagnostics, "detail", None)]
    schema, table = (getattr(diagnostics, f"{name}_name", None) for name in ("schema", "table"))
    where = table if schema in (None, "public") else f"{schema}.{table}"
    return Conflict(
        where or "the database",
        {},
        getattr(diagnostics, "column_name", None),
        None,
        None,
        " ".join(filter(None, said)),
    )
