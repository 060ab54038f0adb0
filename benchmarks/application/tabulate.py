"""Tables in Markdown, of what came out of the applications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product

from benchmarks.application.figures import Applications, Taken
from benchmarks.application.steps import BULK, FLUSH, ONE, Step
from benchmarks.application.targets import READ_ONLY_STATEMENTS, TARGETS, extra_statements, verdict
from benchmarks.writing.markdown import NOTHING, number, table

#: Of a contender whose history has nothing of it.
UNRECORDED = "(nothing)"


def conditions(figures: Applications) -> str:
    """How much was done, and how far away the server was."""
    quick = "" if figures.size == "full" else ", with the few rounds of `make bench-quick`"
    return (
        f"PostgreSQL {figures.postgresql}{quick}; many objects are {figures.objects:,} over the socket and "
        f"{figures.far_objects:,} over the network. A `SELECT 1` takes {figures.near_round_trip:,.0f} µs over the one "
        f"and {figures.round_trip:,.0f} µs over the other.\n"
    )


def contenders(figures: Applications) -> str:
    """Who takes part, in which configuration, or why not."""
    rows = [
        (one.title, one.configuration if one.skipped is None else f"not measured: {one.skipped}")
        for one in figures.participants
    ]
    return table(("contender", "configuration"), rows, numbers=False)


def times(figures: Applications, steps: Sequence[Step], route: str) -> str:
    """Without auditing in microseconds for each object, and how many times that the others take."""
    return _by_driver(figures, steps, lambda one: _time(figures, one), route)


def work(figures: Applications, steps: Sequence[Step]) -> str:
    """The same of the time on the processor, of client and server, over the socket."""
    return _by_driver(figures, steps, lambda one: _work(figures, one), "socket")


def _by_driver(figures: Applications, steps: Sequence[Step], cell: Callable[[Taken], str], route: str) -> str:
    columns = tuple(product(figures.drivers, steps))
    rows = []
    for one in figures.participants:
        found = [figures.find(step.task, one.name, driver, route) for driver, step in columns]
        if any(found):
            rows.append((one.title, *(cell(taken) if taken else NOTHING for taken in found)))
    return table(("µs per object, or times that", *(f"{driver}: {step.title}" for driver, step in columns)), rows)


def _time(figures: Applications, one: Taken) -> str:
    return f"{number(one.wall)} µs" if one.contender == "none" else _ratio(figures, one, one.ratio)


def _work(figures: Applications, one: Taken) -> str:
    if one.contender == "none":
        return f"{number(one.client)} + {number(one.server)} µs"
    return _ratio(figures, one, one.work)


def _ratio(figures: Applications, one: Taken, ratio: float) -> str:
    sent = figures.statements(one.task, one.contender, one.driver)
    note = f" {UNRECORDED}" if sent is not None and sent.recorded is False else ""
    return f"{ratio:.2f} ×{note}"


def statements(figures: Applications) -> str:
    """Messages to the server for each transaction with one object: as often the application waits for it."""
    columns = tuple(product(figures.drivers, ONE))
    rows = []
    for one in figures.participants:
        sent = [figures.statements(step.task, one.name, driver) for driver, step in columns]
        if any(sent):
            rows.append((one.title, *(f"{each.statements:g}" if each else NOTHING for each in sent)))
    return table(("messages per transaction", *(f"{driver}: {step.title}" for driver, step in columns)), rows)


def targets(versions: Mapping[int, Applications]) -> str:
    """What is promised, and what is measured on each version, over the socket."""
    columns = [(major, figures, driver) for major, figures in versions.items() for driver in figures.drivers]
    head = (
        "of the time without auditing",
        "at most",
        *(f"PostgreSQL {major}, {driver}" for major, _, driver in columns),
    )
    rows = [
        (target.title, f"{target.limit:.2f} ×", *(verdict(target, figures, driver) for _, figures, driver in columns))
        for target in TARGETS
    ]
    extra = [extra_statements(figures, driver) for _, figures, driver in columns]
    rows.append(("statements more, read only", str(READ_ONLY_STATEMENTS), *map(_extra, extra)))
    return table(head, rows)


def _extra(found: float | None) -> str:
    if found is None:
        return "not measured"
    return f"{found:g}, {'met' if found <= READ_ONLY_STATEMENTS else 'missed'}"


#: Made for each version of PostgreSQL that was measured.
TABLES: Mapping[str, Callable[[Applications], str]] = {
    "application conditions": conditions,
    "application contenders": contenders,
    "application one": lambda figures: times(figures, ONE, "socket"),
    "application one network": lambda figures: times(figures, ONE, "network"),
    "application one work": lambda figures: work(figures, ONE),
    "application flush": lambda figures: times(figures, FLUSH, "socket"),
    "application flush network": lambda figures: times(figures, FLUSH, "network"),
    "application flush work": lambda figures: work(figures, FLUSH),
    "application bulk": lambda figures: times(figures, BULK, "socket"),
    "application bulk network": lambda figures: times(figures, BULK, "network"),
    "application statements": statements,
}
