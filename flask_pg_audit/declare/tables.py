"""Building audit tables and what they share, tables and sequence, into a ``MetaData``."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Computed,
    DateTime,
    FromClause,
    Identity,
    Index,
    MetaData,
    Sequence,
    String,
    Table,
    Text,
    func,
    literal_column,
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
IS_VIEW_TABLE = "audit.is_view_table"
IS_MAINTENANCE_TABLE = "audit.is_maintenance_table"

SEQUENCE_NAME = "audit_id_seq"
TRANSACTION_TABLE_NAME = "audit_transaction"
VIEW_TABLE_NAME = "audit_view"
MAINTENANCE_TABLE_NAME = "audit_maintenance"

#: Characters of a text that an index on it has.
INDEXED_LENGTH = 100


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
    _add_indexes(audit_table, table)
    # The table first: an enum type, say, is created with it; and drop_all() drops the audit table first.
    audit_table.add_is_dependent_on(table)
    # A copy: one options dictionary may serve several tables, and the user's own is never touched.
    table.info = {**table.info, IS_AUDITED: True}
    return audit_table


def _image_columns(table: Table, options: AuditOptions) -> list[Column[Any]]:
    recorded = (column for column in table.columns if reaches_history(column, options))
    return [build_image_column(column, options.mask_of(column.name)) for column in recorded]


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


def _add_indexes(audit_table: Table, table: Table) -> None:
    """Besides the primary key, which is the order of the feed."""
    # One record's timeline: its key, then the order of the changes.
    key = [audit_table.columns[column.key] for column in table.primary_key]
    if key:
        Index(shorten(audit_table.name, "_key", "ix_"), *key, audit_table.c.audit_id)
    # A short time out of a long history. Rows come in the order of time, so a few bytes for each 128 pages do; a
    # B-tree would cost every write.
    Index(
        shorten(audit_table.name, "_time", "ix_"),
        audit_table.c.audit_operation_timestamp,
        postgresql_using="brin",
        postgresql_with={"autosummarize": "on"},
    )


def build_transaction_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_transaction`` and the sequence shared by all audit tables, in ``schema``.

    :raises AuditConfigError: there is a table of that name already.
    """
    check_own_name_is_free(metadata, TRANSACTION_TABLE_NAME, schema, "set another AUDIT_SCHEMA, or rename that table")
    Sequence(SEQUENCE_NAME, schema=schema or BLANK_SCHEMA, metadata=metadata, data_type=BigInteger)
    table = Table(
        TRANSACTION_TABLE_NAME,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("issued_at", DateTime(timezone=True), nullable=False, comment="when its first change was made"),
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
    # Who, which request, when: written once per transaction. The id last, so that the newest come first.
    for name, value in (
        ("username", indexed_part(table.c.username)),
        ("actor_id", indexed_part(table.c.actor_id)),
        ("request_id", indexed_part(request_id_of(table))),
        ("issued_at", table.c.issued_at),
    ):
        Index(f"ix_{TRANSACTION_TABLE_NAME}_{name}", value, table.c.id)
    return table


def build_view_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_view``, in which the Flask layer records who read the log, in ``schema``.

    No trigger writes it and it is no audit table: nothing in it is a change.

    :raises AuditConfigError: there is a table of that name already.
    """
    check_own_name_is_free(
        metadata, VIEW_TABLE_NAME, schema, "set AUDIT_LOG_VIEWS = False or another AUDIT_SCHEMA, or rename that table"
    )
    table = Table(
        VIEW_TABLE_NAME,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("viewed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
        Column("username", Text),
        Column("actor_id", Text),
        Column("remote_addr", Text),  # no INET: behind a proxy it is what somebody says
        Column("request_id", Text),
        Column("action", Text, nullable=False, comment="view, search, export or revert"),
        Column("page", Text, nullable=False, comment="endpoint"),
        Column("query", JSONB, nullable=False, comment="what was asked for"),
        Column("row_count", BigInteger),
        schema=schema or BLANK_SCHEMA,
        info={IS_VIEW_TABLE: True},
        comment="Who read the audit log (flask_pg_audit)",
    )
    # A time out of a long log, and retention; the page goes by the primary key.
    Index(f"ix_{VIEW_TABLE_NAME}_viewed_at", table.c.viewed_at, table.c.id)
    return table


def build_maintenance_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_maintenance``, which tells when history was opened for rewriting, by whom and why, in ``schema``.

    :raises AuditConfigError: there is a table of that name already.
    """
    check_own_name_is_free(metadata, MAINTENANCE_TABLE_NAME, schema, "set another AUDIT_SCHEMA, or rename that table")
    return Table(
        MAINTENANCE_TABLE_NAME,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("began_at", DateTime(timezone=True), nullable=False, comment="when its transaction began"),
        Column("xact", Text, nullable=False, comment="its transaction; means nothing in another cluster"),
        Column("db_role", String(64), nullable=False),
        Column("reason", Text, nullable=False),
        Column("transaction_id", BigInteger, comment="row of audit_transaction, when there was one"),
        schema=schema or BLANK_SCHEMA,
        info={IS_MAINTENANCE_TABLE: True},
        comment="When history was opened for rewriting, by whom and why (flask_pg_audit)",
    )


def check_own_name_is_free(metadata: MetaData, name: str, schema: str | None, fix: str) -> None:
    """Refuse to declare a shared table where the application has one of that name.

    :raises AuditConfigError: with the way out that ``fix`` says.
    """
    fullname = f"{schema}.{name}" if schema else name
    if fullname in metadata.tables:
        raise AuditConfigError(f'the table name "{fullname}" is needed by flask_pg_audit and already taken; {fix}')


def indexed_part(value: ColumnElement[Any]) -> ColumnElement[str]:
    """As much of a text as an index on it has: whoever may send SQL chooses how long a name is, and PostgreSQL refuses
    a row whose index entry would be longer than 2,704 bytes."""
    return func.substr(value, literal_column("1"), literal_column(str(INDEXED_LENGTH)), type_=Text())


def request_id_of(transaction: FromClause) -> ColumnElement[str]:
    """The id of the request that ``audit_transaction`` names."""
    return transaction.c.context.op("->>", return_type=Text())(literal_column("'request_id'"))
