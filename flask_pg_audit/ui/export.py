"""Downloads: the changes that a search finds, streamed in the order in which they were made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing

from flask import Response, request, stream_with_context
from werkzeug.exceptions import BadRequest, Forbidden

from ..history.export import ExportRow, export_tables
from ..history.export_formats import FORMATS
from .language import gettext
from .searching import read_query
from .view_log import ViewAction
from .viewer import Viewer, get_viewer
from .views import log_view

MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson", "json": "application/json"}


def download() -> Response:
    """``/export?q=…&format=csv``: no more of it is in memory than a few hundred changes.

    That somebody exports is recorded before the first byte is sent, and how many rows they got at the end, also when
    they break off.

    :raises werkzeug.exceptions.Forbidden: the viewer may read but not export.
    :raises werkzeug.exceptions.BadRequest: there is no such format, or the search has a mistake.
    """
    viewer, format_name = get_viewer(), request.args.get("format", "csv")
    if not viewer.access.export:
        raise Forbidden(gettext("You may read the audit log, but not export it."))
    if format_name not in FORMATS:
        known = ", ".join(FORMATS)
        raise BadRequest(
            gettext("format: there is no %(name)s; there are %(known)s.", name=repr(format_name[:40]), known=known)
        )
    _check_query(viewer)
    log_view(viewer, "export")
    response = Response(stream_with_context(_stream(viewer, format_name)), content_type=MEDIA_TYPES[format_name])
    response.headers["Content-Disposition"] = f'attachment; filename="audit-log.{format_name}"'
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _check_query(viewer: Viewer) -> None:
    """While there is still a status to answer with."""
    with viewer.read() as reading:
        mistakes = read_query(viewer, reading).errors
    if mistakes:
        raise BadRequest(gettext("q: %(problem)s.", problem=mistakes[0].message))


def _stream(viewer: Viewer, format_name: str) -> Iterator[bytes]:
    counter = _Counter()
    try:
        with viewer.read() as reading:
            where = read_query(viewer, reading).where
            with closing(export_tables(reading.connection, reading.tables, where)) as rows:
                yield from FORMATS[format_name](counter.count(rows))
    finally:
        action: ViewAction = "export"
        log_view(viewer, action, counter.rows)


class _Counter:
    """Counts what passes."""

    rows = 0

    def count(self, rows: Iterable[ExportRow]) -> Iterator[ExportRow]:
        for row in rows:
            yield row
            self.rows += 1
