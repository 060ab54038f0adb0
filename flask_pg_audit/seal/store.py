"""Reading and writing ``audit_seal``."""

from __future__ import annotations

import json
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, MetaData

from ..database.declared import build_declared
from ..database.function import Infrastructure
from ..database.render import qualified
from ..errors import AuditSealError
from .record import Seal, canonical_json

_COLUMNS = "id, sealed_at, format, previous, tables, key_id, hash, signature"


def write_seal(connection: Connection, shared: Infrastructure, seal: Seal) -> None:
    """Add it to the chain."""
    values = {
        "id": seal.id,
        "sealed_at": seal.sealed_at,
        "format": seal.format,
        "previous": _bytes(seal.previous),
        "tables": canonical_json([table.content() for table in seal.tables]).decode(),
        "key_id": seal.key_id,
        "hash": _bytes(seal.hash),
        "signature": _bytes(seal.signature),
    }
    placeholders = ", ".join(f"CAST(%({name})s AS jsonb)" if name == "tables" else f"%({name})s" for name in values)
    table = qualified(shared.seal_table).replace("%", "%%")
    connection.exec_driver_sql(f"INSERT INTO {table} ({_COLUMNS}) VALUES ({placeholders})", values)  # noqa: S608


def read_seals(connection: Connection, shared: Infrastructure, after: int = 0) -> Iterator[tuple[int, Seal | None]]:
    """The seals above a number, in order: each with its number; ``None`` where what is stored is no seal."""
    table = qualified(shared.seal_table).replace("%", "%%")
    query = (
        "SELECT id, pg_catalog.to_char(pg_catalog.timezone('UTC', sealed_at), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), "  # noqa: S608
        "format, pg_catalog.encode(previous, 'hex'), tables::pg_catalog.text, key_id, "
        "pg_catalog.encode(hash, 'hex'), pg_catalog.encode(signature, 'hex') "
        f"FROM {table} WHERE id > %(after)s ORDER BY id"
    )
    for row in connection.exec_driver_sql(query, {"after": after}):
        yield int(row[0]), _parse(tuple(row))


def read_stored_seals(metadata: MetaData, engine: Engine, after: int = 0) -> tuple[Seal, ...]:
    """The seals of a database above a number, in order; those that cannot be read are left out."""
    with engine.connect() as connection:
        schema = connection.exec_driver_sql("SELECT pg_catalog.current_schema()").scalar() or "public"
        shared = build_declared(metadata, schema).infrastructure
        return tuple(seal for _, seal in read_seals(connection, shared, after) if seal is not None)


def read_last_seal(connection: Connection, shared: Infrastructure) -> Seal | None:
    """The newest one; ``None`` where nothing was sealed yet.

    :raises AuditSealError: it cannot be read, so nothing can continue it.
    """
    table = qualified(shared.seal_table)
    last = connection.exec_driver_sql(
        f"SELECT coalesce(max(id), 0) FROM {table}",  # noqa: S608
        execution_options={"no_parameters": True},
    ).scalar_one()
    for _, seal in read_seals(connection, shared, int(last) - 1):
        if seal is None or seal.digest().hex() != seal.hash:
            raise AuditSealError(f"seal {last} was changed, so nothing can continue it; run flask audit verify --seals")
        return seal
    return None


def _parse(row: tuple[object, ...]) -> Seal | None:
    names = ("id", "sealed_at", "format", "previous", "tables", "key_id", "hash", "signature")
    values = dict(zip(names, row, strict=True))
    try:
        return Seal.parse({**values, "tables": json.loads(str(values["tables"]))})
    except (ValueError, AuditSealError):
        return None


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
