"""The overview: how much was changed, where and by whom; and what is wrong with the recording."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import request

from ..history.activity import (
    Actors,
    TableActivity,
    count_transactions,
    read_first_ids,
    read_transaction_actors,
)
from .chart import Chart, draw_chart
from .counting import Counting
from .health import Trouble, group_findings
from .span import Span, read_span, span_names
from .viewer import Finding, Reading, Viewer

#: The work that a page may cost: index entries that are looked at, for a bar, a table, and in all.
MAX_BAR, MAX_TABLE, MAX_ALL = 1_000, 10_000, 100_000

#: Who did most: of so many transactions or changes, and so many of them.
MAX_ACTORS, TOP_ACTORS, TOP_TABLES = 10_000, 10, 20

#: Of so many changes where some are out of scope: those that are seen are then far apart.
MAX_SCOPED_ACTORS = 2_500


@dataclass(frozen=True)
class Overview:
    """What the page shows.

    :ivar spans: the stretches of time to choose from.
    :ivar is_partial: a rule keeps something from being seen; then changes are counted, and only those that can be.
    :ivar bar_cap: a bar, or a table's part of it, is counted up to this.
    :ivar table_cap: the changes of one table are counted up to this.
    :ivar actor_cap: so many of the newest transactions were looked at, or changes of each table.
    :ivar findings: ``None`` for those who do not see everything.
    :ivar is_rough: there was no time to look at everything that is counted.
    """

    span: Span
    spans: Mapping[str, str]
    is_partial: bool
    chart: Chart
    bar_cap: int
    tables: tuple[TableActivity, ...]
    table_cap: int
    actors: Actors
    actor_cap: int
    findings: tuple[Trouble, ...] | None
    is_rough: bool


def read_overview(viewer: Viewer, reading: Reading, findings: Sequence[Finding] | None) -> Overview:
    """Read what the query string's ``range`` asks for.

    :raises werkzeug.exceptions.BadRequest: there is no such range.
    """
    span = read_span(request.args.get("range", "7d"), datetime.datetime.now(datetime.timezone.utc), viewer.zone)
    first_ids = read_first_ids(reading.connection, viewer.metadata, span.edges)
    counting = Counting(viewer, reading)
    table_cap = cap_for(MAX_TABLE, len(reading.tables))
    is_partial = not viewer.sees_everything
    bar_cap = cap_for(MAX_BAR, len(reading.tables) * len(span.edges)) if is_partial else MAX_BAR
    actor_cap = cap_for(max_actors(viewer), len(reading.tables)) if is_partial else MAX_ACTORS
    chart = _read_chart(viewer, counting, span, first_ids, bar_cap)
    tables = counting.tables(reading.tables, first_ids[0], table_cap)
    actors = _read_actors(viewer, counting, span, first_ids, actor_cap)
    return Overview(
        span,
        span_names(),
        is_partial,
        chart,
        bar_cap,
        tuple(tables[:TOP_TABLES]),
        table_cap,
        actors,
        actor_cap,
        group_findings(findings) if findings is not None else None,
        counting.is_rough,
    )


def max_actors(viewer: Viewer) -> int:
    """Of how many changes is read who made them."""
    return MAX_ACTORS if viewer.access.scope is None else MAX_SCOPED_ACTORS


def cap_for(limit: int, parts: int) -> int:
    """How far each of ``parts`` is counted, so that all of them are not too much work."""
    return max(100, min(limit, MAX_ALL // max(parts, 1)))


def _read_chart(viewer: Viewer, counting: Counting, span: Span, first_ids: Sequence[int], cap: int) -> Chart:
    """Transactions, of which there is one table; changes where not all of them may be seen."""
    reading = counting.reading
    if viewer.sees_everything:
        amounts = count_transactions(reading.connection, viewer.metadata, span.edges, cap)
        return draw_chart(span, amounts, "transactions")
    return draw_chart(span, counting.changes(reading.tables, first_ids, cap), "changes")


def _read_actors(viewer: Viewer, counting: Counting, span: Span, first_ids: Sequence[int], cap: int) -> Actors:
    reading = counting.reading
    if viewer.sees_everything:
        return read_transaction_actors(reading.connection, viewer.metadata, span.start, cap, TOP_ACTORS)
    return counting.actors(reading.tables, first_ids[0], cap, TOP_ACTORS)
