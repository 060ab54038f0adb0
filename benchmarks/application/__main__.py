"""What auditing costs an application: ``python -m benchmarks.application``; ``make bench`` measures it as well.

Starts a PostgreSQL of its own (``AUDIT_POSTGRES_BIN`` names another version's programs), and a process for each
contender. ``--write`` puts the figures beside those of ``make bench BENCH_ARGS=--write``, and into the page on cost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from benchmarks.application import tabulate
from benchmarks.application.contenders import from_pypi, own
from benchmarks.application.figures import Applications
from benchmarks.application.run import measure
from benchmarks.application.steps import QUICK_PLAN, Plan
from benchmarks.writing import page


def measure_all(quick: bool, only_own: bool, say: Callable[[str], object]) -> Applications:
    """Everybody, or nobody from PyPI; ``quick`` is that, too, in fewer rounds."""
    chosen = own() if quick or only_own else own() + from_pypi()
    return measure(chosen, QUICK_PLAN if quick else Plan(), say)


def show(applications: Applications) -> None:
    """All tables, on the terminal."""
    for name, table in tabulate.TABLES.items():
        print(f"\n{name}\n\n{table(applications)}", end="")
    print(f"\napplication targets\n\n{tabulate.targets({applications.major: applications})}", end="")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and objects, and nothing from PyPI")
    parser.add_argument("--own", action="store_true", help="nothing from PyPI")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    options = parser.parse_args()
    start = time.perf_counter()
    applications = measure_all(
        options.quick, options.own, lambda line: print(f"[{time.perf_counter() - start:4.0f} s] {line}", flush=True)
    )
    show(applications)
    print(f"\n{time.perf_counter() - start:.0f} s")
    if options.write:
        page.write_application(applications)


if __name__ == "__main__":
    main()
