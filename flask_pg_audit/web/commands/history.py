"""``flask audit log``, ``history`` and ``export``: what is recorded, in a terminal and for other programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import click
from flask.cli import with_appcontext
from sqlalchemy import Connection, Engine, MetaData

from ...errors import AuditConfigError
from ...history.export import ExportRow, export_rows, rows_at
from ...history.export_formats import FORMATS, render_json
from ...history.feed import places, read_places
from ...history.filter import ChangeFilter
from ...history.key import format_key, parse_key
from ...history.position import Position
from ...history.recorded import RecordedTable, read_recorded_tables
from ...history.sketch import Sketch, read_sketches
from ...history.snapshot import settle_output, snapshot
from ...history.timeline import order_places, record_places
from .filter_options import POSITION, TEXT, check_filter, filter_options, number, one_of
from .group import audit_cli, binds, progress_bar
from .output_file import write_output
from .terminal import log_lines
from .timeline_view import timeline_lines

#: Characters of a value that a timeline compares; the log shows less than it reads.
_COMPARED = 100_000

_Place = tuple[str, Position]

limit_option = click.option(
    "--limit", type=number(1, 10_000), default="20", show_default=True, metavar="N", help="At most so many changes."
)
before_option = click.option(
    "--before", type=POSITION, metavar="POSITION", help="Only changes before this one: the last line of a page says it."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print a JSON array of whole changes.")
# Positions are those of one database, so a page has the changes of one bind.
one_bind_option = click.option(
    "--bind",
    "bind_key",
    type=TEXT,
    metavar="KEY",
    help="This bind of SQLALCHEMY_BINDS (default: the app's default bind).",
)


@audit_cli.command("log")
@filter_options
@limit_option
@before_option
@json_option
@one_bind_option
@with_appcontext
def log_command(where: ChangeFilter, limit: int, before: Position | None, as_json: bool, bind_key: str | None) -> None:
    """The newest changes, a page at a time."""
    metadata, engine = _bind(bind_key)
    with snapshot(engine) as connection:
        tables = _tables(connection, metadata, where)
        found = read_places(connection, places(tables, where, before=before, limit=limit + 1))
        page = found[:limit]
        if as_json:
            _echo_json(rows_at(connection, tables, page))
            return
        sketches = read_sketches(connection, tables, page)
    _echo_page(sketches, log_lines, has_older=len(found) > limit)
    if not found:
        click.echo("no changes")


@audit_cli.command("history")
@click.argument("table", type=TEXT, metavar="TABLE")
@click.argument("key", type=TEXT, metavar="KEY")
@limit_option
@before_option
@json_option
@one_bind_option
@with_appcontext
def history_command(
    table: str, key: str, limit: int, before: Position | None, as_json: bool, bind_key: str | None
) -> None:
    """What happened to one record, newest first.

    KEY is its primary key: the values of several columns separated by commas, each in "..." where it has one itself.
    A key that begins with a dash goes behind --.
    """
    metadata, engine = _bind(bind_key)
    with snapshot(engine) as connection:
        tables = read_recorded_tables(connection, metadata)
        [recorded] = ChangeFilter(tables=[table]).chosen(tables)
        values = parse_key(recorded.audited, key)
        settle_output(connection)
        query = order_places(record_places(recorded, values), before, None, limit + 1)
        found = read_places(connection, query)
        if not found and before is None:
            raise AuditConfigError(f"{table} {format_key(list(values.values()))} has no history")
        page = found[:limit]
        if as_json:
            _echo_json(rows_at(connection, [recorded], page))
            return
        sketches = read_sketches(connection, [recorded], page, _COMPARED)
    _echo_page(sketches, timeline_lines, has_older=len(found) > limit)
    if not found:
        click.echo("no changes")


@audit_cli.command("export")
@filter_options
@click.option(
    "--format",
    "format_name",
    type=one_of(*FORMATS),
    metavar="FORMAT",
    help="csv, ndjson or json (default: what the name of the file ends with, else csv).",
)
@click.option("--output", type=TEXT, metavar="FILE", help="Write to this file (default: standard output).")
@one_bind_option
@with_appcontext
def export_command(where: ChangeFilter, format_name: str | None, output: str | None, bind_key: str | None) -> None:
    """All changes, oldest first, as CSV, NDJSON or JSON."""
    metadata, engine = _bind(bind_key)
    path = None if output in (None, "-") else Path(str(output))
    render = FORMATS[format_name or _format_of(path)]
    with snapshot(engine) as connection:
        tables = _tables(connection, metadata, where)
        newest = read_places(connection, places(tables, ChangeFilter(tables=where.tables), limit=1))
        with _progress(path) as show, closing(export_rows(connection, metadata, where)) as rows:
            write_output(render(_watched(rows, newest, show)), path)


def _bind(bind_key: str | None) -> tuple[MetaData, Engine]:
    """The bind that is asked for, or the first; then it is said that there are others."""
    found = list(binds(bind_key))
    if len(found) > 1:
        others = ", ".join(str(key) for key, _, _ in found[1:])
        first = found[0][0]
        named = "the default bind" if first is None else f"the bind {first}"
        click.echo(f"this is {named}; there are also, with --bind: {others}", err=True)
    _, metadata, engine = found[0]
    return metadata, engine


def _tables(connection: Connection, metadata: MetaData, where: ChangeFilter) -> tuple[RecordedTable, ...]:
    tables = read_recorded_tables(connection, metadata)
    check_filter(where, tables)
    settle_output(connection)  # values of filters are compared as they are written
    return tables


def _echo_page(sketches: Sequence[Sketch], lines: Callable[[Sketch], Iterator[str]], has_older: bool) -> None:
    for sketch in sketches:
        click.echo("\n".join(lines(sketch)))
    if has_older:
        click.echo(f"-- older changes: the same with --before {sketches[-1].position}")


def _echo_json(rows: Iterable[ExportRow]) -> None:
    write_output(render_json(rows), None)


def _format_of(path: Path | None) -> str:
    suffix = path.suffix.lower().removeprefix(".") if path is not None else ""
    return {"json": "json", "ndjson": "ndjson", "jsonl": "ndjson"}.get(suffix, "csv")


@contextmanager
def _progress(path: Path | None) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar, unless the changes themselves are what the terminal shows."""
    if path is None and sys.stdout.isatty():
        yield None
    else:
        with progress_bar("exporting") as show:
            yield show


def _watched(
    rows: Iterable[ExportRow], newest: Sequence[_Place], show: Callable[[int, int], None] | None
) -> Iterator[ExportRow]:
    """Tell how far the export is: between the number of its first change and that of the newest one there is.

    Nothing is counted for it; with a filter it may be at its end early.
    """
    first = done = 0
    last = newest[0][1].audit_id if newest else 0
    for count, row in enumerate(rows):
        if show is not None and count % 1000 == 0:
            audit_id = Position.parse(row.position).audit_id
            first = first or audit_id
            done = max(done, audit_id - first)
            show(min(done, last - first), max(last - first, 1))
        yield row
    if show is not None and first:
        show(max(last - first, 1), max(last - first, 1))
