"""The figures for the documentation: as data, and as the tables of the page on performance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "_data" / "reading.json"
PAGES_DATA = DOCS / "_data" / "pages.json"
PAGE = DOCS / "performance.md"


def write(data: Mapping[str, Any]) -> None:
    """Keep the figures, and put them into the page."""
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(data, indent=2) + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(), data))


def write_pages(data: Mapping[str, Any]) -> None:
    """The same for the figures of the audit log's pages."""
    PAGES_DATA.write_text(json.dumps(data, indent=2) + "\n")
    PAGE.write_text(with_pages(PAGE.read_text(), data))


def read() -> dict[str, Any]:
    """The figures that were kept."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data


def read_pages() -> dict[str, Any]:
    """The same for the pages."""
    data: dict[str, Any] = json.loads(PAGES_DATA.read_text())
    return data


def with_tables(page: str, data: Mapping[str, Any]) -> str:
    """The page with its tables, which are between comments, made anew."""
    readings = data["readings"]
    tables = {
        "machine": render_machine(data),
        "promised": render_readings(one for one in readings if one["budget"] is not None),
        "unbounded": render_readings(one for one in readings if one["budget"] is None),
    }
    return _with(page, tables)


def with_pages(page: str, data: Mapping[str, Any]) -> str:
    """The page with its table of the audit log's pages made anew."""
    return _with(page, {"pages": render_pages(data["pages"])})


def _with(page: str, tables: Mapping[str, str]) -> str:
    for name, table in tables.items():
        place = re.compile(rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = place.sub(lambda match, table=table: f"{match[1]}\n{table}\n{match[2]}", page)  # type: ignore[misc]
    return page


def render_machine(data: Mapping[str, Any]) -> str:
    """What it was measured on."""
    machine = data["machine"]
    size, memory = machine["size"] / 2**30, machine["memory_gib"]
    return (
        f"{data['rows']:,} changes in ten tables, {size:.1f} GiB; PostgreSQL {machine['postgresql']} with "
        f"{machine['shared_buffers']} of shared buffers, on {machine['cores']} cores and {memory} GiB.\n"
    )


def render_readings(readings: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table."""
    rows = ["| reading | ms | of these planning | rows looked at |", "| --- | ---: | ---: | ---: |"]
    for one in readings:
        server, planning = _shown(one["server_ms"]), _shown(one["planning_ms"])
        rows.append(f"| {one['name']}: {one['what']} | {server} | {planning} | {one['rows_read']:,} |")
    return "\n".join(rows) + "\n"


def render_pages(pages: Iterable[Mapping[str, Any]]) -> str:
    """A Markdown table, the slowest first."""
    rows = [
        "| page | ms | p95 | waiting for the server | the program | KB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for one in pages:
        times = (one["wall_ms"], one["slowest_ms"], one["sql_ms"], one["python_ms"])
        figures = " | ".join(f"{time:,.0f}" for time in times)
        rows.append(f"| {_name(one)} | {figures} | {one['size'] / 1000:.0f} |")
    return "\n".join(rows) + "\n"


def _name(one: Mapping[str, Any]) -> str:
    """What is asked for is written like a program where it is a search."""
    name, what = one["name"], one["what"]
    is_search = name.startswith(("search", "api: ")) and (":" in what or '"' in what)
    return f"{name}: `{what}`" if is_search else f"{name}: {what}"


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
