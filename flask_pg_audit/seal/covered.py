"""Which tables are sealed, and by what their rows are ordered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection

from ..database.declared import Declared
from ..database.installed import Installed
from ..database.name import QualifiedName
from ..database.render import literal, qualified
from ..database.view_table import has_view_log

#: The columns that order the rows of an audit table. A seal covers whole transactions, so the first one bounds it.
CHANGE_KEY = ("audit_transaction_id", "audit_id")

#: The column that orders ``audit_transaction`` and what is beside it.
ROW_KEY = ("id",)


@dataclass(frozen=True)
class CoveredTable:
    """A table whose rows are sealed.

    :ivar key: the columns that order its rows; all are ``bigint``, and the first one bounds what a seal covers.
    :ivar numbered_by: the table whose ``id`` the first column of the key is: its sequence and its writers tell which
        numbers can still come.
    """

    name: QualifiedName
    key: tuple[str, ...]
    numbered_by: QualifiedName


def find_covered(declared: Declared, installed: Installed) -> tuple[CoveredTable, ...]:
    """What there is to seal, ``audit_transaction`` first.

    Audit tables are those that are declared and those that functions in our schema write: of models that the
    application no longer has, or of another ``MetaData`` in the same database.
    """
    shared = declared.infrastructure
    found = [CoveredTable(shared.transaction_table, ROW_KEY, shared.transaction_table)]
    if shared.maintenance_table in installed.relations:
        found.append(CoveredTable(shared.maintenance_table, ROW_KEY, shared.maintenance_table))
    if has_view_log(declared, installed, shared):
        found.append(CoveredTable(shared.view_table, ROW_KEY, shared.view_table))
    for name in sorted({*declared.audit_tables, *_recorded(declared, installed)}):
        relation = installed.relations.get(name)
        if relation is not None and relation.is_table and set(CHANGE_KEY) <= relation.columns.keys():
            found.append(CoveredTable(name, CHANGE_KEY, shared.transaction_table))
    if shared.redaction_table in installed.relations:
        found.append(CoveredTable(shared.redaction_table, ROW_KEY, shared.redaction_table))
    return tuple(found)


def _recorded(declared: Declared, installed: Installed) -> Iterator[QualifiedName]:
    for name, function in installed.functions.items():
        fingerprint = function.fingerprint
        if fingerprint is None or fingerprint.audit_table is None:
            continue
        if name.schema == declared.infrastructure.schema:
            yield fingerprint.audit_table


def exists(connection: Connection, name: QualifiedName) -> bool:
    """Whether there is such a table now, in whatever schema."""
    query = f"SELECT pg_catalog.to_regclass({literal(qualified(name))}) IS NOT NULL"
    return bool(connection.exec_driver_sql(query, execution_options={"no_parameters": True}).scalar_one())
