"""Applying a plan: install and uninstall, each in one transaction, one at a time per database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import overload

from sqlalchemy import Connection, Engine, MetaData
from sqlalchemy.exc import DBAPIError

from ..errors import AuditConfigError, AuditInstallError, driver_message, sqlstate
from .action import Plan
from .adopt import Adoption, is_unfinished_anywhere, one_at_a_time
from .adoption import UNFINISHED
from .catalog import read_installed
from .declared import Declared, build_declared, names_of_functions
from .installed import Installed
from .patience import LOCK_NOT_AVAILABLE, LOCK_TIMEOUT, TRIES, Patience
from .plan import assume_tables, plan
from .progress import Progress
from .removal import assume_installed, plan_history_removal, plan_removal

#: Key of the advisory lock that serialises installations in one database: "flask_pg" in ASCII.
ADVISORY_LOCK = 0x666C61736B5F7067

_INSUFFICIENT_PRIVILEGE = "42501"

Bind = Engine | Connection


@overload
def install_audit_triggers(metadata: MetaData, engine: None = None, *, app_roles: Collection[str] = ()) -> str: ...
@overload
def install_audit_triggers(
    metadata: MetaData,
    engine: Bind,
    *,
    prune: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
    time_zone: str | None = None,
    progress: Progress | None = None,
    beside: Collection[MetaData] = (),
    app_roles: Collection[str] = (),
) -> Plan: ...
def install_audit_triggers(
    metadata: MetaData,
    engine: Bind | None = None,
    *,
    prune: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
    time_zone: str | None = None,
    progress: Progress | None = None,
    beside: Collection[MetaData] = (),
    app_roles: Collection[str] = (),
) -> Plan | str:
    """Create what is missing so that every audited table of ``metadata`` records its changes.

    Creates missing audit tables, adds missing columns to them, and creates or replaces functions and triggers
    whose definition differs. Audit tables follow a table that was renamed. History is never dropped.

    One transaction: all or nothing. A ``Connection`` that is in a transaction is used within it and not
    committed. Concurrent calls wait for each other (an advisory lock). ``CREATE TRIGGER`` takes a ``SHARE ROW
    EXCLUSIVE`` lock on the table: writers wait until the end of the transaction, readers do not. A second call
    finds nothing to do and takes no lock on any table.

    :param prune: also drop the triggers and functions of tables that are no longer audited.
    :param lock_timeout: seconds to wait for a table's lock in one try; 0 waits without end.
    :param tries: how often to try. A caller's transaction is tried once, under the ``lock_timeout`` that it has.
    :param time_zone: of the timestamps in audit tables of the classic library, for example ``Europe/Rome``; unless
        given, that of the database session.
    :param progress: is told how many of such tables' rows have got their ids, and how many were to.
    :param beside: other ``MetaData`` whose tables are in the same database: what records them is not left over.
    :param app_roles: the database roles as which the application runs: they, and everybody, lose what they were granted
        on history but for reading it; on ``audit_view`` they may add rows. The installation has to run as another role.
    :returns: the :class:`~flask_pg_audit.database.action.Plan` that was carried out; without ``engine``, the whole
        SQL script, idempotent, for tables without a schema in ``public``.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: an audited table or column, or one of ``app_roles``, is not in the database, a privilege
        is missing, or the locks could not be had. Nothing is changed then.

    .. versionadded:: 0.1
    """
    if engine is None:
        declared = build_declared(metadata, "public")
        return render_script(plan(declared, assume_tables(declared), app_roles=app_roles))

    def make_plan(declared: Declared, installed: Installed) -> Plan:
        return plan(declared, installed, prune=prune, time_zone=time_zone, app_roles=app_roles)

    patience = Patience(lock_timeout, tries)
    with _connection(engine) as connection, _readable_errors():
        _refuse_autocommit(connection)
        _check_time_zone(connection, time_zone)
        is_own = connection is not engine
        _finish_adoption(metadata, connection, is_own, patience, progress)  # what an earlier run left to do
        done = _run(metadata, connection, make_plan, patience, beside, app_roles)
        if any(action.code == UNFINISHED for action in done.actions):
            _finish_adoption(metadata, connection, is_own, patience, progress)
        return done


@overload
def uninstall_audit_triggers(metadata: MetaData, engine: None = None) -> str: ...
@overload
def uninstall_audit_triggers(
    metadata: MetaData, engine: Bind, *, lock_timeout: float = LOCK_TIMEOUT, tries: int = TRIES
) -> Plan: ...
def uninstall_audit_triggers(
    metadata: MetaData, engine: Bind | None = None, *, lock_timeout: float = LOCK_TIMEOUT, tries: int = TRIES
) -> Plan | str:
    """Drop the triggers and functions; audit tables and ``audit_transaction``, the history, stay.

    Transaction and locks as for :func:`install_audit_triggers`; ``DROP TRIGGER`` takes an ``ACCESS EXCLUSIVE``
    lock on the table.

    :returns: the plan that was carried out; without ``engine``, the SQL script.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    :raises AuditInstallError: a privilege is missing, or the locks could not be had.

    .. versionadded:: 0.1
    """
    if engine is None:
        return render_script(plan_removal(declared := build_declared(metadata, "public"), assume_installed(declared)))
    return _run(metadata, engine, plan_removal, Patience(lock_timeout, tries))


def uninstall_with_history(
    metadata: MetaData, engine: Bind, *, lock_timeout: float = LOCK_TIMEOUT, tries: int = TRIES
) -> Plan:
    """Drop triggers and functions **and the history**: audit tables, ``audit_transaction``, the sequence."""

    def plan_both(declared: Declared, installed: Installed) -> Plan:
        triggers = plan_removal(declared, installed)
        history = plan_history_removal(declared, installed)
        return Plan(triggers.actions + history.actions)

    return _run(metadata, engine, plan_both, Patience(lock_timeout, tries))


def plan_installation(
    metadata: MetaData,
    engine: Bind,
    *,
    prune: bool = False,
    beside: Collection[MetaData] = (),
    app_roles: Collection[str] = (),
) -> tuple[Declared, Installed, Plan]:
    """Read the catalog and return what an installation would do; changes nothing.

    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.
    """
    with _connection(engine) as connection:
        declared, installed = _read(metadata, connection, beside, app_roles)
        return declared, installed, plan(declared, installed, prune=prune, app_roles=app_roles)


def render_script(plan_: Plan) -> str:
    """The plan as one SQL script in one transaction, a comment above each step."""
    steps = []
    for action in plan_.actions:
        statements = "\n".join(f"{statement};" for statement in action.statements)
        steps.append(f"-- {' '.join(str(action).split())}\n{statements}")
    locks = [f"{statement};" for statement in plan_.locks]
    return "\n\n".join(["BEGIN;", *locks, *steps, "COMMIT;\n"])


_MakePlan = Callable[[Declared, Installed], Plan]


def _run(
    metadata: MetaData,
    engine: Bind,
    make_plan: _MakePlan,
    patience: Patience,
    beside: Collection[MetaData] = (),
    app_roles: Collection[str] = (),
) -> Plan:
    with _connection(engine) as connection, _readable_errors():
        _refuse_autocommit(connection)
        if connection.in_transaction():
            return _apply(metadata, connection, make_plan, beside, app_roles)

        def attempt() -> Plan:
            with connection.begin():
                return _apply(metadata, connection, make_plan, beside, app_roles, patience)

        return patience.retry(attempt)


def _apply(
    metadata: MetaData,
    connection: Connection,
    make_plan: _MakePlan,
    beside: Collection[MetaData],
    app_roles: Collection[str],
    patience: Patience | None = None,
) -> Plan:
    # Other installations are waited for; the time is for the tables.
    connection.exec_driver_sql(f"SELECT pg_catalog.pg_advisory_xact_lock({ADVISORY_LOCK})")
    declared, installed = _read(metadata, connection, beside, app_roles)
    todo = make_plan(declared, installed)
    if todo.fatal:
        raise AuditInstallError("\n".join(map(str, todo.fatal)))
    statements = todo.statements
    if patience is None:
        statements = (*todo.locks, *statements)
    elif todo.actions:
        patience.acquire(connection, todo.locks)
    for statement in statements:
        # Without parameters nothing reads % or : in a function's body (trap T9).
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    return todo


def _check_time_zone(connection: Connection, time_zone: str | None) -> None:
    if time_zone is None:
        return
    query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_timezone_names WHERE name = %(name)s)"
    with _own_transaction(connection):
        if not connection.exec_driver_sql(query, {"name": time_zone}).scalar():
            raise AuditInstallError(f"PostgreSQL knows no time zone {time_zone!r}; give a name such as Europe/Rome")


def _finish_adoption(
    metadata: MetaData, connection: Connection, is_own: bool, patience: Patience, progress: Progress | None
) -> None:
    if connection.in_transaction():
        Adoption(connection, *_read(metadata, connection), patience).run(progress)
        return
    with connection.begin():
        declared, installed = _read(metadata, connection)
    if not is_unfinished_anywhere(declared, installed):
        return
    if is_own and not connection.connection.is_detached:
        connection.detach()  # two more are needed meanwhile, and the pool may have room for one only
    with one_at_a_time(connection.engine):
        with connection.begin():
            declared, installed = _read(metadata, connection)
        Adoption(connection, declared, installed, patience).run(progress)


def _own_transaction(connection: Connection) -> AbstractContextManager[object]:
    return nullcontext() if connection.in_transaction() else connection.begin()


def _read(
    metadata: MetaData, connection: Connection, beside: Collection[MetaData] = (), app_roles: Collection[str] = ()
) -> tuple[Declared, Installed]:
    schema = connection.exec_driver_sql("SELECT pg_catalog.current_schema()").scalar() or "public"
    declared = replace(build_declared(metadata, schema), beside=names_of_functions(beside, schema))
    names = [name.name for name in declared.function_names]
    return declared, read_installed(connection, declared.schemas, names, app_roles)


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


def _refuse_autocommit(connection: Connection) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise AuditInstallError(
            "this connection is in AUTOCOMMIT mode, but an installation has to be one transaction; "
            'use engine.execution_options(isolation_level="READ COMMITTED")'
        )


@contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        way_out = _WAYS_OUT.get(sqlstate(error) or "", "")
        raise AuditInstallError(f"PostgreSQL refused: {driver_message(error)}{way_out}") from error


_WAYS_OUT = {
    _INSUFFICIENT_PRIVILEGE: "; run the command as the tables' owner or as a superuser",
    LOCK_NOT_AVAILABLE: "; a transaction holds a table that has to be altered (pg_stat_activity shows which): "
    "try again when it has ended, or wait for longer with --lock-timeout",
}
