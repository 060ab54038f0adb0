"""``flask audit seal``."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import with_appcontext

from ...seal import Seal, seal
from ...seal.sealing import WAIT
from ..seal_keys import signing_key
from ..state import get_state
from .group import audit_cli, bind_option, binds, progress_bar
from .seal_file import append_seals, echo_seals


@audit_cli.command("seal")
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=86_400),
    default=WAIT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for transactions that are still open.",
)
@click.option("--to", "target", metavar="FILE", help="Append the seal to FILE as well, or print it with '-'.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Sign with the key in FILE (default: AUDIT_SEAL_KEY or AUDIT_SEAL_KEY_FILE).",
)
@click.option("--heartbeat", is_flag=True, help="Make a seal even if there is nothing new.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, the same as --to -.")
@bind_option
@with_appcontext
def seal_command(
    wait: float, target: str | None, key_file: Path | None, heartbeat: bool, as_json: bool, bind_key: str | None
) -> None:
    """Close the part of the history that is settled.

    Whatever is done to a sealed row afterwards is found by "flask audit verify --seals". Others may write meanwhile.
    """
    key = signing_key(get_state().config, key_file)
    made: list[tuple[str | None, Seal]] = []
    is_printed = as_json or target == "-"
    for bind, metadata, engine in binds(bind_key):
        with progress_bar("sealing") as progress:
            new = seal(metadata, engine, key=key, wait=wait, heartbeat=heartbeat, progress=progress)
        made += [] if new is None else [(bind, new)]
        if not is_printed:
            _echo(bind, new)
        if target not in (None, "-"):
            append_seals(Path(str(target)), metadata, engine, bind)
    if is_printed:
        echo_seals(made)


def _echo(bind: str | None, new: Seal | None) -> None:
    prefix = f"{bind}: " if bind else ""
    if new is None:
        click.echo(f"{prefix}nothing to seal: nothing is new")
        return
    signed = f", signed with {new.key_id}" if new.key_id is not None else ""
    click.echo(f"{prefix}seal {new.id}: {new.rows:,} rows, hash {new.hash}{signed}")
