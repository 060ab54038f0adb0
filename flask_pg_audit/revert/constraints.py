"""Constraints that are checked when a transaction ends; a revert wants to know now."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, Text

from .live import LiveTable


def check_deferred(connection: Connection, tables: Sequence[LiveTable]) -> None:
    """Check the ``INITIALLY DEFERRED`` constraints on and to ``tables``, and defer them again.

    :raises sqlalchemy.exc.IntegrityError: one is violated, by what was written here or earlier in the transaction.
    """
    quote = connection.dialect.identifier_preparer.quote
    names = ", ".join(f"{quote(schema)}.{quote(name)}" for schema, name in _read_deferred(connection, tables))
    if names:
        for mode in ("IMMEDIATE", "DEFERRED"):
            # Byte for byte: no parameters, so that % is itself.
            options = {"no_parameters": True}
            statement = f"SET CONSTRAINTS {names.replace('%%', '%')} {mode}"
            connection.exec_driver_sql(statement, execution_options=options)


def _read_deferred(connection: Connection, tables: Sequence[LiveTable]) -> list[tuple[str, str]]:
    constraint = sa.table(
        "pg_constraint",
        *map(sa.column, ("conname", "connamespace", "conrelid", "confrelid", "condeferred", "conparentid")),
        schema="pg_catalog",
    )
    namespace = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    oids = [sa.literal(table.oid, BigInteger) for table in tables]
    query = (
        sa.select(sa.cast(namespace.c.nspname, Text), sa.cast(constraint.c.conname, Text))
        .join_from(constraint, namespace, namespace.c.oid == constraint.c.connamespace)
        .where(constraint.c.condeferred, sa.cast(constraint.c.conparentid, BigInteger) == 0)
        .where(
            sa.or_(
                sa.cast(constraint.c.conrelid, BigInteger).in_(oids),
                sa.cast(constraint.c.confrelid, BigInteger).in_(oids),
            )
        )
        .distinct()
        .order_by(sa.cast(namespace.c.nspname, Text), sa.cast(constraint.c.conname, Text))
    )
    return [(schema, name) for schema, name in connection.execute(query)]
