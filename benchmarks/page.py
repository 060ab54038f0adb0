"""The figures for the documentation: as data, and as the tables of the page on performance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent.parent / "docs"
DATA = DOCS / "_data" / "reading.json"
PAGE = DOCS / "performance.md"


def write(data: Mapping[str, Any]) -> None:
    """Keep the figures, and put them into the page."""
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text(json.dumps(data, indent=2) + "\n")
    PAGE.write_text(with_tables(PAGE.read_text(), data))


def read() -> dict[str, Any]:
    """The figures that were kept."""
    data: dict[str, Any] = json.loads(DATA.read_text())
    return data


def with_tables(page: str, data: Mapping[str, Any]) -> str:
    """The page with its tables, which are between comments, made anew."""
    readings = data["readings"]
    tables = {
        "machine": render_machine(data),
        "promised": render_readings(one for one in readings if one["budget"] is not None),
        "unbounded": render_readings(one for one in readings if one["budget"] is None),
    }
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


def _shown(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"
