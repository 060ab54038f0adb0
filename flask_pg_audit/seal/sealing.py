"""Sealing: the settled part of the history that no seal covers yet becomes one more link of the chain."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from ..database.adopt import ADOPTION_LOCK
from ..database.function import Infrastructure
from ..database.install import ADVISORY_LOCK
from ..database.name import QualifiedName
from ..database.patience import LOCK_NOT_AVAILABLE
from ..database.progress import Meter, Progress
from ..database.render import ident, literal, qualified
from ..database.selection import Selection, select_tables
from ..errors import AuditConfigError, AuditSealError, driver_message, sqlstate
from .canonical import read_canonical, settle_output
from .covered import CoveredTable, exists, find_covered
from .keys import SealKey
from .leaves import Leaf, store_leaves, stream_leaves
from .merkle import MerkleTree
from .record import Seal, SealedTable
from .renames import find_renamed
from .settled import settle
from .store import read_last_seal, write_seal

#: Seconds to wait for what is in flight.
WAIT = 10.0

#: Key of the advisory lock that serialises sealing in one database: "flask_ps" in ASCII.
SEAL_LOCK = 0x666C61736B5F7073

_INSUFFICIENT_PRIVILEGE, _UNIQUE_VIOLATION = "42501", "23505"

_AS_IT_IS = {"no_parameters": True}


def seal(
    metadata: MetaData,
    engine: Engine,
    *,
    key: SealKey | None = None,
    wait: float = WAIT,
    heartbeat: bool = False,
    progress: Progress | None = None,
) -> Seal | None:
    """Seal the part of the history that is settled and that no seal covers yet, in one transaction.

    Covers the rows of all audit tables and ``audit_transaction``, and of ``audit_maintenance``, ``audit_redaction`` and
    ``audit_view`` where there are such. Others may write meanwhile: the only locks are those of a ``SELECT``, and
    installations wait.

    :param key: signs the seal.
    :param wait: seconds for transactions that are in flight, for locks, and for another run.
    :param heartbeat: make a seal even where there is nothing new: it says that there was nothing.
    :param progress: is told how many rows are sealed, and about how many there are.
    :returns: the new seal; ``None`` where there is nothing new.
    :raises AuditConfigError: no table is audited, ``engine`` is not for PostgreSQL, or ``key`` can only verify.
    :raises AuditInstallError: the tables are not installed, or not all of the history is there.
    :raises AuditSealError: a transaction did not end in time, or the chain cannot be continued. Nothing is written.

    .. versionadded:: 0.1
    """
    with _transaction(engine, wait) as connection:
        _lock(connection, wait)
        selection = select_tables(metadata, connection, None)
        _require_tables(selection)
        shared = selection.declared.infrastructure
        last = read_last_seal(connection, shared)
        covered = _with_sealed(connection, find_covered(selection.declared, selection.installed), last, shared)
        bounds = settle(connection, {table.numbered_by for table in covered}, wait)
        settle_output(connection)
        parts = tuple(_parts(connection, covered, bounds, last, shared))
        run = _Run(connection, shared, last, key, Meter(progress))
        run.meter.expect(_estimate(connection, part) for part in parts)
        return run.seal(parts, heartbeat)


@dataclass(frozen=True)
class _Part:
    """One table, and which of its rows are to be sealed."""

    table: CoveredTable
    after: int | None
    until: int
    formerly: QualifiedName | None


@dataclass(frozen=True)
class _Run:
    connection: Connection
    shared: Infrastructure
    last: Seal | None
    key: SealKey | None
    meter: Meter

    def seal(self, parts: Sequence[_Part], heartbeat: bool) -> Seal | None:
        number = 1 if self.last is None else self.last.id + 1
        tables = tuple(self._seal_table(number, place, part) for place, part in enumerate(parts))
        if not heartbeat and not any(table.count for table in tables):
            return None
        made = self._sign(number, tables)
        write_seal(self.connection, self.shared, made)
        return made

    def _seal_table(self, number: int, place: int, part: _Part) -> SealedTable:
        name, key, tree = part.table.name, part.table.key, MerkleTree()
        canonical = read_canonical(self.connection, name)
        leaves = stream_leaves(self.connection, name, key, canonical, part.after, part.until)
        store_leaves(self.connection, self.shared, number, place, self._grow(tree, leaves))
        formerly = None if part.formerly is None else (part.formerly.schema, part.formerly.name)
        return SealedTable(
            name.schema,
            name.name,
            key,
            part.after,
            part.until,
            tree.count,
            tree.root.hex(),
            canonical.names if tree.count else (),
            formerly,
        )

    def _grow(self, tree: MerkleTree, leaves: Iterator[Leaf]) -> Iterator[Leaf]:
        for leaf in leaves:
            tree.append(leaf[1])
            self.meter.advance(1)
            yield leaf

    def _sign(self, number: int, tables: tuple[SealedTable, ...]) -> Seal:
        previous = None if self.last is None else self.last.hash
        made = Seal(number, self._now(), previous, tables, None if self.key is None else self.key.id)
        digest = made.digest()
        signature = None if self.key is None else self.key.sign(digest).hex()
        return replace(made, hash=digest.hex(), signature=signature)

    def _now(self) -> datetime.datetime:
        query = "SELECT pg_catalog.clock_timestamp()"
        now: datetime.datetime = self.connection.exec_driver_sql(query).scalar_one()
        return now.astimezone(datetime.timezone.utc)


def _require_tables(selection: Selection) -> None:
    selection.require_history()
    missing = [name for _, name in selection.declared.seal_tables if name not in selection.installed.relations]
    if missing:
        raise AuditSealError(f"the table {missing[0].display} is not in the database; run flask audit install first")


def _with_sealed(
    connection: Connection, covered: tuple[CoveredTable, ...], last: Seal | None, shared: Infrastructure
) -> tuple[CoveredTable, ...]:
    """Also what was sealed before and is no longer declared: its history is still there."""
    known = {table.name for table in covered}
    kept = [
        CoveredTable(table.table, table.key, numbered_by(table, shared))
        for table in (last.tables if last is not None else ())
        if table.table not in known and exists(connection, table.table)
    ]
    return (*covered, *kept)


def numbered_by(table: SealedTable, shared: Infrastructure) -> QualifiedName:
    """The table whose sequence bounds it."""
    return table.table if len(table.key) == 1 else shared.transaction_table


def _parts(
    connection: Connection,
    covered: tuple[CoveredTable, ...],
    bounds: Mapping[QualifiedName, int],
    last: Seal | None,
    shared: Infrastructure,
) -> Iterator[_Part]:
    sealed = {table.table: table for table in (last.tables if last is not None else ())}
    new = [table for table in covered if table.name not in sealed]
    gone = [table for name, table in sealed.items() if name not in {table.name for table in covered}]
    renamed = {} if last is None else find_renamed(connection, shared, gone, new, last.id)
    for table in covered:
        before = sealed.get(table.name) or renamed.get(table.name)
        after, until = None if before is None else before.until, bounds[table.numbered_by]
        if after is not None and until < after:
            raise AuditSealError(
                f"the newest number of {table.numbered_by.display} is {until:,}, and it was sealed up to {after:,}: "
                "the database was taken back to an earlier state; run flask audit verify --seals"
            )
        formerly = before.table if before is not None and before.table != table.name else None
        yield _Part(table, after, until, formerly)


def _estimate(connection: Connection, part: _Part) -> int:
    """How many rows there may be, without reading them."""
    if part.after is None:
        oid = f"{literal(qualified(part.table.name))}::pg_catalog.regclass"
        query = f"SELECT greatest(reltuples, 0)::pg_catalog.int8 FROM pg_catalog.pg_class WHERE oid = {oid}"  # noqa: S608
    else:
        column = ident(part.table.key[0])
        query = f"SELECT count(*) FROM {qualified(part.table.name)} WHERE {column} > {part.after}"  # noqa: S608
    return int(connection.exec_driver_sql(query, execution_options=_AS_IT_IS).scalar_one())


def _lock(connection: Connection, wait: float) -> None:
    """One run at a time, and none beside an installation or an adoption: these move tables, and hand out numbers."""
    connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({SEAL_LOCK})")
    connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock_shared({ADVISORY_LOCK})")
    adopting = f"SELECT pg_catalog.pg_try_advisory_xact_lock_shared({ADOPTION_LOCK})"
    if not connection.exec_driver_sql(adopting).scalar_one():
        raise AuditSealError("flask audit install is numbering the rows of adopted tables; seal when it is through")


@contextmanager
def _transaction(engine: Engine, wait: float) -> Iterator[Connection]:
    """``READ COMMITTED``, whatever the engine has: what was waited for has to be seen."""
    if not isinstance(engine, Engine):
        raise AuditConfigError(f"an Engine is needed, since a seal is a transaction of its own; got {engine!r}")
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(isolation_level="READ COMMITTED")
            with connection.begin():
                milliseconds = max(round(wait * 1000), 1)
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
                yield connection
    except DBAPIError as error:
        raise AuditSealError(f"nothing was sealed: {driver_message(error)}{_way_out(error)}") from error


def _way_out(error: DBAPIError) -> str:
    if sqlstate(error) == LOCK_NOT_AVAILABLE:
        return "; another seal, an installation or a migration is running: wait for longer with --wait"
    if sqlstate(error) == _UNIQUE_VIOLATION:
        return "; seals are missing: run flask audit verify --seals"
    if sqlstate(error) == _INSUFFICIENT_PRIVILEGE:
        return "; run it as the owner of the tables, or as a superuser"
    return ""
