"""The page of one table, and the list of all of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import NotFound

from ..history.activity import (
    Actors,
    Amount,
    read_first_ids,
)
from ..history.recorded import RecordedTable
from ..history.sizes import Size, read_sizes
from .chart import Chart, draw_chart
from .counting import Counting
from .health import Trouble, group_findings
from .language import gettext
from .overview import MAX_TABLE, TOP_ACTORS, cap_for, max_actors
from .query import term
from .span import Span, read_span, span_names
from .viewer import Finding, Reading, Viewer


@dataclass(frozen=True)
class TableLine:
    """One table of the list.

    :ivar key: in ``MetaData.tables``.
    :ivar history: the size of its audit table; ``None`` for those who see a part of it.
    :ivar findings: ``None`` for those who do not see everything.
    """

    key: str
    name: str
    history: Size | None
    findings: tuple[Trouble, ...] | None


@dataclass(frozen=True)
class TablePage:
    """One table.

    :ivar table: what of it may be seen.
    :ivar size: of the table itself; ``None`` for those who see a part of it, as ``history``.
    :ivar history: of its audit table.
    :ivar spans: the stretches of time to choose from.
    :ivar recorded: how many changes can be seen, counted up to 10,000.
    :ivar bar_cap: a bar is counted up to this.
    :ivar actor_cap: so many of the newest changes were looked at.
    :ivar is_rough: there was no time to look at everything that is counted.
    """

    table: RecordedTable
    query: str
    size: Size | None
    history: Size | None
    recorded: Amount
    spans: Mapping[str, str]
    span: Span
    chart: Chart
    bar_cap: int
    actors: Actors
    actor_cap: int
    findings: tuple[Trouble, ...] | None
    is_rough: bool


def read_tables_page(viewer: Viewer, reading: Reading, findings: Sequence[Finding] | None) -> tuple[TableLine, ...]:
    """Every table that may be seen."""
    tables = reading.tables
    sizes: Sequence[Size | None] = [None] * len(tables)
    if viewer.access.scope is None:
        sizes = read_sizes(reading.connection, [table.audited.audit_table for table in tables])
    return tuple(
        TableLine(table.table.key, table.table.fullname, size, _findings_of(table, findings))
        for table, size in zip(tables, sizes, strict=True)
    )


def read_table_page(viewer: Viewer, reading: Reading, findings: Sequence[Finding] | None) -> TablePage:
    """The table that the query string's ``name`` asks for.

    :raises werkzeug.exceptions.NotFound: there is none to be seen.
    :raises werkzeug.exceptions.BadRequest: there is no such range.
    """
    table = reading.table(request.args.get("name", ""))
    if table is None:
        raise NotFound(gettext("There is no such table, or it is not yours to see."))
    connection = reading.connection
    size, history = None, None
    if viewer.access.scope is None:
        size, history = read_sizes(connection, [table.table, table.audited.audit_table])
    span = read_span(request.args.get("range", "30d"), datetime.datetime.now(datetime.timezone.utc), viewer.zone)
    bar_cap = cap_for(MAX_TABLE, len(span.edges))
    query = term("table", table.table.key)
    counting = Counting(viewer, reading)
    amounts = counting.changes([table], read_first_ids(connection, viewer.metadata, span.edges), bar_cap)
    counted = counting.tables([table], None, MAX_TABLE)
    actors = counting.actors([table], None, max_actors(viewer), TOP_ACTORS)
    return TablePage(
        table,
        query,
        size,
        history,
        counted[0].changes if counted else Amount(0),
        span_names(),
        span,
        draw_chart(span, amounts, "changes", query),
        bar_cap,
        actors,
        max_actors(viewer),
        _findings_of(table, findings),
        counting.is_rough,
    )


def _findings_of(table: RecordedTable, findings: Sequence[Finding] | None) -> tuple[Trouble, ...] | None:
    """Those of the table, and those that concern all tables."""
    if findings is None:
        return None
    # As findings are written: the schema "public" goes without saying.
    name = table.table.name if table.table.schema in (None, "public") else table.table.fullname
    return group_findings(finding for finding in findings if finding.table in ("", name))
