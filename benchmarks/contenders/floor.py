"""The least that a history in PostgreSQL can cost: each statement is written by hand to insert a second time.

One statement with a CTE, into a table with the types of the first, without any index, trigger or transaction record.
Nobody would program like that; what other ways cost more than this is what their comfort costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine

from benchmarks.contenders import Contender
from benchmarks.writing.changes import RECORDED, log_name
from benchmarks.writing.tables import Shape, create_plain


def install(engine: Engine, shapes: Sequence[Shape]) -> None:
    """Create the tables, and one beside each."""
    create_plain(engine, shapes)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE audit_id_seq")
        for shape in shapes:
            columns = ", ".join(f"{sql} AS {name}" for name, sql in RECORDED.items()).format(operation="I")
            connection.exec_driver_sql(
                f"CREATE TABLE {log_name(shape.name)} AS SELECT {columns}, t.* FROM {shape.name} AS t LIMIT 0"
            )


FLOOR = Contender(
    "floor",
    "the floor",
    "each statement inserts a second time by hand, in a CTE, into a typed table without an index",
    install,
    begin="PERFORM set_config('audit.username', 'alice', true);",
    by_hand=True,
)
