"""The same queries for programs: ``/api/…``, JSON, described by ``/api/openapi.json``."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from ..history.budget import Budget
from ..history.export import ExportRow, rows_at
from ..history.export_formats import render_object
from ..history.extent import Reached, read_reached
from ..history.feed import read_places, search_places
from ..history.filter import ChangeFilter
from ..history.paging import Slice
from ..history.position import Position
from ..history.timeline import order_places, record_places
from ..history.transactions import Transaction, read_page
from .arguments import MIN_ID, read_id, read_position, refuse_both
from .openapi import build_openapi
from .record import read_key
from .searching import read_query
from .viewer import Reading, get_viewer
from .views import log_view

MAX_LIMIT, DEFAULT_LIMIT = 500, 50

#: Characters of values that an answer has, unless one change alone has more: what it is made of is in memory at once.
MAX_SIZE = 8_000_000

#: So many changes are read first, to see how large they are.
_FIRST = 4
_LIMIT = re.compile(r"[0-9]{1,9}", re.ASCII)

_Places = list[tuple[str, Position]]


def list_tables() -> ResponseReturnValue:
    """The tables whose history may be seen, and their columns."""
    viewer = get_viewer()
    with viewer.read() as reading:
        tables = [
            {"table": table.table.key, "key": list(table.key_names), "columns": list(table.column_names)}
            for table in reading.tables
        ]
    log_view(viewer, "view", len(tables))
    return jsonify({"tables": tables})


def list_transactions() -> ResponseReturnValue:
    """The newest transactions that a search finds, with how many changes each made."""
    viewer, limit = get_viewer(), _limit()
    before, after = read_id("before"), read_id("after")
    refuse_both(before, after)
    with viewer.read() as reading:
        seconds = viewer.state.config.search_seconds
        page = read_page(reading.connection, reading.tables, _where(reading), before, after, limit, seconds)
    log_view(viewer, "search", len(page.transactions))
    return jsonify(
        {
            "transactions": [_transaction(transaction) for transaction in page.transactions],
            "newer": None if page.newer is None else str(page.newer),
            "older": None if page.older is None else str(page.older),
            **_reached(page.reached),
        }
    )


def list_changes() -> ResponseReturnValue:
    """The newest changes that a search finds, with their values in full."""
    viewer, limit = get_viewer(), _limit()
    before, after = read_position("before"), read_position("after")
    refuse_both(before, after)
    with viewer.read() as reading:
        slice_ = Slice(before, after, limit + 1)
        budget = Budget(viewer.state.config.search_seconds)
        found = search_places(reading.connection, reading.tables, _where(reading), slice_, budget)
        rows, more = _rows(reading, found.items, limit, after is not None)
        # What was not read for its size is nearer than where the search had to stop.
        reached = None if more else read_reached(reading.connection, viewer.metadata, found)
    log_view(viewer, "search", len(rows))
    newer, older = _ends(rows, more, before, after)
    if reached is not None:
        # Before everything that the transaction there did.
        edge = str(Position(reached.edge, MIN_ID))
        newer, older = (edge, older) if after is not None else (newer, edge)
    return _changes(rows, newer, older, reached)


def show_record() -> ResponseReturnValue:
    """One record's changes, the newest first, with their values in full."""
    viewer, limit = get_viewer(), _limit()
    before, after = read_position("before"), read_position("after")
    refuse_both(before, after)
    with viewer.read() as reading:
        table = reading.table(request.args.get("table", ""))
        if table is None or not set(table.key_names) <= set(table.column_names):
            raise NotFound("There is no such table to be seen.")
        key = read_key(table, request.args.get("key", ""))
        query = order_places(record_places(table, key), before, after, limit + 1)
        rows, more = _rows(reading, read_places(reading.connection, query), limit, after is not None)
    log_view(viewer, "view", len(rows))
    return _changes(rows, *_ends(rows, more, before, after))


def show_openapi() -> ResponseReturnValue:
    """The description of all this."""
    return jsonify(build_openapi(request.script_root + request.path.removesuffix("/openapi.json")))


def _limit() -> int:
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    if not _LIMIT.fullmatch(text) or not 1 <= int(text) <= MAX_LIMIT:
        raise BadRequest(f"limit: {text[:40]!r} is no number from 1 to {MAX_LIMIT}.")
    return int(text)


def _where(reading: Reading) -> ChangeFilter:
    query = read_query(get_viewer(), reading)
    if query.errors:
        raise BadRequest(f"q: {query.errors[0].message}.")
    return query.where


def _rows(reading: Reading, found: _Places, limit: int, upwards: bool) -> tuple[Sequence[ExportRow], bool]:
    """Newest first, and whether there are more in the direction of reading: of large ones not all fit."""
    wanted, rows = found[:limit], list[ExportRow]()
    size = largest = number = 0
    while number < len(wanted) and size < MAX_SIZE:
        fitting = (MAX_SIZE - size) // largest if largest else _FIRST
        part = wanted[number : number + max(1, fitting)]
        read = rows_at(reading.connection, reading.tables, part)
        sizes = [len(row.old or "") + len(row.new or "") for row in read]
        size, largest, number = size + sum(sizes), max([largest, *sizes]), number + len(part)
        rows += read
    if upwards:
        rows.reverse()
    return rows, number < len(found)


def _ends(
    rows: Sequence[ExportRow], more: bool, before: Position | None, after: Position | None
) -> tuple[str | None, str | None]:
    """The positions for the pages of newer and of older changes; there are those that the reader comes from."""
    has_newer = before is not None or (after is not None and more)
    has_older = after is not None or (after is None and more)
    newer = rows[0].position if rows and has_newer else None
    return newer, rows[-1].position if rows and has_older else None


def _changes(
    rows: Sequence[ExportRow], newer: str | None, older: str | None, reached: Reached | None = None
) -> Response:
    """Written by hand: the values are JSON already, as PostgreSQL writes it."""
    changes, rest = ", ".join(map(render_object, rows)), {"newer": newer, "older": older, **_reached(reached)}
    return Response(f'{{"changes": [{changes}], {json.dumps(rest)[1:]}\n', content_type="application/json")


def _reached(reached: Reached | None) -> dict[str, Any]:
    """Whether there was time to look everywhere, and how far that was if there was not."""
    at = None if reached is None else reached.at
    return {"is_partial": reached is not None, "searched_to": _instant(at)}


def _instant(at: datetime.datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at is not None else None


def _transaction(transaction: Transaction) -> dict[str, Any]:
    """Ids are text: a ``bigint`` is more than JavaScript can count."""
    values = asdict(transaction)
    continues = transaction.continues
    return {
        **values,
        "id": str(transaction.id),
        "at": _instant(transaction.at),
        "continues": None if continues is None else str(continues),
        "counts": [
            {"table": c.table, "operation": c.operation_label, "count": c.count, "is_capped": c.is_capped}
            for c in transaction.counts
        ],
    }
