"""Building audit tables, ``audit_transaction`` and the shared sequence into a ``MetaData``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    DateTime,
    Identity,
    Index,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import INET, JSONB
from sqlalchemy.schema import BLANK_SCHEMA

from ..errors import AuditConfigError
from .columns import SETTING_KEY, build_image_column, build_own_columns, build_setting_column
from .naming import audit_table_name, shorten
from .options import AuditOptions

IS_AUDITED = "audit.is_audited"
IS_AUDIT_TABLE = "audit.is_audit_table"
TARGET_TABLE = "audit.target_table"
IS_TRANSACTION_TABLE = "audit.is_transaction_table"

SEQUENCE_NAME = "audit_id_seq"
TRANSACTION_TABLE_NAME = "audit_transaction"


def build_audit_table(table: Table, options: AuditOptions, settings: list[Column[Any]]) -> Table:
    """Create the audit table of ``table`` in the same ``MetaData`` and mark both.

    :param settings: the session settings to record, the app-wide ones first.
    :raises AuditConfigError: the audit table's name or one of its columns' names is already taken.
    """
    name = audit_table_name(table)
    schema = options.schema_name or table.schema
    _check_name_is_free(table, name, schema)
    columns = [*build_own_columns(), *map(build_setting_column, settings), *_image_columns(table, options)]
    _check_columns_are_distinct(table, columns)
    audit_table = Table(
        name,
        table.metadata,
        *columns,
        schema=schema or BLANK_SCHEMA,
        info={IS_AUDIT_TABLE: True, TARGET_TABLE: table},
        comment=f"Audit trail of {table.fullname}, written by triggers (flask_pg_audit)",
    )
    _add_key_index(audit_table, table)
    # The table first: an enum type, say, is created with it; and drop_all() drops the audit table first.
    audit_table.add_is_dependent_on(table)
    # A copy: one options dictionary may serve several tables, and the user's own is never touched.
    table.info = {**table.info, IS_AUDITED: True}
    return audit_table


def _image_columns(table: Table, options: AuditOptions) -> list[Column[Any]]:
    return [build_image_column(column) for column in table.columns if reaches_history(column, options)]


def reaches_history(column: Column[Any], options: AuditOptions) -> bool:
    """False for excluded columns, for virtual generated ones, and for PostgreSQL's own, such as ``xmin``.

    Triggers do not see the value of a virtual column (trap T14), and it can be derived again. No table can have a
    column named like a system column.
    """
    is_virtual = isinstance(column.computed, Computed) and column.computed.persisted is False
    return column.name not in options.exclude and not is_virtual and not column.system


def _check_name_is_free(table: Table, name: str, schema: str | None) -> None:
    fullname = f"{schema}.{name}" if schema else name
    if fullname in table.metadata.tables:
        raise AuditConfigError(
            f'table "{table.fullname}": its audit table would be called "{fullname}", and there is a table of '
            'that name already; set another naming convention for "audit.table" or another "schema_name"'
        )


def _check_columns_are_distinct(table: Table, columns: list[Column[Any]]) -> None:
    names = [column.name for column in columns]
    keys = [column.key for column in columns]
    for name in (*names, *keys):
        if names.count(name) > 1 or keys.count(name) > 1:
            raise AuditConfigError(
                f'table "{table.fullname}": its audit table would have two columns "{name}"; rename the column '
                f"or the session setting, or exclude the column (the audit table has {', '.join(names)})"
            )


def add_setting_column(audit_table: Table, setting: Column[Any]) -> None:
    """Append ``audit_<name>`` to an audit table that exists already.

    A setting declared for the table itself wins over an app-wide one of the same name.
    """
    column = build_setting_column(setting)
    existing = audit_table.columns.get(column.key)
    if existing is None or SETTING_KEY not in existing.info:
        append_audit_column(audit_table, column)


def append_audit_column(audit_table: Table, column: Column[Any]) -> None:
    """Append ``column`` to an audit table that exists already.

    :raises AuditConfigError: the name is taken.
    """
    _check_columns_are_distinct(audit_table.info[TARGET_TABLE], [*audit_table.columns, column])
    audit_table.append_column(column)


def _add_key_index(audit_table: Table, table: Table) -> None:
    """One record's timeline: an index on its key, then on the order of the changes."""
    key = [audit_table.columns[column.key] for column in table.primary_key]
    if key:
        Index(shorten(audit_table.name, "_key", "ix_"), *key, audit_table.c.audit_id)


def build_transaction_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_transaction`` and the sequence shared by all audit tables, in ``schema``.

    :raises AuditConfigError: there is a table of that name already.
    """
    fullname = f"{schema}.{TRANSACTION_TABLE_NAME}" if schema else TRANSACTION_TABLE_NAME
    if fullname in metadata.tables:
        raise AuditConfigError(f'the table name "{fullname}" is needed by flask_pg_audit and already taken')
    Sequence(SEQUENCE_NAME, schema=schema or BLANK_SCHEMA, metadata=metadata, data_type=BigInteger)
    return Table(
        TRANSACTION_TABLE_NAME,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("issued_at", DateTime(timezone=True), nullable=False, comment="when the transaction began"),
        Column("username", Text),
        Column("actor_id", Text),
        Column("db_role", String(64), nullable=False),
        Column("application_name", Text),
        Column("client_addr", INET),
        Column("context", JSONB),
        Column("continues", BigInteger, comment="an earlier row of the same transaction, before who changed"),
        schema=schema or BLANK_SCHEMA,
        info={IS_TRANSACTION_TABLE: True},
        comment="One row per database transaction that changed audited tables (flask_pg_audit)",
    )
