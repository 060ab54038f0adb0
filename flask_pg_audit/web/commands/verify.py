"""``flask audit verify``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import click
from flask.cli import with_appcontext

from ...database.differences import REPAIRABLE, Verified
from ...database.verify import LIMIT, verify
from ...errors import AuditError
from ...ui.text import visible
from . import verify_seals
from .group import (
    audit_cli,
    batch_size_option,
    bind_option,
    chosen,
    lock_options,
    progress_bar,
    tables_argument,
)
from .verify_seals import SealOptions

_Found = Sequence[tuple[str | None, Verified]]


@audit_cli.command("verify")
@tables_argument
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=LIMIT,
    show_default=True,
    metavar="N",
    help="How many differences of each kind and table are shown; all are counted.",
)
@click.option("--repair", is_flag=True, help="Write the images that the history lacks.")
@click.option("--seals", is_flag=True, help="Compare history with its seals instead.")
@click.option(
    "--from",
    "copies",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="With --seals: the copies of the seals that were kept elsewhere.",
)
@click.option(
    "--key-file",
    "key_files",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    metavar="FILE",
    help="With --seals: a key that seals were signed with, or its public half; more than one may be given.",
)
@click.option(
    "--pruned",
    multiple=True,
    metavar="TABLE",
    help="With --seals: a table whose oldest rows may be gone, such as audit_view.",
)
@batch_size_option
@lock_options
@bind_option
@with_appcontext
def verify_command(
    tables: tuple[str, ...],
    as_json: bool,
    limit: int,
    repair: bool,
    seals: bool,
    copies: Path | None,
    key_files: tuple[Path, ...],
    pruned: tuple[str, ...],
    batch_size: int,
    lock_timeout: float,
    tries: int,
    bind_key: str | None,
) -> None:
    """Exit with 1, and a line for each difference, unless every live row is as its last image.

    Compares each TABLE, or all audited tables, with their history: finds writes that bypassed auditing, and history
    that was deleted. With --seals: unless every sealed row is what it was when it was sealed. Others may write
    meanwhile.
    """
    options = SealOptions(copies, key_files, pruned)
    if seals:
        _refuse(bool(tables or repair), "--seals looks at everything that is sealed, and repairs nothing")
        verify_seals.run(options, as_json, limit, bind_key)
        return
    _refuse(options != SealOptions(), "--from, --key-file and --pruned are for --seals")
    found: list[tuple[str | None, Verified]] = []
    for key, metadata, engine, names in chosen(tables, bind_key):
        with progress_bar("comparing") as progress:
            verified = verify(
                metadata,
                engine,
                tables=names,
                repair=repair,
                limit=limit,
                batch_size=batch_size,
                lock_timeout=lock_timeout,
                tries=tries,
                progress=progress,
            )
        found += [(key, table) for table in verified]
    if as_json:
        click.echo(json.dumps([{"bind": key, **dataclasses.asdict(table)} for key, table in found], indent=2))
    else:
        _echo(found, repair)
    _exit(found, repair)


def _refuse(is_wrong: bool, why: str) -> None:
    if is_wrong:
        raise click.UsageError(why)


def _echo(found: _Found, repair: bool) -> None:
    for key, table in found:
        bind = f"{key}: " if key else ""
        for difference in table.differences:
            click.echo(visible(f"{bind}{difference}").replace("\n", "⟨U+000A⟩"))
        for kind, count in table.counts.items():
            hidden = count - sum(difference.kind == kind for difference in table.differences)
            if hidden:
                click.echo(f"{bind}{kind}: {table.table}: {hidden:,} more")
            if repair and kind not in REPAIRABLE:
                click.echo(f"{bind}{kind}: {table.table}: cannot be repaired: nobody knows what was deleted")
        if table.repaired:
            click.echo(f"{bind}{table.table}: repaired with {table.repaired:,} rows")
        if table.skipped is not None:
            click.echo(f"{bind}{table.table}: not verified: it {table.skipped}", err=True)
    if not any(table.counts for _, table in found):
        rows = sum(table.rows or 0 for _, table in found)
        click.echo(f"nothing differs: {rows:,} rows are as their last images")


def _exit(found: _Found, repair: bool) -> None:
    if any(table.left(repair) for _, table in found):
        raise click.exceptions.Exit(1)
    if all(table.rows is None for _, table in found):
        raise AuditError("no table could be verified: none has a primary key")
