"""``flask audit check``."""

from __future__ import annotations

import dataclasses
import json

import click
from flask.cli import with_appcontext

from ...database.check import WHY, check
from ...ui.text import visible
from ..state import get_state
from .group import app_role_option, app_roles_of, audit_cli, bind_option, binds


@audit_cli.command("check")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE[:TABLE]",
    help="Leave out a finding that is known and meant, everywhere or of one table; repeatable.",
)
@app_role_option
@bind_option
@with_appcontext
def check_command(as_json: bool, ignore: tuple[str, ...], app_roles: tuple[str, ...], bind_key: str | None) -> None:
    """Exit with 1, and a line for each finding, unless the database records what the models declare.

    Reads the catalog only; any role that may connect will do. A gate for deployments.
    """
    _check_codes(ignore)
    findings = [
        (key, finding)
        for key, metadata, engine in binds(bind_key)
        for finding in check(metadata, engine, get_state().beside(key), app_roles_of(app_roles))
        if not finding.is_ignored(ignore)
    ]
    if as_json:
        click.echo(json.dumps([{"bind": key, **dataclasses.asdict(finding)} for key, finding in findings], indent=2))
    else:
        for key, finding in findings:
            click.echo(visible(f"{f'{key}: ' if key else ''}{finding}").replace("\n", "⟨U+000A⟩"))
    if findings:
        raise click.exceptions.Exit(1)
    if not as_json:
        click.echo("everything is recorded as declared")


def _check_codes(ignored: tuple[str, ...]) -> None:
    for pattern in ignored:
        code = pattern.partition(":")[0]
        if code not in WHY:
            known = ", ".join(WHY)
            raise click.BadParameter(f"there is no finding {code!r}; there are: {known}", param_hint="--ignore")
