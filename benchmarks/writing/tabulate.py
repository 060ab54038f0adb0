"""Tables in Markdown, of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.writing import series as of_series
from benchmarks.writing.figures import Figures
from benchmarks.writing.markdown import NOTHING, number, table
from benchmarks.writing.parts import ALL
from benchmarks.writing.series import Result
from benchmarks.writing.sizes import of_change, of_log, of_transaction
from benchmarks.writing.tables import ORDINARY
from benchmarks.writing.targets import TARGETS, verdict

SECONDS_PER_YEAR = 365 * 24 * 3600
RATES = (1, 10, 100)


def title(figures: Figures, contender: str) -> str:
    """What a contender is called in a table."""
    return next(one.title for one in figures.entrants if one.name == contender)


def machine(figures: Figures) -> str:
    """What it was measured on."""
    one = figures.machine
    quick = "" if one.size == "full" else ", with the few rounds of `make bench-quick`"
    return f"{one.cores} cores, {one.memory_gib} GiB, PostgreSQL {one.postgresql}{quick}.\n"


def contenders(figures: Figures) -> str:
    """Who takes part, in which configuration, or why not."""
    rows = (
        (one.title, one.configuration if one.skipped is None else f"not measured: {one.skipped}")
        for one in figures.entrants
    )
    return table(("contender", "configuration"), rows, numbers=False)


def targets(versions: Mapping[int, Figures]) -> str:
    """What is promised, and what is measured on each version."""
    head = ("overhead, as many times that of the floor", "at most", *(f"PostgreSQL {major}" for major in versions))
    rows = (
        (
            f"{target.step}, {'one row' if target.series.startswith('single') else 'many rows in one statement'}",
            f"{target.limit:.1f} ×",
            *(verdict(target, figures.results) for figures in versions.values()),
        )
        for target in TARGETS
    )
    return table(head, rows)


def series(figures: Figures, name: str, of: str = "cpu") -> str:
    """Microseconds more than none and how often that of the floor, of each contender and step."""
    return _costs(figures.results, {one.name: one.title for one in figures.measured}, name, of)


def parts(figures: Figures, name: str) -> str:
    """The same of what the default configuration is made of, the least of the rounds: some do not differ by much."""
    if not figures.parts:
        return "Not measured.\n"
    return _costs(figures.parts, {one.name: one.title for one in ALL}, name, "least_cpu")


def _costs(results: Sequence[Result], titles: Mapping[str, str], name: str, of: str) -> str:
    steps = tuple(dict.fromkeys(one.step for one in results if one.series == name))
    rows = []
    for contender, title in titles.items():
        costs = [of_series.overhead(results, name, step, contender, of) for step in steps]
        if contender != "none" and any(cost is not None for cost in costs):
            # Of the time that passed there is too much that others took.
            ratios = [of_series.ratio(results, name, step, contender, of) if of != "wall" else None for step in steps]
            rows.append((title, *map(_cost, costs, ratios)))
    none = [_plain(results, name, step, of) for step in steps]
    return table(("µs per row, more than none", *steps), [("no auditing: all of it", *none), *rows])


def _plain(results: Sequence[Result], name: str, step: str, of: str) -> str:
    found = [getattr(one, of) for one in results if (one.series, one.step, one.contender) == (name, step, "none")]
    return number(found[0]) if found else NOTHING


def clients(figures: Figures) -> str:
    """Transactions in a second, and what one costs the server."""
    counts = [count for count in sorted({one.clients for one in figures.throughput}) if count in (1, 4, 16)]
    found = {(one.contender, one.clients): one for one in figures.throughput}
    rows = [
        (
            one.title,
            *(f"{found[one.name, count].per_second:,.0f}" for count in counts),
            *(number(found[one.name, count].cpu) for count in counts),
        )
        for one in figures.measured
        if (one.name, counts[0]) in found
    ]
    head = (*(f"clients: {count}, per s" for count in counts), *(f"clients: {count}, µs each" for count in counts))
    return table(("transactions", *head), rows)


def long_sessions(figures: Figures) -> str:
    """The end of a session against its beginning."""
    rows = (
        (
            title(figures, one.contender),
            f"{one.statements:,}",
            number(one.first),
            number(one.last),
            f"{one.last / one.first:.2f} ×",
            number(one.fresh),
            number(one.after_one),
        )
        for one in figures.long_sessions
    )
    head = (
        "µs",
        "statements",
        "one at first",
        "one at last",
        "last to first",
        "bulk, a row",
        "the same after a one-row update",
    )
    return table(head, rows)


def sizes(figures: Figures) -> str:
    """Bytes of a change in the history, and in the log: the mean of an insert, an update and a delete."""
    titles = {one.name.split(maxsplit=1)[-1]: one.title for one in figures.series}
    rows = []
    for shape in dict.fromkeys(one.table for one in figures.sizes):
        plain = of_log(figures.sizes, shape, "none")
        for one in figures.measured:
            if one.name != "none":
                heap, indexes = of_change(figures.sizes, shape, one.name)
                log = of_log(figures.sizes, shape, one.name) - plain
                rows.append((titles[shape], one.title, _bytes(heap), _bytes(indexes), _bytes(log)))
    return table(("a change of a table with", "contender", "table", "indexes", "log, more than none"), rows, numbers=3)


def sizing(figures: Figures) -> str:
    """Bytes per change of ours, and what they come to in a year."""
    rows = []
    transaction = of_transaction(figures.sizes, ORDINARY.name, "ours")
    for shape in dict.fromkeys(one.table for one in figures.sizes):
        heap, indexes = of_change(figures.sizes, shape, "ours")
        name = next(one.title for one in figures.series if one.name in (f"single {shape}", f"large {shape}"))
        years = (f"{(heap + indexes + transaction) * rate * SECONDS_PER_YEAR / 2**30:,.0f} GiB" for rate in RATES)
        rows.append((name, _bytes(heap), _bytes(indexes), _bytes(transaction), *years))
    head = ("one change of a table with", "table", "indexes", "a transaction of its own")
    return table((*head, *(f"a year at {rate}/s" for rate in RATES)), rows)


def _cost(overhead: float | None, ratio: float | None) -> str:
    if overhead is None:
        return NOTHING
    return number(overhead) if ratio is None else f"{number(overhead)} ({ratio:.1f} ×)"


def _bytes(value: float) -> str:
    return f"{value:,.0f}"
