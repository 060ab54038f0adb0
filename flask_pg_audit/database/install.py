"""Applying a plan: install and uninstall, each in one transaction, one at a time per database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import overload

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from ..declare.registry import audit_metadata
from ..errors import AuditConfigError, AuditInstallError, driver_message, sqlstate
from .catalog import Installed, read_installed
from .plan import Declared, Plan, assume_tables, build_declared, plan, plan_history_removal, plan_removal

#: Key of the advisory lock that serialises installations in one database: "flask_pg" in ASCII.
ADVISORY_LOCK = 0x666C61736B5F7067

_INSUFFICIENT_PRIVILEGE = "42501"

Bind = Engine | Connection


@overload
def install_audit_triggers(metadata: MetaData, engine: None = None) -> str: ...
@overload
def install_audit_triggers(metadata: MetaData, engine: Bind) -> Plan: ...
def install_audit_triggers(metadata: MetaData, engine: Bind | None = None) -> Plan | str:
    """Create what is missing so that every audited table of ``metadata`` records its changes.

    Creates missing audit tables, adds missing columns to them, and creates or replaces functions and triggers
    whose definition differs. Nothing is ever dropped but triggers of ours that the declaration no longer wants.

    One transaction: all or nothing. A ``Connection`` that is in a transaction is used within it and not
    committed. Concurrent calls wait for each other (an advisory lock). ``CREATE TRIGGER`` takes a ``SHARE ROW
    EXCLUSIVE`` lock on the table: writers wait until the end of the transaction, readers do not. A second call
    finds nothing to do and takes no lock on any table.

    :returns: the :class:`~flask_pg_audit.database.plan.Plan` that was carried out; without ``engine``, the whole
        SQL script, idempotent, for tables without a schema in ``public``.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: an audited table or column is not in the database, or a privilege is missing.

    .. versionadded:: 0.1
    """
    if engine is None:
        return render_script(plan(declared := declare(metadata, "public"), assume_tables(declared)))
    return _run(metadata, engine, plan)


@overload
def uninstall_audit_triggers(metadata: MetaData, engine: None = None) -> str: ...
@overload
def uninstall_audit_triggers(metadata: MetaData, engine: Bind) -> Plan: ...
def uninstall_audit_triggers(metadata: MetaData, engine: Bind | None = None) -> Plan | str:
    """Drop the triggers and functions; audit tables and ``audit_transaction``, the history, stay.

    Transaction and lock as for :func:`install_audit_triggers`; ``DROP TRIGGER`` takes an ``ACCESS EXCLUSIVE``
    lock on the table.

    :returns: the plan that was carried out; without ``engine``, the SQL script.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: a privilege is missing.

    .. versionadded:: 0.1
    """
    if engine is None:
        return render_script(_plan_blind_removal(declare(metadata, "public")))
    return _run(metadata, engine, plan_removal)


def uninstall_with_history(metadata: MetaData, engine: Bind) -> Plan:
    """Drop triggers and functions **and the history**: audit tables, ``audit_transaction``, the sequence."""

    def plan_both(declared: Declared, installed: Installed) -> Plan:
        triggers = plan_removal(declared, installed)
        history = plan_history_removal(declared, installed)
        return Plan(triggers.actions + history.actions)

    return _run(metadata, engine, plan_both)


def plan_installation(metadata: MetaData, engine: Bind) -> tuple[Declared, Installed, Plan]:
    """Read the catalog and return what an installation would do; changes nothing.

    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    """
    with _connection(engine) as connection:
        declared, installed = _read(metadata, connection)
        return declared, installed, plan(declared, installed)


def render_script(plan_: Plan) -> str:
    """The plan as one SQL script in one transaction, a comment above each step."""
    steps = []
    for action in plan_.actions:
        statements = "\n".join(f"{statement};" for statement in action.statements)
        steps.append(f"-- {' '.join(str(action).split())}\n{statements}")
    return "\n\n".join(["BEGIN;", *steps, "COMMIT;\n"])


def declare(metadata: MetaData, default_schema: str) -> Declared:
    """Compile what ``metadata`` declares, picking up tables that were declared before ``enable()``."""
    audit_metadata(metadata)
    return build_declared(metadata, default_schema)


def _plan_blind_removal(declared: Declared) -> Plan:
    """Removal without a database to look at: by name, partitions not included."""
    from .catalog import InstalledFunction, InstalledTrigger

    functions = {f.name: InstalledFunction(f.source, True, False) for f in declared.functions}
    triggers = {
        table.trigger.table: tuple(InstalledTrigger(d, "O") for d in table.trigger.triggers)
        for table in declared.tables
    }
    return plan_removal(declared, Installed(functions=functions, triggers=triggers))


def _run(metadata: MetaData, engine: Bind, make_plan: Callable[[Declared, Installed], Plan]) -> Plan:
    with _connection(engine) as connection, _transaction(connection), _readable_errors():
        connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({ADVISORY_LOCK})")
        declared, installed = _read(metadata, connection)
        todo = make_plan(declared, installed)
        fatal = [str(problem) for problem in todo.problems if problem.fatal]
        if fatal:
            raise AuditInstallError("\n".join(fatal))
        for statement in todo.statements:
            # Without parameters nothing reads % or : in a function's body (trap T9).
            connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    return todo


def _read(metadata: MetaData, connection: Connection) -> tuple[Declared, Installed]:
    schema = connection.exec_driver_sql("SELECT pg_catalog.current_schema()").scalar()
    declared = declare(metadata, schema or "public")
    names = [function.name.name for function in declared.functions]
    return declared, read_installed(connection, declared.schemas, names)


@contextmanager
def _connection(bind: Bind) -> Iterator[Connection]:
    if bind.dialect.name != "postgresql":
        raise AuditConfigError(
            f"flask_pg_audit needs PostgreSQL; this is {bind.dialect.name} "
            f"({bind.engine.url.render_as_string(hide_password=True)})"
        )
    if isinstance(bind, Connection):
        yield bind
    else:
        with bind.connect() as connection:
            yield connection


@contextmanager
def _transaction(connection: Connection) -> Iterator[None]:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise AuditInstallError(
            "this connection is in AUTOCOMMIT mode, but an installation has to be one transaction; "
            'use engine.execution_options(isolation_level="READ COMMITTED")'
        )
    if connection.in_transaction():
        yield
    else:
        with connection.begin():
            yield


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        way_out = ""
        if sqlstate(error) == _INSUFFICIENT_PRIVILEGE:
            way_out = "; run the command as the tables' owner or as a superuser"
        raise AuditInstallError(f"PostgreSQL refused: {driver_message(error)}{way_out}") from error
