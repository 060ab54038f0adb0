"""``flask audit install`` and ``uninstall``."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine

from ...database.action import Plan
from ...database.install import (
    install_audit_triggers,
    plan_installation,
    render_script,
    uninstall_audit_triggers,
    uninstall_with_history,
)
from ...errors import AuditInstallError
from ..state import get_state
from .group import (
    app_role_option,
    app_roles_of,
    audit_cli,
    bind_option,
    binds,
    heading,
    lock_options,
    progress_bar,
)


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
@app_role_option
@lock_options
@bind_option
@with_appcontext
def install_command(
    dry_run: bool,
    sql: bool,
    prune: bool,
    time_zone: str | None,
    app_roles: tuple[str, ...],
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
    roles = app_roles_of(app_roles)
    for key, metadata, engine in binds(bind_key):
        heading(key)
        if sql and not dry_run:
            click.echo(install_audit_triggers(metadata, app_roles=roles))
        elif dry_run:
            beside = get_state().beside(key)
            todo = plan_installation(metadata, engine, prune=prune, beside=beside, app_roles=roles)[2]
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
                    app_roles=roles,
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
    for key, metadata, engine in binds(bind_key):
        heading(key)
        if drop_history:
            if not yes:
                click.confirm(f"Drop the whole audit history in {_describe(engine)}?", abort=True)
            _echo_plan(uninstall_with_history(metadata, engine, lock_timeout=lock_timeout, tries=tries))
        else:
            _echo_plan(uninstall_audit_triggers(metadata, engine, lock_timeout=lock_timeout, tries=tries))


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
