"""``flask audit status``."""

from __future__ import annotations

import dataclasses
import datetime
import json

import click
from flask.cli import with_appcontext

from ...database.status import TableStatus, read_status
from .group import audit_cli, bind_option, binds


@audit_cli.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@bind_option
@with_appcontext
def status_command(as_json: bool, bind_key: str | None) -> None:
    """One line per audited table: whether it records, how much it holds, when it last changed."""
    statuses = [(key, s) for key, metadata, engine in binds(bind_key) for s in read_status(metadata, engine)]
    if as_json:
        rows = [{"bind": key, **dataclasses.asdict(status)} for key, status in statuses]
        click.echo(json.dumps(rows, default=datetime.datetime.isoformat, indent=2))
        return
    width = max((len(status.table) for _, status in statuses), default=0)
    for _, status in statuses:
        _echo_status(status, width)


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
