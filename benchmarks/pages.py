"""How long the pages of the audit log take on a big history: ``python -m benchmarks.pages``, or ``make bench-pages``.

Builds the history of :mod:`.big_history`, or uses the one that is at ``DATABASE_URL``. Each request is made a few
times, after once to warm up, by a test client: what is measured is all that the server does for it, from the first
function that sees the request to the last byte of the answer. With ``--write`` the figures go into the page on
performance, and to ``docs/_data/pages.json``.

Exit code 1, and a line for each, when a request takes longer than it may.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import sqlalchemy as sa
from flask import Flask, request
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Engine, event
from sqlalchemy.orm import foreign, relationship

from benchmarks import page
from benchmarks.big_history import START, Say, history
from benchmarks.reading import describe
from benchmarks.readings import Landmarks, read_landmarks
from benchmarks.requests import Request, requests
from benchmarks.shop import FULL_SIZE, PURCHASE, PURCHASE_LINE, metadata
from flask_pg_audit import Access, FlaskAudit
from flask_pg_audit.ui import overview, table

TIMES = 5

#: Milliseconds that a page may take.
BUDGET = 300.0

#: Of these columns one who sees a part of them sees nothing.
HIDDEN = {"email", "phone", "address", "price"}


@dataclass(frozen=True)
class Figures:
    """What one request cost.

    :ivar wall_ms: from its beginning to the end of its answer: the median of some times.
    :ivar slowest_ms: the 95th percentile of them.
    :ivar sql_ms: the part of it in which the program waited for the database, the median.
    :ivar python_ms: processor time of the program, the median.
    :ivar size: bytes of the answer.
    """

    name: str
    what: str
    wall_ms: float
    slowest_ms: float
    sql_ms: float
    python_ms: float
    statements: int
    status: int
    size: int

    @property
    def is_slow(self) -> bool:
        return self.wall_ms > BUDGET


class _Clock:
    """Adds up for how long the program waits for the database."""

    def __init__(self, engine: Engine) -> None:
        self.reset()
        event.listen(engine, "before_cursor_execute", self._start)
        event.listen(engine, "after_cursor_execute", self._stop)
        event.listen(engine, "handle_error", self._fail)

    def reset(self) -> None:
        self.seconds, self.statements, self._started = 0.0, 0, 0.0

    def _start(self, *_: Any) -> None:
        self._started = time.perf_counter()

    def _stop(self, *_: Any) -> None:
        self.seconds += time.perf_counter() - self._started
        self.statements += 1

    def _fail(self, *_: Any) -> None:
        self._stop()


def build_app(url: URL) -> Flask:
    """The shop with its audit log. The header ``X-Who`` says under which access rule it is read."""
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    db = SQLAlchemy(app, metadata=metadata)
    purchase, line = PURCHASE.table, PURCHASE_LINE.table

    class Line(db.Model):  # type: ignore[name-defined, misc]
        __table__ = line

    class Purchase(db.Model):  # type: ignore[name-defined, misc]
        __table__ = purchase
        lines = relationship(Line, primaryjoin=purchase.c.id == foreign(line.c.purchase_id), viewonly=True)

    FlaskAudit(app, db).access_loader(lambda: _ACCESS[request.headers.get("X-Who", "everything")])
    return app


def _narrow(query: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    columns = query.selected_columns
    if table.name == "product":
        return query.where(columns.id % 100 == 7)
    return query.where(columns.audit_username == "user7")


_ACCESS = {
    "everything": Access(export=True),
    "scope": Access(scope=_narrow),
    "columns": Access(columns=lambda table, name: name not in HIDDEN),
}


@contextmanager
def at_its_end(marks: Landmarks) -> Iterator[None]:
    """The history ends on a day of long ago; for the overview and the tables' pages, today is that day."""
    end = datetime.datetime.fromisoformat(START) + datetime.timedelta(days=730)

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return end.astimezone(tz)

    shown = SimpleNamespace(**{**vars(datetime), "datetime": Clock})
    kept = {module: vars(module)["datetime"] for module in (overview, table)}
    for module in kept:
        vars(module)["datetime"] = shown
    try:
        yield
    finally:
        for module, real in kept.items():
            vars(module)["datetime"] = real


