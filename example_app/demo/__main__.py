"""From the command line to a running server, and back."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType

from sqlalchemy import URL

from tools.embedded_postgres import EmbeddedPostgresError

from .. import create_app
from . import DemoError
from .activity import PEOPLE, live_through
from .database import is_in_use, open_database, prepare
from .server import find_port, serve, wanted_port


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m example_app.demo", description="A shop with an audit log.")
    parser.add_argument("--no-serve", action="store_true", help="stop when the shop is filled")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    logging.disable(logging.INFO)  # a line per request and migration would bury what we say
    try:
        _run(stay=not options.no_serve)
    except KeyboardInterrupt:
        _say("\nStopped.")
    except (DemoError, EmbeddedPostgresError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def _run(stay: bool) -> None:
    with ExitStack() as stack:
        listener = stack.enter_context(find_port())
        if listener.getsockname()[1] != wanted_port():
            _say(f"Port {wanted_port()} is taken.")
        _say("Looking for the database ...")
        database = stack.enter_context(open_database())
        app = create_app({"SQLALCHEMY_DATABASE_URI": database})
        prepare(app)
        address = stack.enter_context(serve(app, listener))
        if is_in_use(app):
            _say("The database is in use already: nothing was added to it, and its users may be others than below.")
        else:
            _say("Filling the shop ...")
            live_through(app, address, database)
        if stay:
            _say(_describe(address, database))
            signal.pause()


def _describe(address: str, database: URL) -> str:
    people = "\n".join(f"    {p.username:<6} {p.password:<11} {p.role}" for p in PEOPLE)
    return f"""
The shop       {address}/
The audit log  {address}/audit/   (for auditors and admins)
The database   {database.set(drivername="postgresql")}

Log in as
{people}

Ctrl-C stops it."""


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second one must not interrupt the tidying up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
