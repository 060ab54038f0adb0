"""``flask audit verify --seals``."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ...seal import VerifiedSeals, verify_seals
from ...ui.text import visible
from ..seal_keys import verifying_keys
from ..state import get_state
from .group import binds, progress_bar
from .seal_file import read_copies

_Found = Sequence[tuple[str | None, VerifiedSeals]]


@dataclass(frozen=True)
class SealOptions:
    """What ``verify`` was told for ``--seals``."""

    copies: Path | None = None
    key_files: tuple[Path, ...] = ()
    pruned: tuple[str, ...] = ()


def run(options: SealOptions, as_json: bool, limit: int, bind_key: str | None) -> None:
    """Compare history with its seals, and print what is found.

    :raises click.exceptions.Exit: with 1, when something is.
    """
    keys = verifying_keys(get_state().config, options.key_files)
    found: list[tuple[str | None, VerifiedSeals]] = []
    for bind, metadata, engine in binds(bind_key):
        copies = read_copies(options.copies, bind) if options.copies is not None else ()
        with progress_bar("comparing") as progress:
            verified = verify_seals(
                metadata,
                engine,
                keys=keys,
                copies=copies,
                pruned=options.pruned,
                limit=limit,
                progress=progress,
            )
        found.append((bind, verified))
    if as_json:
        click.echo(json.dumps([{"bind": bind, **dataclasses.asdict(each)} for bind, each in found], indent=2))
    else:
        _echo(found)
    if any(each.counts for _, each in found):
        raise click.exceptions.Exit(1)


def _echo(found: _Found) -> None:
    for bind, verified in found:
        prefix = f"{bind}: " if bind else ""
        for note in verified.notes:
            click.echo(_line(f"{prefix}{note}"))
        for table, count in verified.pruned.items():
            click.echo(_line(f"{prefix}{table}: the oldest {count:,} rows are gone, as expected"))
        if verified.redacted:
            click.echo(f"{prefix}{verified.redacted:,} rows were redacted, and are as they were left")
        for finding in verified.findings:
            click.echo(_line(f"{prefix}{finding}"))
        for kind, count in verified.counts.items():
            hidden = count - sum(finding.kind == kind for finding in verified.findings)
            if hidden:
                click.echo(f"{prefix}{kind}: {hidden:,} more")
    if not any(verified.counts for _, verified in found):
        rows, seals = sum(each.rows for _, each in found), sum(each.seals for _, each in found)
        click.echo(f"nothing differs: {rows:,} rows are as {seals:,} seals say")


def _line(text: str) -> str:
    return visible(text).replace("\n", "⟨U+000A⟩")
