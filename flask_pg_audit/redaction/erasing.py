"""Removing values from rows of one audit table, within a transaction that somebody else begins and ends."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, TableClause

from ..database.declared import Declared
from ..database.installed import Installed
from ..database.maintenance import begin_maintenance
from ..database.name import QualifiedName
from ..database.render import ident, qualified, render
from ..declare.absence import COMMENT_PREFIX, REDACTED
from ..errors import AuditInstallError
from .leaves import read_leaves

#: A row of an audit table: its two numbers, and the columns whose values are to go.
Row = tuple[int, int, tuple[str, ...]]

#: Rows that one statement handles.
_AT_ONCE = 500


@dataclass(frozen=True)
class Log:
    """What is written down of each row.

    :ivar table: the audited table.
    :ivar key: of the record; ``None`` where no single one is meant.
    """

    maintenance_id: int
    redacted_at: datetime.datetime
    db_role: str
    username: str | None
    reason: str
    table: QualifiedName
    key: Mapping[str, str] | None


def begin(
    connection: Connection,
    declared: Declared,
    installed: Installed,
    reason: str,
    table: QualifiedName,
    key: Mapping[str, str] | None,
) -> Log:
    """Open history for the rest of the transaction, and say for what."""
    shared = declared.infrastructure
    opened = begin_maintenance(connection, shared, installed, reason)
    if opened is None:
        raise AuditInstallError("history has no guard yet; run flask audit install first")
    query = (
        "SELECT db_role, CASE WHEN pg_catalog.current_setting('audit.username', true) <> '' "  # noqa: S608
        "THEN pg_catalog.current_setting('audit.username', true) END, pg_catalog.clock_timestamp() "
        f"FROM {qualified(shared.maintenance_table)} WHERE id = {opened}"
    )
    db_role, username, now = connection.exec_driver_sql(query, execution_options={"no_parameters": True}).one()
    return Log(opened, now, db_role, username, reason, table, key)


def erase(
    connection: Connection, declared: Declared, log: Log, audit_table: QualifiedName, rows: Sequence[Row]
) -> None:
    """Make the values null, and write down from which rows, with the hashes of these before and after."""
    for part in _parts(rows):
        keys = [(transaction_id, audit_id) for transaction_id, audit_id, _ in part]
        before = read_leaves(connection, audit_table, keys)
        for columns, group in _by_columns(part):
            _clear(connection, audit_table, columns, group)
        after = read_leaves(connection, audit_table, keys)
        _write_down(connection, declared, log, part, before, after)
    for column in sorted({column for *_, columns in rows for column in columns}):
        mark = render("mark_redacted", table=audit_table, column=column, prefix=COMMENT_PREFIX, mark=REDACTED)
        connection.exec_driver_sql(mark, execution_options={"no_parameters": True})


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


def _by_columns(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, ...], list[tuple[int, int]]]]:
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for transaction_id, audit_id, columns in rows:
        groups.setdefault(columns, []).append((transaction_id, audit_id))
    return groups.items()


def _clear(
    connection: Connection, table: QualifiedName, columns: Sequence[str], keys: Sequence[tuple[int, int]]
) -> None:
    values = ", ".join(f"{ident(column)} = NULL" for column in columns)
    wanted = ", ".join(f"({int(transaction_id)}, {int(audit_id)})" for transaction_id, audit_id in keys)
    statement = (
        f"UPDATE {qualified(table)} SET {values} "  # noqa: S608 - names are quoted, and numbers are numbers
        f"WHERE (audit_transaction_id, audit_id) IN ({wanted})"
    )
    done = connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).rowcount
    if done != len(keys):
        raise AuditInstallError(
            f"{table.display}: {done} rows were changed instead of {len(keys)}: a trigger or a rule holds others back"
        )


def _write_down(
    connection: Connection,
    declared: Declared,
    log: Log,
    rows: Sequence[Row],
    before: Mapping[tuple[int, int], bytes],
    after: Mapping[tuple[int, int], bytes],
) -> None:
    connection.execute(
        sa.insert(log_table(declared)),
        [
            {
                "redacted_at": log.redacted_at,
                "maintenance_id": log.maintenance_id,
                "username": log.username,
                "db_role": log.db_role,
                "reason": log.reason,
                "table_schema": log.table.schema,
                "table_name": log.table.name,
                "key": sa.null() if log.key is None else dict(log.key),
                "columns": list(columns),
                "audit_transaction_id": transaction_id,
                "audit_id": audit_id,
                "leaf_before": before.get((transaction_id, audit_id)),
                "leaf_after": after.get((transaction_id, audit_id)),
            }
            for transaction_id, audit_id, columns in rows
        ],
    )


def log_table(declared: Declared) -> TableClause:
    """``audit_redaction``, under its full name and without the model's defaults."""
    columns: Iterator[Any] = (sa.column(column.name, column.type) for column in declared.redaction_table.columns)
    name = declared.infrastructure.redaction_table
    return sa.table(name.name, *columns, schema=name.schema)
