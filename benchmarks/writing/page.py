"""The figures for the documentation: kept as data, as pictures, and as the tables of the page on cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from benchmarks.application import tabulate as of_applications
from benchmarks.application.figures import Applications
from benchmarks.writing import tabulate
from benchmarks.writing.chart import Chart
from benchmarks.writing.figures import Figures, read_all

DOCS = Path(__file__).parent.parent.parent / "docs"
DATA = DOCS / "_data"
PICTURES = DOCS / "_static"
PAGE = DOCS / "cost.md"

#: What is across, and what is up.
CURVES = {
    "rows": ("rows in one update", "µs per row, more than none"),
    "columns": ("columns of the table", "µs per one-row update"),
    "tables": ("audited tables that a session writes to", "µs per one-row update"),
    "history": ("changes that are already in the history", "µs per one-row update"),
    "clients": ("clients at a time", "transactions per second"),
}

Table = Callable[[Figures], str]
T = TypeVar("T")

#: Made for each version of PostgreSQL that was measured.
TABLES: Mapping[str, Table] = {
    "machine": tabulate.machine,
    "contenders": tabulate.contenders,
    "single narrow": lambda figures: tabulate.series(figures, "single narrow"),
    "single account": lambda figures: tabulate.series(figures, "single account"),
    "single account wall": lambda figures: tabulate.series(figures, "single account", "wall"),
    "single wide_100": lambda figures: tabulate.series(figures, "single wide_100"),
    "bulk narrow": lambda figures: tabulate.series(figures, "bulk narrow"),
    "bulk account": lambda figures: tabulate.series(figures, "bulk account"),
    "bulk account wall": lambda figures: tabulate.series(figures, "bulk account", "wall"),
    "bulk wide_100": lambda figures: tabulate.series(figures, "bulk wide_100"),
    "parts single": lambda figures: tabulate.parts(figures, "single account"),
    "parts bulk": lambda figures: tabulate.parts(figures, "bulk account"),
    "large": lambda figures: tabulate.series(figures, "large document"),
    "cascade": lambda figures: tabulate.series(figures, "cascade"),
    "clients": tabulate.clients,
    "long sessions": tabulate.long_sessions,
    "bytes": tabulate.sizes,
    "sizing": tabulate.sizing,
}


def write_application(applications: Applications) -> None:
    """Keep what auditing costs an application beside the other figures of that version, and put it into the page.

    :raises ValueError: there are none.
    """
    major, versions = applications.major, read_all(DATA)
    if major not in versions:
        raise ValueError(f"no figures of PostgreSQL {major} are kept: make bench BENCH_ARGS=--write makes them")
    write(replace(versions[major], application=applications))


def write(figures: Figures) -> None:
    """Keep them, draw them, and put them into the page."""
    DATA.mkdir(exist_ok=True)
    PICTURES.mkdir(exist_ok=True)
    (DATA / f"writing-{figures.machine.major}.json").write_text(figures.to_json())
    versions = read_all(DATA)
    # The page shows the curves of the newest.
    for name, picture in pictures(versions[max(versions)]).items():
        (PICTURES / name).write_text(picture)
    PAGE.write_text(with_figures(PAGE.read_text(), versions))


def with_figures(page: str, versions: Mapping[int, Figures]) -> str:
    """The page with what is between comments made anew.

    :param versions: the newest first: the curves are its.
    """
    blocks = {name: _of_versions(table, versions) for name, table in TABLES.items()}
    applications = {major: one.application for major, one in versions.items() if one.application is not None}
    blocks |= {name: _of_versions(table, applications) for name, table in of_applications.TABLES.items()}
    blocks["application targets"] = of_applications.targets(applications)
    blocks["targets"] = tabulate.targets(versions)
    newest = next(iter(versions))
    for name, (across, up) in CURVES.items():
        blocks[f"curve {name}"] = f"![{up} by {across}, PostgreSQL {newest}](_static/{picture_name(name, newest)})\n"
    for name, block in blocks.items():
        place = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = place.sub(lambda match, block=block: f"{match[1]}\n{block}\n{match[2]}", page)  # type: ignore[misc]
    return page


def _of_versions(table: Callable[[T], str], versions: Mapping[int, T]) -> str:
    parts = [(major, table(figures)) for major, figures in versions.items()]
    if not parts:
        return "Not measured.\n"
    if len({text for _, text in parts}) == 1:
        return parts[0][1]
    return "\n".join(f"PostgreSQL {major}:\n\n{text}" for major, text in parts)


def picture_name(curve: str, major: int) -> str:
    """The file's."""
    return f"cost-{curve}-{major}.svg"


def pictures(figures: Figures) -> dict[str, str]:
    """All curves, by the names of their files."""
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {name: {} for name in CURVES}
    for point in figures.points:
        line = lines[point.curve].setdefault(tabulate.title(figures, point.contender), [])
        line.append((point.x, point.y))
    # In the order, and so the colours, of the other curves, which have no line for no auditing.
    for contender in ("floor", "ours", "minimal", "none"):
        found = [(one.clients, one.per_second) for one in figures.throughput if one.contender == contender]
        lines["clients"][tabulate.title(figures, contender)] = sorted(found)
    return {
        picture_name(name, figures.machine.major): Chart(
            f"{up} by {across}", across, up, lines[name], linear=name == "columns"
        ).render()
        for name, (across, up) in CURVES.items()
    }
