"""The figures of a run: as data, and as the tables of the page on operations."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from soak.run import Soaked

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "_data" / "soak.json"
PAGE = DOCS / "operations.md"

#: What must be nothing, for people.
MEANING = {
    "lost": "committed changes that the history lacks",
    "unexplained": "changes in the history that nobody committed",
    "doubled": "changes recorded more than once",
    "wrong_user": "changes with the wrong user, or the wrong actor's id",
    "wrong_image": "changes whose image is not what was written",
    "out_of_order": "changes that are not in the order in which they were made",
    "split": "transactions whose changes are in several rows of `audit_transaction`",
    "merged": "rows of `audit_transaction` with the changes of several transactions",
    "orphaned": "changes without their row of `audit_transaction`, or rows without changes",
    "baselined_twice": "rows with two first images of a baseline",
    "not_as_live": "rows that are not as the history says",
    "findings": "findings of `flask audit check`, `verify` and `verify --seals`, meanwhile and in the end",
}


def figures(soaked: Soaked) -> dict[str, Any]:
    """What is kept of a run."""
    report, verdict, restored = soaked.report, soaked.verdict, soaked.restored
    return {
        "postgresql": soaked.postgresql,
        "driver": soaked.plan.driver,
        "cores": os.cpu_count(),
        "clients": soaked.plan.clients,
        "seconds": round(soaked.seconds),
        "requests": report.requests,
        "transactions": report.transactions,
        "rolled_back": report.rolled_back,
        "changes": verdict.changes,
        "recorded": verdict.recorded,
        "faults": dict(sorted(soaked.faults.items())),
        "left_out": soaked.left_out,
        "met": dict(sorted(report.met.items())),
        "unanswered": dict(sorted(report.outcomes.items())),
        "jobs": dict(sorted(report.done.items())),
        "interrupted": dict(sorted(report.interrupted.items())),
        "wrong": {**verdict.counts, "findings": len(report.findings) + len(verdict.findings)},
        "restored": restored and {**restored.counts, "findings": len(restored.findings)},
    }


def render(data: Mapping[str, Any]) -> str:
    """All of it, for a terminal."""
    return "\n".join(f"{table}" for table in tables(data).values())


def tables(data: Mapping[str, Any]) -> dict[str, str]:
    """By the names that the page has for them."""
    return {
        "soak": _run(data),
        "soak wrong": _table(("what must not be", "found", "found in a restored dump"), _wrong(data)),
        "soak faults": _table(("what was done to the server", "times"), data["faults"].items()),
        "soak met": _table(("what the clients met", "times"), _met(data)),
        "soak jobs": _table(
            ("what ran meanwhile", "times", "ended by a fault"),
            ((name, count, data["interrupted"].get(name, 0)) for name, count in data["jobs"].items()),
        ),
    }


def _run(data: Mapping[str, Any]) -> str:
    seconds = data["seconds"]
    left_out = "".join(f" Left out: {name} ({why})." for name, why in data["left_out"].items())
    return (
        f"{data['clients']} clients made {data['requests']:,} requests in {seconds // 60} minutes and "
        f"{seconds % 60} seconds, on {data['cores']} cores, with PostgreSQL {data['postgresql']} and {data['driver']}. "
        f"{data['transactions']:,} transactions were committed and {data['rolled_back']:,} rolled back. The ledgers "
        f"have {data['changes']:,} changes, and the history has {data['recorded']:,}.{left_out}\n"
    )


def _wrong(data: Mapping[str, Any]) -> Iterable[tuple[str, int, int | str]]:
    restored = data["restored"]
    for name, count in data["wrong"].items():
        yield MEANING[name], count, "not tried" if restored is None else restored[name]


def _met(data: Mapping[str, Any]) -> Iterable[tuple[str, int]]:
    yield from data["met"].items()
    for outcome, count in data["unanswered"].items():
        yield f"commit that was not answered, and turned out to be {outcome}", count


def _table(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    shown = [head, ("---", *(["---:"] * (len(head) - 1))), *((name, *map(_shown, n)) for name, *n in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in shown) + "\n"


def _shown(count: int | str) -> str:
    return count if isinstance(count, str) else f"{count:,}"


def write(data: Mapping[str, Any]) -> None:
    """Keep the figures, and put them into the page."""
    DATA.write_text(json.dumps(data, indent=2) + "\n")
    PAGE.write_text(with_figures(PAGE.read_text(), data))


def read() -> dict[str, Any]:
    """The figures that were kept."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data


def with_figures(page: str, data: Mapping[str, Any]) -> str:
    """The page with its tables, which are between comments, made anew."""
    for name, table in tables(data).items():
        place = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = place.sub(lambda match, table=table: f"{match[1]}\n{table}\n{match[2]}", page)  # type: ignore[misc]
    return page
