"""Building ``audit_redaction``, which tells what was removed from history, into a ``MetaData``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, Index, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import BLANK_SCHEMA

from .tables import check_own_name_is_free

IS_REDACTION_TABLE = "audit.is_redaction_table"

REDACTION_TABLE_NAME = "audit_redaction"


class _Names(ARRAY[str]):
    """An array of names, which says of itself what a revision has to say.

    Where the last of several databases is no PostgreSQL, Alembic takes it as it is, and would leave out the ``sa.``.
    """

    __module__ = ARRAY.__module__

    def __repr__(self) -> str:
        return "ARRAY(sa.Text())"


def build_redaction_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_redaction`` in ``schema``: a row for each recorded change from which values were removed.

    :raises AuditConfigError: there is a table of that name already.
    """
    check_own_name_is_free(metadata, REDACTION_TABLE_NAME, schema, "set another AUDIT_SCHEMA, or rename that table")
    table = Table(
        REDACTION_TABLE_NAME,
        metadata,
        Column("id", BigInteger, Identity(), primary_key=True),
        Column("redacted_at", DateTime(timezone=True), nullable=False),
        Column("maintenance_id", BigInteger, nullable=False, comment="row of audit_maintenance"),
        Column("username", Text, comment="who was logged in"),
        Column("db_role", String(64), nullable=False),
        Column("reason", Text, nullable=False),
        Column("table_schema", Text, nullable=False, comment="of the audited table, then"),
        Column("table_name", Text, nullable=False),
        Column("key", JSONB(none_as_null=True), comment="of the record; null where all were meant"),
        Column("columns", _Names(Text), nullable=False, comment="whose values were removed"),
        Column("audit_transaction_id", BigInteger, nullable=False),
        Column("audit_id", BigInteger, nullable=False),
        Column("leaf_before", LargeBinary, comment="hash of the row, as seals have it"),
        Column("leaf_after", LargeBinary),
        schema=schema or BLANK_SCHEMA,
        info={IS_REDACTION_TABLE: True},
        comment="What was removed from history, by whom and why (flask_pg_audit)",
    )
    Index(f"ix_{REDACTION_TABLE_NAME}_audit_id", table.c.audit_id)
    return table
