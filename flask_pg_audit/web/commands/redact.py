"""``flask audit redact`` and ``flask audit rotate-mask-key``."""

from __future__ import annotations

import click
from flask.cli import with_appcontext
from sqlalchemy import Engine, MetaData

from ...database.mask_key_rotation import rotate_mask_key
from ...database.selection import select_tables
from ...declare.registry import find_mask_key_table
from ...errors import AuditConfigError
from ...history.key import parse_key
from ...redaction import Redacted, redact, redact_unmasked, redact_views
from ...redaction.record import REASON
from ...redaction.unmasked import REASON as UNMASKED_REASON
from ...ui.text import visible
from .group import audit_cli, bind_option, binds, chosen, heading, lock_options


@audit_cli.command("redact")
@click.argument("table")
@click.argument("key", required=False)
@click.option("--columns", metavar="NAMES", help="Whose values are removed, separated by commas.")
@click.option("--reason", metavar="TEXT", help=f"Why; is kept for good (default: {REASON}).")
@click.option("--unmasked", is_flag=True, help="What was recorded of masked columns before they were, of all records.")
@click.option("--views", metavar="TEXT", help="Also remove the queries from audit_view that contain this text.")
@click.option("--keep-live", is_flag=True, help="Also where the row still has the values.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@lock_options
@bind_option
@with_appcontext
def redact_command(
    table: str,
    key: str | None,
    columns: str | None,
    reason: str | None,
    unmasked: bool,
    views: str | None,
    keep_live: bool,
    dry_run: bool,
    yes: bool,
    lock_timeout: float,
    tries: int,
    bind_key: str | None,
) -> None:
    """Remove values from the history of TABLE's record with KEY, for good, and write down that they were.

    KEY is its primary key; values of several columns are separated by commas. Change or delete the row itself first:
    it is left alone.
    """
    if unmasked == (key is not None) or unmasked == (columns is not None):
        raise click.UsageError("give KEY and --columns, or --unmasked")
    metadata, engine = _bind_of(table, bind_key)

    def run(dry_run: bool) -> list[Redacted]:
        found = []
        if unmasked:
            why = reason or UNMASKED_REASON
            found.append(
                redact_unmasked(
                    metadata, engine, table, reason=why, dry_run=dry_run, lock_timeout=lock_timeout, tries=tries
                )
            )
        else:
            found.append(
                redact(
                    metadata,
                    engine,
                    table,
                    _parse_key(metadata, engine, table, key or ""),
                    [name.strip() for name in (columns or "").split(",") if name.strip()],
                    reason=reason or REASON,
                    keep_live=keep_live,
                    dry_run=dry_run,
                    lock_timeout=lock_timeout,
                    tries=tries,
                )
            )
        if views is not None:
            found.append(redact_views(metadata, engine, views, reason=reason or REASON, dry_run=dry_run))
        return found

    planned = run(dry_run=True)
    if dry_run or not any(each.changes for each in planned):
        for each in planned:
            click.echo(_describe(each))
        return
    if not yes:
        for each in planned:
            click.echo(_describe(each))
        click.confirm("Remove them for good?", abort=True)
    for each in run(dry_run=False):
        click.echo(_describe(each))


def _bind_of(table: str, bind_key: str | None) -> tuple[MetaData, Engine]:
    for key, metadata, engine, _ in chosen([table], bind_key):
        heading(key)
        return metadata, engine
    raise AuditConfigError(f"no audited table is called {table!r}")


def _parse_key(metadata: MetaData, engine: Engine, table: str, text: str) -> object:
    return parse_key(select_tables(metadata, engine, [table]).tables[0].audited, text)


def _describe(redacted: Redacted) -> str:
    key = "" if redacted.key is None else f" ({', '.join(f'{name}={text}' for name, text in redacted.key.items())})"
    if not redacted.changes:
        return visible(f"{redacted.table}{key}: nothing to redact: no recorded change has a value there")
    counts = ", ".join(f"{name} in {number:,}" for name, number in redacted.columns.items() if number)
    verb = "would be redacted" if redacted.dry_run else "redacted"
    rows = "row" if redacted.changes == 1 else "rows"
    return visible(f"{redacted.table}{key}: {redacted.changes:,} {rows} {verb}: {counts}")


@audit_cli.command("rotate-mask-key")
@click.option("--forget", is_flag=True, help="Delete the earlier keys.")
@bind_option
@with_appcontext
def rotate_mask_key_command(forget: bool, bind_key: str | None) -> None:
    """Make a new key for columns that are masked with one.

    From now on equal values are not equal to those that were masked before.
    """
    for key, metadata, engine in binds(bind_key):
        if bind_key is None and key is not None and not _is_keyed(metadata):
            continue
        heading(key)
        click.echo(f"masks begin with {rotate_mask_key(metadata, engine, forget=forget)} now")


def _is_keyed(metadata: MetaData) -> bool:
    return find_mask_key_table(metadata) is not None
