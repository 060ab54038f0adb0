"""How long an export takes, and that its memory does not grow: ``python -m benchmarks.export``.

Exports all changes of a history as CSV, with the memory of this process before and after.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import sys
import time

from benchmarks.big_history import history
from benchmarks.shop import metadata
from flask_pg_audit.history.export import export_rows
from flask_pg_audit.history.export_formats import FORMATS
from flask_pg_audit.history.snapshot import snapshot

ROWS = 1_000_000


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS, help="changes in the history (%(default)s)")
    parser.add_argument("--format", choices=list(FORMATS), default="csv")
    options = parser.parse_args()
    with history(os.environ.get("DATABASE_URL"), options.rows) as engine:
        with snapshot(engine) as connection:
            before, start, counter = _memory(), time.perf_counter(), itertools.count()
            rows = (row for row, _ in zip(export_rows(connection, metadata), counter, strict=False))
            size = sum(map(len, FORMATS[options.format](rows)))
            seconds, changes = time.perf_counter() - start, next(counter)
        print(
            f"{changes:,} changes, {size / 2**20:,.0f} MB in {seconds:.1f} s, {_memory() - before:.0f} MB more memory"
        )
    return 0


def _memory() -> float:
    """The most that this process has had so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
