"""``flask audit views``: who read the log."""

from __future__ import annotations

import dataclasses
import datetime
import json

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine, MetaData

from ...ui.view_log import RecordedView, read_views
from .group import audit_cli, bind_option, binds, heading
from .view_listing import render_view


@audit_cli.command("views")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most, of each bind."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@bind_option
@with_appcontext
def views_command(limit: int, as_json: bool, bind_key: str | None) -> None:
    """Who read the log, the newest first: pages, searches, exports and reverts."""
    views = [(key, _read_views(metadata, engine, limit)) for key, metadata, engine in binds(bind_key)]
    if as_json:
        rows = [{"bind": key, **dataclasses.asdict(view)} for key, found in views for view in found]
        click.echo(json.dumps(rows, default=datetime.datetime.isoformat, indent=2))
        return
    for key, found in views:
        heading(key)
        for view in found:
            click.echo(render_view(view))


def _read_views(metadata: MetaData, engine: Engine, limit: int) -> list[RecordedView]:
    with engine.connect() as connection:
        return read_views(connection, metadata, limit=limit)
