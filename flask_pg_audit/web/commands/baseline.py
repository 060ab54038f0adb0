"""``flask audit baseline``."""

from __future__ import annotations

import click
from flask.cli import with_appcontext

from ...database.baseline import Baselined, baseline
from .group import (
    audit_cli,
    batch_size_option,
    bind_option,
    chosen,
    heading,
    lock_options,
    progress_bar,
    tables_argument,
)


@audit_cli.command("baseline")
@tables_argument
@batch_size_option
@lock_options
@bind_option
@with_appcontext
def baseline_command(
    tables: tuple[str, ...], batch_size: int, lock_timeout: float, tries: int, bind_key: str | None
) -> None:
    """Give rows that were there before auditing their first image.

    Writes an S row for each live row that has no history, of each TABLE, or of all audited tables. Others may write
    meanwhile. A second run does nothing, and one that was interrupted goes on.
    """
    for key, metadata, engine, names in chosen(tables, bind_key):
        heading(key)
        with progress_bar("taking the baseline") as progress:
            done = baseline(
                metadata,
                engine,
                tables=names,
                batch_size=batch_size,
                lock_timeout=lock_timeout,
                tries=tries,
                progress=progress,
            )
        for table in done:
            _echo(table)


def _echo(table: Baselined) -> None:
    if table.skipped is not None:
        click.echo(f"{table.table}: skipped: it {table.skipped}", err=True)
    else:
        click.echo(f"{table.table}: {table.rows:,} rows")
