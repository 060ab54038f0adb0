"""Building ``audit_mask_key``, which holds the keys of :func:`.mask.keyed`, into a ``MetaData``."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, LargeBinary, MetaData, String, Table
from sqlalchemy.schema import BLANK_SCHEMA

from .tables import check_own_name_is_free

IS_MASK_KEY_TABLE = "audit.is_mask_key_table"

MASK_KEY_TABLE_NAME = "audit_mask_key"


def build_mask_key_table(metadata: MetaData, schema: str | None) -> Table:
    """Create ``audit_mask_key`` in ``schema``.

    It is unlogged: what it holds is not in the write-ahead log, nor in what is kept of that, nor on a standby.

    :raises AuditConfigError: there is a table of that name already.
    """
    check_own_name_is_free(metadata, MASK_KEY_TABLE_NAME, schema, "set another AUDIT_SCHEMA, or rename that table")
    return Table(
        MASK_KEY_TABLE_NAME,
        metadata,
        Column("id", String(8), primary_key=True),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("inner_pad", LargeBinary, nullable=False, comment="the key, padded as HMAC does for its inner hash"),
        Column("outer_pad", LargeBinary, nullable=False, comment="the key, padded as HMAC does for its outer hash"),
        prefixes=["UNLOGGED"],
        schema=schema or BLANK_SCHEMA,
        info={IS_MASK_KEY_TABLE: True},
        comment="Keys of the masks in audit tables, for their owner only (flask_pg_audit)",
    )
