"""``flask audit``: installing, uninstalling and looking at the database."""

from __future__ import annotations

import dataclasses
import datetime
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..database.action import Plan
from ..database.check import WHY, check
from ..database.install import (
    install_audit_triggers,
    plan_installation,
    render_script,
    uninstall_audit_triggers,
    uninstall_with_history,
)
from ..database.patience import LOCK_TIMEOUT, TRIES
from ..database.status import TableStatus, read_status
from ..errors import AuditConfigError, AuditError, AuditInstallError, driver_message
from ..ui.view_log import RecordedView, read_views
from .state import get_state
from .view_listing import render_view


class AuditGroup(click.Group):
    """Turns this package's and the database's errors into one readable line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AuditError as error:
            raise click.ClickException(str(error)) from error
        except DBAPIError as error:
            raise click.ClickException(f"the database said: {driver_message(error)}") from error
        except SQLAlchemyError as error:
            raise click.ClickException(str(error)) from error


@click.group("audit", cls=AuditGroup)
def audit_cli() -> None:
    """Record every change in the database, and see what is recorded."""


bind_option = click.option(
    "--bind", "bind_key", metavar="KEY", help="Only this bind of SQLALCHEMY_BINDS (default: all)."
)


_LOCK_TIMEOUT_OPTION = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0, max=86_400),
    default=LOCK_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a table's lock before everybody else is let through; 0 waits without end.",
)
_TRIES_OPTION = click.option(
    "--tries", type=click.IntRange(min=1), default=TRIES, show_default=True, help="How often to try for the locks."
)


def lock_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--lock-timeout`` and ``--tries``."""
    for option in (_TRIES_OPTION, _LOCK_TIMEOUT_OPTION):
        command = option(command)
    return command


@audit_cli.command("install")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--sql", is_flag=True, help="Print SQL instead: the whole script, or with --dry-run only what is missing."
)
@click.option(
    "--time-zone",
    metavar="ZONE",
    help="Of the timestamps in audit tables of the classic library (default: that of the database session).",
)
@click.option("--prune", is_flag=True, help="Also drop what records tables that are no longer audited.")
@lock_options
@bind_option
@with_appcontext
def install_command(
    dry_run: bool,
    sql: bool,
    prune: bool,
    time_zone: str | None,
    lock_timeout: float,
    tries: int,
    bind_key: str | None,
) -> None:
    """Create what is missing so that every audited table records its changes.

    Creates audit tables, adds columns to them, creates or replaces functions and triggers. Run it after your
    migrations; a second run does nothing.
    """
    if sql and prune and not dry_run:
        raise click.UsageError("--sql does not know what there is to prune; add --dry-run, which looks")
    for key, metadata, engine in _binds(bind_key):
        _heading(key)
        if sql and not dry_run:
            click.echo(install_audit_triggers(metadata))
        elif dry_run:
            todo = plan_installation(metadata, engine, prune=prune, beside=get_state().beside(key))[2]
            _echo_dry_run(todo, sql)
        else:
            with progress_bar("numbering old rows") as progress:
                done = install_audit_triggers(
                    metadata,
                    engine,
                    prune=prune,
                    lock_timeout=lock_timeout,
                    tries=tries,
                    time_zone=time_zone,
                    progress=progress,
                    beside=get_state().beside(key),
                )
            _echo_plan(done)


@audit_cli.command("uninstall")
@click.option("--drop-history", is_flag=True, help="Drop the audit tables too: the history is gone for good.")
@click.option("--yes", is_flag=True, help="Do not ask before the history is dropped.")
@lock_options
@bind_option
@with_appcontext
def uninstall_command(drop_history: bool, yes: bool, lock_timeout: float, tries: int, bind_key: str | None) -> None:
    """Drop the triggers and functions. The history stays unless --drop-history is given."""
    for key, metadata, engine in _binds(bind_key):
        _heading(key)
        if drop_history:
            if not yes:
                click.confirm(f"Drop the whole audit history in {_describe(engine)}?", abort=True)
            _echo_plan(uninstall_with_history(metadata, engine, lock_timeout=lock_timeout, tries=tries))
        else:
            _echo_plan(uninstall_audit_triggers(metadata, engine, lock_timeout=lock_timeout, tries=tries))


@audit_cli.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@bind_option
@with_appcontext
def status_command(as_json: bool, bind_key: str | None) -> None:
    """One line per audited table: whether it records, how much it holds, when it last changed."""
    statuses = [(key, s) for key, metadata, engine in _binds(bind_key) for s in read_status(metadata, engine)]
    if as_json:
        rows = [{"bind": key, **dataclasses.asdict(status)} for key, status in statuses]
        click.echo(json.dumps(rows, default=datetime.datetime.isoformat, indent=2))
        return
    width = max((len(status.table) for _, status in statuses), default=0)
    for _, status in statuses:
        _echo_status(status, width)


