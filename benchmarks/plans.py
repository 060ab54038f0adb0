"""What the statements of a reading do on the server, and whether that is bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event

from benchmarks.shop import metadata
from flask_pg_audit.declare.registry import audited_tables, transaction_table

#: Rows of a table that PostgreSQL may read one after the other.
SMALL = 5_000


@dataclass(frozen=True)
class Sent:
    """A statement as it was given to the driver."""

    sql: str
    parameters: Any


@dataclass(frozen=True)
class Plan:
    """What ``EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)`` says of one statement.

    :ivar planning_ms: milliseconds on the server, as ``execution_ms``.
    """

    sql: str
    root: Mapping[str, Any]
    planning_ms: float
    execution_ms: float

    def nodes(self) -> Iterator[Mapping[str, Any]]:
        """Every node, the root first."""
        return _nodes(self.root)

    @property
    def buffers(self) -> int:
        """Pages that were looked at, once for each look."""
        return int(self.root.get("Shared Hit Blocks", 0)) + int(self.root.get("Shared Read Blocks", 0))

    @property
    def rows_read(self) -> int:
        """Rows of the history that were looked at, those that turned out not to be wanted included."""
        return sum(_rows_looked_at(node) for node in self.nodes() if node.get("Relation Name") in history_tables())


def history_tables() -> frozenset[str]:
    """The names of the audit tables and of ``audit_transaction``."""
    names = {audited.audit_table.name for audited in audited_tables(metadata)}
    return frozenset({*names, transaction_table(metadata).name})


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)


def _rows_out(node: Mapping[str, Any]) -> int:
    return round(float(node["Actual Rows"]) * float(node["Actual Loops"]))


def _rows_looked_at(node: Mapping[str, Any]) -> int:
    removed = float(node.get("Rows Removed by Filter", 0)) + float(node.get("Rows Removed by Index Recheck", 0))
    return _rows_out(node) + round(removed * float(node["Actual Loops"]))


def problems(plan: Plan, most_rows: int) -> list[str]:
    """What makes the statement slower as the history grows; empty when there is nothing.

    :param most_rows: of the history, that it may look at, sort or aggregate.
    """
    found = ["OFFSET"] if re.search(r"\bOFFSET\b", plan.sql, re.IGNORECASE) else []
    for node in plan.nodes():
        kind, relation = node["Node Type"], node.get("Relation Name")
        into = sum(_rows_out(inner) for inner in node.get("Plans", ()))
        # Of a table of some pages that is what an index would come to as well.
        if kind == "Seq Scan" and relation in history_tables() and _rows_looked_at(node) > SMALL:
            found.append(f"Seq Scan on {relation}")
        if kind in ("Sort", "Incremental Sort", "Aggregate", "WindowAgg") and into > most_rows:
            found.append(f"{kind} of {into:,} rows")
    if plan.rows_read > most_rows:
        found.append(f"{plan.rows_read:,} rows read")
    return found


def explain(connection: Connection, statement: Sent) -> Plan:
    """Execute it and return its plan."""
    [answer] = connection.exec_driver_sql(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement.sql}", statement.parameters
    ).scalar_one()
    return Plan(statement.sql, answer["Plan"], answer["Planning Time"], answer["Execution Time"])


def statements_of(connection: Connection, action: Callable[[Connection], object]) -> Sequence[Sent]:
    """What ``action`` sends on the connection."""
    sent: list[Sent] = []
    with _listening(connection, lambda sql, parameters: sent.append(Sent(sql, parameters))):
        action(connection)
    return sent


@contextmanager
def _listening(connection: Connection, tell: Callable[[str, Any], None]) -> Iterator[None]:
    def listen(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        tell(statement, parameters)

    event.listen(connection, "before_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", listen)
