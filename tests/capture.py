"""SQL in, rows out: tables audited for one test, and what was recorded of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, Table
from sqlalchemy.types import TypeEngine

from flask_pg_audit import audited, enable, install_audit_triggers


def audited_table(
    metadata: MetaData, name: str, *columns: Column[Any], options: dict[str, Any] | None = None, **arguments: Any
) -> Table:
    """Declare an audited table."""
    enable()
    return Table(name, metadata, *columns, info=audited(**(options or {})), **arguments)


def install(engine: Engine, metadata: MetaData) -> None:
    """Create the tables and their triggers."""
    metadata.create_all(engine)
    install_audit_triggers(metadata, engine)


def column(name: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], **arguments: Any) -> Column[Any]:
    return Column(name, type_, **arguments)


def run(engine: Engine, *statements: str) -> None:
    """Each statement in a transaction of its own, as from psql."""
    for statement in statements:
        with engine.begin() as connection:
            execute(connection, statement)


def execute(connection: Connection, statement: str) -> Any:
    """Byte for byte: no parameters, so that % and : are themselves."""
    return connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def recorded(engine: Engine, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Operation and the named columns of every recorded change, in order."""
    names = "".join(f", {name}" for name in columns)
    return rows(engine, f"SELECT audit_operation{names} FROM {table}_audit ORDER BY audit_id")


def rows(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in execute(connection, query)]


@contextmanager
def role(engine: Engine, name: str, *grants: str) -> Iterator[str]:
    """A role without privileges but ``grants``, named after the database so that parallel tests do not meet."""
    full_name = f"{name}_{engine.url.database}"
    run(engine, f"CREATE ROLE {full_name} LOGIN", *(grant.format(role=full_name) for grant in grants))
    try:
        yield full_name
    finally:
        run(engine, f"DROP OWNED BY {full_name}", f"DROP ROLE {full_name}")


def rewriting(*statements: str) -> str:
    """One statement that damages history: opened, as only its owner can, and with a record of it."""
    return f"DO $$BEGIN PERFORM audit_begin_maintenance('a test'); {'; '.join(statements)}; END$$"
