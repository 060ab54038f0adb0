"""Removing values from rows of one audit table, within a transaction that somebody else begins and ends."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, TableClause

from ..database.declared import Declared
from ..database.installed import Installed
from ..database.maintenance import begin_maintenance
from ..database.name import QualifiedName
from ..database.render import ident, qualified, render
from ..declare.absence import COMMENT_PREFIX, REDACTED
from ..errors import AuditInstallError
from ..seal.covered import CHANGE_KEY, ROW_KEY
from ..seal.leaves import read_leaves

#: A row of an audit table: its two numbers, and the columns whose values are to go.
Row = tuple[int, int, tuple[str, ...]]

#: Stands for the first number of a row of ``audit_view``, which has one number only.
NO_TRANSACTION = 0

#: Rows that one statement handles.
_AT_ONCE = 500

_T = TypeVar("_T")


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
        before = dict(read_leaves(connection, audit_table, CHANGE_KEY, keys))
        for columns, group in _by_columns(part):
            values = ", ".join(f"{ident(column)} = NULL" for column in columns)
            _update(connection, audit_table, values, CHANGE_KEY, group)
        after = dict(read_leaves(connection, audit_table, CHANGE_KEY, keys))
        _write_down(connection, declared, log, [(row, before.get(row[:2]), after.get(row[:2])) for row in part])
    for column in sorted({column for *_, columns in rows for column in columns}):
        mark = render("mark_redacted", table=audit_table, column=column, prefix=COMMENT_PREFIX, mark=REDACTED)
        connection.exec_driver_sql(mark, execution_options={"no_parameters": True})


def erase_views(connection: Connection, declared: Declared, log: Log, ids: Sequence[int]) -> None:
    """Make the queries in rows of ``audit_view`` say nothing but that, and write it down likewise."""
    table = declared.infrastructure.view_table
    for part in _parts(ids):
        keys = [(id_,) for id_ in part]
        before = dict(read_leaves(connection, table, ROW_KEY, keys))
        _update(connection, table, """query = '{"redacted": true}'""", ROW_KEY, keys)
        after = dict(read_leaves(connection, table, ROW_KEY, keys))
        rows = [((NO_TRANSACTION, id_, ("query",)), before.get((id_,)), after.get((id_,))) for id_ in part]
        _write_down(connection, declared, log, rows)


def _parts(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]


def _by_columns(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, ...], list[tuple[int, int]]]]:
    groups: dict[tuple[str, ...], list[tuple[int, int]]] = {}
    for transaction_id, audit_id, columns in rows:
        groups.setdefault(columns, []).append((transaction_id, audit_id))
    return groups.items()


def _update(
    connection: Connection, table: QualifiedName, values: str, key: Sequence[str], rows: Sequence[tuple[int, ...]]
) -> None:
    columns = ", ".join(map(ident, key))
    wanted = ", ".join(f"({', '.join(str(int(number)) for number in row)})" for row in rows)
    # Names are quoted, and numbers are numbers.
    statement = f"UPDATE {qualified(table)} SET {values} WHERE ({columns}) IN ({wanted})"  # noqa: S608
    done = connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).rowcount
    if done != len(rows):
        raise AuditInstallError(
            f"{table.display}: {done} rows were changed instead of {len(rows)}: a trigger or a rule holds others back"
        )


def _write_down(
    connection: Connection, declared: Declared, log: Log, rows: Iterable[tuple[Row, bytes | None, bytes | None]]
) -> None:
    values = [
        {
            "redacted_at": log.redacted_at,
            "maintenance_id": log.maintenance_id,
            "username": log.username,
            "db_role": log.db_role,
            "reason": log.reason,
            "table_schema": log.table.schema,
            "table_name": log.table.name,
            "key": None if log.key is None else dict(log.key),
            "columns": list(columns),
            "audit_transaction_id": transaction_id,
            "audit_id": audit_id,
            "leaf_before": before,
            "leaf_after": after,
        }
        for (transaction_id, audit_id, columns), before, after in rows
    ]
    connection.execute(sa.insert(log_table(declared)), values)


def log_table(declared: Declared) -> TableClause:
    """``audit_redaction``, under its full name and without the model's defaults."""
    columns: Iterator[Any] = (sa.column(column.name, column.type) for column in declared.redaction_table.columns)
    name = declared.infrastructure.redaction_table
    return sa.table(name.name, *columns, schema=name.schema)
