"""Random tables, random histories: every point of them can be brought back."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, Table, text

from flask_pg_audit.history.position import Position
from flask_pg_audit.revert import restore, revert_transaction
from tests.test_properties import EXAMPLES, KINDS, build_table, create, postgres, programs, run_program, shapes

__all__ = ["postgres"]

Rows = list[tuple[Any, ...]]


@st.composite
def shapes_with_key(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    shape = draw(shapes(kind).filter(lambda shape: shape["keys"] > 0))
    if kind == "deferrable":
        # Row by row, keys that change places are recorded as inserts under keys that are taken: refused.
        shape["level"] = "statement"
    return shape


def live(connection: Connection, table: Table, exclude: list[str]) -> Rows:
    """What is recorded of the table, as text."""
    names = ", ".join(f"{column.name}::text" for column in table.columns if column.name not in exclude)
    return sorted((tuple(row) for row in connection.execute(text(f"SELECT {names} FROM thing"))), key=repr)


def run_in_parts(connection: Connection, table: Table, kind: str, program: Any, exclude: list[str]) -> list[Any]:
    """After each transaction that left a record: its id, the position of its last change, and the table."""
    states: list[Any] = [(None, Position(0, 0), [])]
    part: list[Any] = []
    for statement in [*program, (("commit", None), False)]:
        part.append(statement)
        if statement[0][0] == "commit":
            run_program(connection, table, kind, part)
            part = []
            newest = "SELECT audit_transaction_id, audit_id FROM thing_audit ORDER BY audit_id DESC LIMIT 1"
            found = connection.execute(text(newest)).first()
            if found is not None and Position(*found) != states[-1][1]:
                states.append((found[0], Position(*found), live(connection, table, exclude)))
            connection.commit()
    return states


def every_key(connection: Connection, table: Table) -> list[tuple[Any, ...]]:
    audit_table = table.metadata.tables["thing_audit"]
    keys = [audit_table.c[key.name] for key in table.primary_key]
    query = audit_table.select().with_only_columns(*keys).where(keys[0].is_not(None)).distinct()
    return [tuple(row) for row in connection.execute(query)]


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=max(1, EXAMPLES // 5),
    deadline=None,
    derandomize="AUDIT_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(data=st.data())
def test_every_point_of_a_history_can_be_brought_back(postgres: Engine, kind: str, data: st.DataObject) -> None:
    shape = data.draw(shapes_with_key(kind), label="shape")
    program = data.draw(programs(shape), label="program")
    table, exclude = build_table(shape), shape["exclude"]
    with postgres.begin() as connection:
        create(connection, table, kind)
    with postgres.connect() as connection:
        states = run_in_parts(connection, table, kind, program, exclude)
        for _, position, expected in [*states, *states[::-1]]:
            for key in every_key(connection, table):
                restore(connection, table, key, to=position)
            connection.commit()
            assert live(connection, table, exclude) == expected
        for key in every_key(connection, table):
            restore(connection, table, key, to=states[-1][1])
        connection.commit()
        for (_, _, before), (transaction_id, _, after) in reversed([*pairwise(states)]):
            for undone, expected in ((transaction_id, before), (None, after), (None, before)):
                reverted = revert_transaction(connection, table.metadata, undone or newest(connection))
                connection.commit()
                assert live(connection, table, exclude) == expected
                if not reverted.writes:  # it did and undid
                    break
        assert live(connection, table, exclude) == []


def newest(connection: Connection) -> int:
    return int(connection.execute(text("SELECT max(audit_transaction_id) FROM thing_audit")).scalar_one())
