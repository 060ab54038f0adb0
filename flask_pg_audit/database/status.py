"""The state of each audited table, as ``flask audit status`` shows it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, MetaData

from . import seal_tables, view_table
from .action import Plan
from .install import plan_installation
from .installed import Installed
from .name import QualifiedName
from .render import qualified

_BESIDE = (view_table.MISSING, view_table.OUTDATED, seal_tables.MISSING, seal_tables.OUTDATED)


@dataclass(frozen=True)
class TableStatus:
    """One audited table.

    :ivar state: ``installed``, ``missing`` (nothing records), ``disabled`` or ``outdated``.
    :ivar todo: what ``flask audit install`` would do about it.
    :ivar problems: what it could not mend.
    :ivar errors: what would stop it.
    :ivar rows: the audit table's rows, counted up to 100,000, estimated above; ``None`` without an audit table.
    :ivar bytes: the audit table's size on disk with its indexes.
    :ivar last_change: when the newest change was recorded, with time zone; ``None`` for an empty audit table.
    """

    table: str
    audit_table: str
    state: str
    todo: tuple[str, ...]
    problems: tuple[str, ...]
    errors: tuple[str, ...]
    rows: int | None
    bytes: int | None
    last_change: datetime.datetime | None


def read_status(metadata: MetaData, engine: Engine) -> Iterator[TableStatus]:
    """The status of every audited table of ``metadata``, in order. Reads only."""
    declared, installed, todo = plan_installation(metadata, engine)
    with engine.connect() as connection:
        for table in declared.tables:
            name = table.trigger.table
            part = todo.for_table(name, with_shared=True)
            audit_table = table.trigger.audit_table
            figures = _read_figures(connection, audit_table) if audit_table in installed.relations else (None,) * 3
            yield TableStatus(
                name.display,
                audit_table.display,
                _state(part, name, installed),
                tuple(map(str, part.actions)),
                tuple(problem.message for problem in part.problems if not problem.fatal),
                tuple(problem.message for problem in part.fatal),
                *figures,
            )


def _state(part: Plan, table: QualifiedName, installed: Installed) -> str:
    # Whether a table records has nothing to do with the log of its readers, with seals, nor with the guard of what
    # tables share.
    reasons = {
        action.reason
        for action in part.actions
        if action.code not in _BESIDE and not (action.guards_history and action.table is None)
    }
    if part.fatal or not installed.triggers.get(table):
        return "missing"
    if reasons and reasons <= {"disabled", "replica only"}:
        return "disabled"
    return "outdated" if reasons else "installed"


def _read_figures(connection: Connection, audit_table: QualifiedName) -> tuple[int, int, datetime.datetime | None]:
    name = qualified(audit_table).replace("%", "%%")
    rows, estimate, size = connection.exec_driver_sql(
        f"SELECT (SELECT count(*) FROM (SELECT FROM {name} LIMIT 100001) AS r), reltuples::pg_catalog.int8,"  # noqa: S608
        f" pg_catalog.pg_total_relation_size(CAST(%(name)s AS pg_catalog.regclass)) FROM pg_catalog.pg_class"
        " WHERE oid = CAST(%(name)s AS pg_catalog.regclass)::pg_catalog.oid",
        {"name": qualified(audit_table)},
    ).one()
    last = connection.exec_driver_sql(
        f"SELECT audit_operation_timestamp FROM {name} "  # noqa: S608
        "ORDER BY audit_transaction_id DESC, audit_id DESC LIMIT %(one)s",
        {"one": 1},
    ).scalar()
    return max(rows, estimate) if rows > 100_000 else rows, size, last