@audit_cli.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE[:TABLE]",
    help="Leave out a finding that is known and meant, everywhere or of one table; repeatable.",
)
@bind_option
@with_appcontext
def check_command(as_json: bool, ignore: tuple[str, ...], bind_key: str | None) -> None:
    """Exit with 1, and a line for each finding, unless the database records what the models declare.

    Reads the catalog only; any role that may connect will do. A gate for deployments.
    """
    _check_codes(ignore)
    findings = [
        (key, finding)
        for key, metadata, engine in _binds(bind_key)
        for finding in check(metadata, engine, get_state().beside(key))
        if not finding.is_ignored(ignore)
    ]
    if as_json:
        click.echo(json.dumps([{"bind": key, **dataclasses.asdict(finding)} for key, finding in findings], indent=2))
    else:
        for key, finding in findings:
            click.echo(f"{f'{key}: ' if key else ''}{finding}")
    if findings:
        raise click.exceptions.Exit(1)
    if not as_json:
        click.echo("everything is recorded as declared")


@audit_cli.command("views")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most, of each bind."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@bind_option
@with_appcontext
def views_command(limit: int, as_json: bool, bind_key: str | None) -> None:
    """Who read the log, the newest first: pages, searches, exports and reverts."""
    views = [(key, _read_views(metadata, engine, limit)) for key, metadata, engine in _binds(bind_key)]
    if as_json:
        rows = [{"bind": key, **dataclasses.asdict(view)} for key, found in views for view in found]
        click.echo(json.dumps(rows, default=datetime.datetime.isoformat, indent=2))
        return
    for key, found in views:
        _heading(key)
        for view in found:
            click.echo(render_view(view))


def _read_views(metadata: MetaData, engine: Engine, limit: int) -> list[RecordedView]:
    with engine.connect() as connection:
        return read_views(connection, metadata, limit=limit)


def _check_codes(ignored: tuple[str, ...]) -> None:
    for pattern in ignored:
        code = pattern.partition(":")[0]
        if code not in WHY:
            known = ", ".join(WHY)
            raise click.BadParameter(f"there is no finding {code!r}; there are: {known}", param_hint="--ignore")


@contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how much is done, and of how much; drawn on a terminal only, once there is something."""
    is_shown = sys.stderr.isatty()
    with ExitStack() as stack:
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            if is_shown:
                if not bars:
                    bars.append(stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr)))
                bars[0].length = total
                bars[0].update(done - bars[0].pos)

        yield show


def _binds(bind_key: str | None) -> Iterator[tuple[str | None, MetaData, Engine]]:
    state = get_state()
    metadatas = state.metadatas
    if not metadatas:
        raise AuditConfigError(
            "no audited table is declared; give a model __table_args__ = {'info': audited()} and make sure that "
            "the app imports it"
        )
    if bind_key is not None and bind_key not in metadatas:
        known = ", ".join(sorted(str(key) for key in metadatas if key is not None)) or "none"
        raise AuditConfigError(f"no bind {bind_key!r} with audited tables; there are: {known}")
    for key, metadata in metadatas.items():
        if bind_key is None or key == bind_key:
            yield key, metadata, state.db.engines[key]


def _heading(key: str | None) -> None:
    if key is not None:
        click.echo(f"-- bind {key}")


def _describe(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _echo_plan(plan: Plan, prefix: str = "") -> None:
    for action in plan.actions:
        click.echo(f"{prefix}{action}")
    if not plan.actions:
        click.echo("nothing to do")
    for problem in plan.problems:
        click.echo(f"warning: {problem}", err=True)


def _echo_dry_run(todo: Plan, sql: bool) -> None:
    """Fail where the installation itself would."""
    if sql:
        click.echo(render_script(todo))
    else:
        _echo_plan(Plan(todo.actions, tuple(p for p in todo.problems if not p.fatal)), "would ")
    fatal = [str(problem) for problem in todo.problems if problem.fatal]
    if fatal:
        raise AuditInstallError("\n".join(fatal))


def _echo_status(status: TableStatus, width: int) -> None:
    last = status.last_change.isoformat(timespec="seconds") if status.last_change else "never"
    rows = "-" if status.rows is None else f"{status.rows:,}"
    size = "-" if status.bytes is None else _human_size(status.bytes)
    click.echo(f"{status.table:<{width}}  {status.state:<9}  {rows:>11} rows  {size:>9}  last change {last}")
    for line in status.todo:
        click.echo(f"{'':<{width}}    install would {line}")
    for line in status.problems:
        click.echo(f"{'':<{width}}    warning: {line}")
    for line in status.errors:
        click.echo(f"{'':<{width}}    error: {line}")


def _human_size(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"
