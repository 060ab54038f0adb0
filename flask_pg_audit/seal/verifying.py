"""Comparing history with its seals: which row was changed, removed or added since it was sealed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from ..database.declared import Declared
from ..database.name import QualifiedName
from ..database.progress import Meter, Progress
from ..database.render import ident, qualified
from ..database.selection import select_tables
from ..errors import AuditConfigError, AuditSealError, driver_message
from .canonical import read_canonical, settle_output
from .chain import check_chain, first_of_each
from .comparison import Comparison
from .covered import exists, find_covered
from .finding import ROW_MISSING, Findings, VerifiedSeals
from .keys import SealKey, by_id
from .record import Seal
from .redactions import Redactions, read_redactions
from .store import read_seals
from .tracks import Track, find_tracks

#: Findings that are kept of each kind and table.
LIMIT = 100


def verify_seals(
    metadata: MetaData,
    engine: Engine,
    *,
    keys: Iterable[SealKey] = (),
    copies: Iterable[Seal] = (),
    redactions: Redactions | None = None,
    pruned: Collection[str] = (),
    limit: int = LIMIT,
    progress: Progress | None = None,
) -> VerifiedSeals:
    """Recompute everything that was sealed, from the rows as they are now.

    Reads only, in one ``REPEATABLE READ`` transaction, and takes no locks beyond those of a ``SELECT``. Rows that are
    not sealed yet are not looked at.

    :param keys: those that signatures may be of; of Ed25519 the public ones are enough.
    :param copies: the seals that were kept elsewhere. Without them nobody can tell whether the newest were cut off.
    :param redactions: which rows were redacted; such a row is no finding.
    :param pruned: tables, as messages name them, whose oldest rows may be gone, since they are kept for a while only.
    :param limit: findings that are kept of each kind and table; all are counted.
    :param progress: is told how many rows are compared, and how many there are to be.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditSealError: there are no seals, or a privilege is missing.

    .. versionadded:: 0.1
    """
    findings = Findings(limit)
    with _snapshot(engine) as connection:
        selection = select_tables(metadata, connection, None)
        shared = selection.declared.infrastructure
        for name in (shared.seal_table, shared.leaves_table):
            if not exists(connection, name):
                raise AuditSealError(f"the table {name.display} is not in the database; run flask audit install")
        stored, kept = dict(read_seals(connection, shared)), first_of_each(copies)
        if not stored and not kept:
            raise AuditSealError("nothing is sealed yet; run flask audit seal")
        chain = check_chain(stored, kept, by_id(keys), findings)
        settle_output(connection)
        meter = Meter(progress)
        meter.expect(seal.rows for seal in chain)
        covered = find_covered(selection.declared, selection.installed)
        steps = read_redactions(connection, shared) if redactions is None else redactions
        comparison = Comparison(connection, shared, steps, frozenset(pruned), meter)
        for track in find_tracks(connection, shared, chain, covered, findings):
            comparison.compare(track, findings)
            _name_records(connection, track, selection.declared, findings)
        return findings.result(len(chain))


def _name_records(connection: Connection, track: Track, declared: Declared, findings: Findings) -> None:
    """Say of the rows that are there which record they are about."""
    key = next((t.trigger.key for t in declared.tables if t.trigger.audit_table == track.table), ())
    names = [column.name for column in key]
    if not names or not set(read_canonical(connection, track.table).names).issuperset(names):
        return
    for finding in findings.of_table(track.table.display):
        if finding.row and finding.kind != ROW_MISSING:
            record = _read_record(connection, track.table, finding.row, names)
            findings.replace(finding, replace(finding, key=record))


def _read_record(
    connection: Connection, table: QualifiedName, row: Mapping[str, int], names: Sequence[str]
) -> dict[str, str | None]:
    values = ", ".join(f"CASE WHEN {ident(n)} IS DISTINCT FROM NULL THEN concat({ident(n)}) END" for n in names)
    where = " AND ".join(f"{ident(column)} = {number}" for column, number in row.items())
    query = f"SELECT {values} FROM {qualified(table)} WHERE {where} LIMIT 1"  # noqa: S608
    found = connection.exec_driver_sql(query, execution_options={"no_parameters": True}).first()
    return {} if found is None else dict(zip(names, found, strict=True))


@contextmanager
def _snapshot(engine: Engine) -> Iterator[Connection]:
    if not isinstance(engine, Engine):
        raise AuditConfigError(f"an Engine is needed, since all is read in one transaction; got {engine!r}")
    try:
        with engine.connect() as connection:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                connection.exec_driver_sql("SET TRANSACTION READ ONLY")
                yield connection
    except DBAPIError as error:
        raise AuditSealError(f"the seals cannot be verified: PostgreSQL said: {driver_message(error)}") from error
