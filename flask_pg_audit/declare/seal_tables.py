"""Building ``audit_seal`` and ``audit_seal_leaves``, which hold what was sealed, into a ``MetaData``."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, LargeBinary, MetaData, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.schema import BLANK_SCHEMA

from .tables import check_own_name_is_free

IS_SEAL_TABLE = "audit.is_seal_table"

SEAL_TABLE_NAME = "audit_seal"
SEAL_LEAVES_TABLE_NAME = "audit_seal_leaves"

_WAY_OUT = "set another AUDIT_SCHEMA, or rename that table"


def build_seal_tables(metadata: MetaData, schema: str | None) -> tuple[Table, Table]:
    """Create ``audit_seal`` and ``audit_seal_leaves`` in ``schema``.

    No trigger writes them: ``flask audit seal`` does.

    :raises AuditConfigError: there is a table of one of these names already.
    """
    for name in (SEAL_TABLE_NAME, SEAL_LEAVES_TABLE_NAME):
        check_own_name_is_free(metadata, name, schema, _WAY_OUT)
    return _build_seals(metadata, schema), _build_leaves(metadata, schema)


def _build_seals(metadata: MetaData, schema: str | None) -> Table:
    return Table(
        SEAL_TABLE_NAME,
        metadata,
        # No sequence: the numbers have no gaps, so that a seal that is gone is missed.
        Column("id", BigInteger, primary_key=True, autoincrement=False),
        Column("sealed_at", DateTime(timezone=True), nullable=False),
        Column("format", SmallInteger, nullable=False, comment="how rows become hashes"),
        Column("previous", LargeBinary, comment="hash of the seal before this one"),
        Column("tables", JSONB, nullable=False, comment="what is sealed: ranges, counts and Merkle roots"),
        Column("key_id", Text),
        Column("hash", LargeBinary, nullable=False, comment="of everything to the left"),
        Column("signature", LargeBinary, comment="of the hash"),
        schema=schema or BLANK_SCHEMA,
        info={IS_SEAL_TABLE: SEAL_TABLE_NAME},
        comment="Seals of the history, each continuing the one before (flask_pg_audit)",
    )


def _build_leaves(metadata: MetaData, schema: str | None) -> Table:
    return Table(
        SEAL_LEAVES_TABLE_NAME,
        metadata,
        Column("seal_id", BigInteger, primary_key=True, autoincrement=False),
        Column("place", Integer, primary_key=True, autoincrement=False, comment="of the table in audit_seal.tables"),
        Column("chunk", Integer, primary_key=True, autoincrement=False),
        Column("first_id", BigInteger, nullable=False),
        Column("last_id", BigInteger, nullable=False),
        Column("row_count", Integer, nullable=False),
        Column("ids", LargeBinary, nullable=False, comment="of the rows: differences of 8 bytes, zlib"),
        Column("leaves", LargeBinary, nullable=False, comment="their SHA-256 hashes, 32 bytes each"),
        schema=schema or BLANK_SCHEMA,
        info={IS_SEAL_TABLE: SEAL_LEAVES_TABLE_NAME},
        comment="The hash of each sealed row, by which a changed row is found (flask_pg_audit)",
    )
