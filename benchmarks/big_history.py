"""Two years of history in a few minutes: ``python -m benchmarks.big_history``.

The server makes the rows and puts them straight into the audit tables, in the order in which triggers would have
written them; the audited tables get what is left of them, and then the triggers. Nothing is random: the same size is
the same history.

``--rows 50000`` builds a small one. ``DATABASE_URL`` names an empty database to build it in; without it a server is
started that lives until Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sqlalchemy import URL, Connection, Engine

from benchmarks.shop import FULL_SIZE, KEPT_RECORDS, REFERENCE_ROWS, SHAPES, Shape, metadata
from flask_pg_audit import install_audit_triggers
from flask_pg_audit.declare.registry import audited_tables
from tools.embedded_postgres import THROWAWAY, EmbeddedPostgres

Say = Callable[[str], object]

#: Of the people who work with the shop's pages.
_OF_STAFF = {
    "purchase": 250,
    "purchase_line": 400,
    "customer": 150,
    "article": 50,
    "product": 98,
    "webhook": 50,
    "setting": 2,
}

#: Parts in a thousand of whose changes are in which table.
WORK: Mapping[str, Mapping[str, int]] = {
    "baseline": {"product": 1000},
    "import": {"product": 1000},
    "reload": {"tax_rate": 1000},
    "auditor": {"customer": 1000},
    # Who changes much changes few tables, and must not make the pages of the others slow.
    "busy": {"stock_movement": 500, "product": 500},
    "nobody": {"visit": 500, "webhook": 300, "purchase_line": 200},
    "former": _OF_STAFF,
    "staff": _OF_STAFF,
}

START = "2024-01-01 00:00:00+00"
ROWS_PER_TRANSACTION = 5
MOST_BASELINES = 100
SMALLEST = 10_000

#: What a small server of today has. The rest is PostgreSQL's default.
SETTINGS = {
    **THROWAWAY,
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "sql"),
    undefined=StrictUndefined,
    autoescape=False,  # it is SQL
)


@dataclass(frozen=True)
class Size:
    """How much of everything there is in a history.

    :ivar rows: changes, in all audit tables.
    """

    rows: int = FULL_SIZE

    @property
    def transactions(self) -> int:
        return self.rows // ROWS_PER_TRANSACTION

    @property
    def kept_records(self) -> int:
        """Rows in ``product``."""
        return self.records(KEPT_RECORDS)

    @property
    def baselines(self) -> int:
        """Transactions of the baseline."""
        return min(MOST_BASELINES, self.kept_records // 100)

    def records(self, of_full_size: int) -> int:
        """So many records of a table, where there would be ``of_full_size`` in a history of the full size."""
        return max(20, of_full_size * self.rows // FULL_SIZE)


def build(engine: Engine, rows: int = FULL_SIZE, say: Say = lambda line: None) -> None:
    """Build a history of exactly ``rows`` changes in an empty database.

    :param say: is told of each step.
    :raises ValueError: ``rows`` is less than :data:`SMALLEST`.
    """
    if rows < SMALLEST:
        raise ValueError(f"a history of {rows} changes has no room for everything; give it {SMALLEST} at least")
    size = Size(rows)
    with engine.begin() as connection:
        metadata.create_all(connection)
        _plan(connection, size, say)
        for shape in SHAPES:
            _timed(say, shape.table.name, partial(_write, connection, size, shape))
        connection.exec_driver_sql("DROP TABLE planned_change, planned_transaction")
        _advance_numbers(connection)
        install_audit_triggers(metadata, connection)
    # VACUUM makes index-only scans and the time index what they are in a database that has run for a while.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        _timed(say, "VACUUM, ANALYZE", lambda: connection.exec_driver_sql("VACUUM (ANALYZE)"))


def _plan(connection: Connection, size: Size, say: Say) -> None:
    parameters = {
        "rows": size.rows,
        "transactions": size.transactions,
        "baselines": size.baselines,
        "baseline_size": size.kept_records // size.baselines,
        "reference_rows": REFERENCE_ROWS,
        "start": START,
    }
    for name in ("plan_transactions", "write_transactions"):
        _timed(say, name.replace("_", " "), partial(_run, connection, f"{name}.sql", **parameters))
    _run(connection, "plan_changes.sql.jinja", work={who: _cumulated(shares) for who, shares in WORK.items()})


def _cumulated(shares: Mapping[str, int]) -> dict[str, int]:
    total = 0
    return {table: (total := total + share) for table, share in shares.items()}


def _write(connection: Connection, size: Size, shape: Shape) -> None:
    table = next(audited for audited in audited_tables(metadata) if audited.table is shape.table)
    names = {"table": shape.table.name, "audit_table": table.audit_table.name}
    _run(
        connection,
        "write_changes.sql.jinja",
        **names,
        life=shape.life,
        image=shape.image,
        records=size.records(shape.records),
        baseline_size=size.kept_records // size.baselines,
    )
    key = [column.name for column in shape.table.primary_key]
    _run(connection, "write_rows.sql.jinja", **names, columns=list(shape.image), key=key)


def _run(connection: Connection, name: str, **values: Any) -> None:
    """Execute a file of SQL: a template, or statements with parameters."""
    source = _templates.get_template(name).render(values)
    if name.endswith(".jinja"):
        connection.exec_driver_sql(source, execution_options={"no_parameters": True})
        return
    for statement in source.split(";\n"):
        if statement.strip():
            text = sa.text(statement)
            connection.execute(text, {name: values[name] for name in text._bindparams})


def _advance_numbers(connection: Connection) -> None:
    """So that what is changed from now on comes behind it."""
    union = sa.union_all(*(sa.select(table.audit_table.c.audit_id) for table in audited_tables(metadata))).subquery()
    last = connection.scalar(sa.select(sa.func.max(union.c.audit_id)))
    connection.execute(sa.text("SELECT setval('audit_id_seq', :last)"), {"last": last})
    connection.exec_driver_sql(
        "SELECT setval(pg_get_serial_sequence('audit_transaction', 'id'), max(id)) FROM audit_transaction"
    )


def _timed(say: Say, what: str, action: Callable[[], object]) -> None:
    start = time.perf_counter()
    action()
    say(f"{what}: {time.perf_counter() - start:.1f} s")


@contextmanager
def server(url: str | None = None) -> Iterator[Engine]:
    """An engine on the database at ``url``, or on a server that ends with the block."""
    if url is not None:
        engine = sa.create_engine(url)
        yield engine
        engine.dispose()
        return
    with EmbeddedPostgres(settings=SETTINGS) as embedded:
        engine = sa.create_engine(embedded.url())
        yield engine
        engine.dispose()


def is_built(connection: Connection) -> bool:
    """Whether the database has a history."""
    return bool(connection.scalar(sa.text("SELECT to_regclass('audit_transaction') IS NOT NULL")))


@contextmanager
def history(url: str | None, rows: int) -> Iterator[Engine]:
    """As :func:`server`, with a history in it: the one that is there, or one of so many changes."""
    with server(url) as engine:
        with engine.connect() as connection:
            built = is_built(connection)
        if not built:
            build(engine, rows, print)
        yield engine


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=FULL_SIZE, help="changes in the history (%(default)s)")
    rows = parser.parse_args().rows
    url = os.environ.get("DATABASE_URL")
    with suppress(KeyboardInterrupt), server(url) as engine:
        _timed(print, "All of it", lambda: build(engine, rows, print))
        if url is None:
            print(f"DATABASE_URL={_shown(engine.url)}", flush=True)
            signal.pause()


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=False)


if __name__ == "__main__":
    main()