def measure(client: FlaskClient, clock: _Clock, request: Request, times: int = TIMES) -> Figures:
    """Make the request ``times`` times, after once to warm up."""
    walls, sqls, pythons = [], [], []
    for number in range(times + 1):
        clock.reset()
        start, processor = time.perf_counter(), time.process_time()
        answer = client.get(f"/audit{request.url}", headers={"X-Who": request.who})
        size = len(answer.get_data())
        if number:
            walls.append((time.perf_counter() - start) * 1000)
            sqls.append(clock.seconds * 1000)
            pythons.append((time.process_time() - processor) * 1000)
    return Figures(
        request.name,
        request.what,
        wall_ms=statistics.median(walls),
        slowest_ms=statistics.quantiles(walls, n=20, method="inclusive")[-1] if times > 1 else walls[0],
        sql_ms=statistics.median(sqls),
        python_ms=statistics.median(pythons),
        statements=clock.statements,
        status=answer.status_code,
        size=size,
    )


def measure_all(engine: Engine, wanted: Iterable[str] = (), times: int = TIMES, say: Say = print) -> list[Figures]:
    """Measure what has one of the words of ``wanted`` in its name; everything without any. The slowest is first."""
    words = tuple(wanted) or ("",)
    with engine.connect() as connection:
        marks = read_landmarks(connection)
        places = _read_places(connection, marks)
    app = build_app(engine.url)
    app.test_cli_runner().invoke(args=["audit", "install"], catch_exceptions=False)
    with app.app_context():
        db: SQLAlchemy = app.extensions["sqlalchemy"]
        clock = _Clock(db.engine)
    with at_its_end(marks):
        client = app.test_client()
        figures = []
        for each in requests(marks):
            if any(word in each.name for word in words):
                figures.append(measure(client, clock, _placed(each, places), times))
    figures.sort(key=lambda one: one.wall_ms, reverse=True)
    say(f"{'':45}{'ms':>8}{'p95':>8}{'sql':>8}{'python':>8}{'queries':>8}{'KB':>6}")
    for one in figures:
        say(_line(one))
    return figures


def _read_places(connection: sa.Connection, marks: Landmarks) -> dict[str, str]:
    """What in the URLs stands for a place that only the database knows."""

    def one(sql: str) -> str:
        return str(connection.execute(sa.text(sql)).scalar_one())

    image = "SELECT audit_transaction_id || '.' || audit_id FROM product_audit WHERE id = 1 ORDER BY audit_id"
    inside = f"SELECT min(audit_id) + 9000 FROM product_audit WHERE audit_transaction_id = {marks.import_}"
    return {
        "@first": one(f"{image} LIMIT 1"),
        "@last": one(f"{image} DESC LIMIT 1"),
        "@inside": one(inside),
        "@import": str(marks.import_),
    }


def _placed(request: Request, places: dict[str, str]) -> Request:
    url = request.url.replace("%40", "@")
    for name, text in places.items():
        url = url.replace(name, text)
    return Request(request.name, request.what, url, request.who)


def _line(one: Figures) -> str:
    note = "" if one.status in (200, 404) else f"  {one.status}"
    return (
        f"{one.name:45}{one.wall_ms:8.1f}{one.slowest_ms:8.1f}{one.sql_ms:8.1f}{one.python_ms:8.1f}"
        f"{one.statements:8}{one.size / 1000:6.0f}{note}"
    )


def failures(figures: Sequence[Figures]) -> list[str]:
    """What is not as promised."""
    return [f"{one.name}: {one.wall_ms:.0f} ms" for one in figures if one.is_slow]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_SIZE, help="changes in the history (%(default)s)")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is done (%(default)s)")
    parser.add_argument("--write", action="store_true", help="put the figures into the documentation")
    parser.add_argument("names", nargs="*", help="only requests in whose names one of these occurs")
    options = parser.parse_args()
    with history(os.environ.get("DATABASE_URL"), options.rows) as engine:
        figures = measure_all(engine, options.names, options.times)
        if options.write:
            data = {"rows": options.rows, "machine": describe(engine), "pages": [asdict(one) for one in figures]}
            page.write_pages(data)
    failed = failures(figures)
    print(*(failed or ["Every page is as fast as promised."]), sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
