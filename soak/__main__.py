"""``make soak``: write a million times, whatever goes wrong, and count what the history has lost.

With ``--write`` the figures go into ``docs/_data/soak.json`` and the page on operations. Exit code 1 when the history
does not tell what was committed.
"""

from __future__ import annotations

import argparse
import signal
import sys

from soak import page
from soak.run import Plan, soak


def main() -> int:
    """The command."""
    # As Ctrl-C: nothing is left mounted, and nobody running.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    usual = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=usual.requests, help="committed, of all clients (%(default)s)")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="at most (%(default)s)")
    parser.add_argument("--clients", type=int, default=usual.clients, help="(%(default)s)")
    parser.add_argument("--processes", type=int, default=usual.processes, help="for the clients (%(default)s)")
    parser.add_argument("--pause", type=float, default=usual.pause, help="seconds between two faults (%(default)s)")
    parser.add_argument("--seed", type=int, default=usual.seed, help="of all that is random (%(default)s)")
    parser.add_argument("--driver", choices=("psycopg2", "psycopg"), default=usual.driver, help="(%(default)s)")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    options = vars(parser.parse_args())
    write = options.pop("write")
    soaked = soak(Plan(**options), say=lambda line: print(line, file=sys.stderr, flush=True))
    print(page.render(page.figures(soaked)))
    for finding in (*soaked.report.findings, *soaked.verdict.findings):
        print(finding)
    if write:
        page.write(page.figures(soaked))
    return 0 if soaked.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
