"""A small shop whose history is sealed, and what is found of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Engine, Integer, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSON

from flask_pg_audit.declare.registry import declare_view_table
from flask_pg_audit.seal import Seal, seal, verify_seals
from tests.capture import audited_table, run


def shop(more: str = "", only: str = "", column: str = "colour") -> MetaData:
    """Items and places; and one table more, or one only."""
    metadata = MetaData()
    if not only:
        audited_table(metadata, "item", _key(), Column("name", Text), Column("price", Numeric), Column("data", JSON))
    audited_table(metadata, only or "place", _key(), Column("name", Text))
    if more:
        audited_table(metadata, more, _key(), Column("name", Text), Column(column, Text))
    declare_view_table(metadata)
    return metadata


def _key() -> Column[Any]:
    return Column("id", Integer, primary_key=True)


def open_shop(engine: Engine) -> None:
    """Two items and a place, in two transactions; and somebody read the log: 7 rows."""
    run(
        engine,
        "INSERT INTO item VALUES (1, 'pen', 1.50, '[1]'), (2, NULL, NULL, NULL); INSERT INTO place VALUES (1, 'x')",
        "UPDATE item SET name = 'ink' WHERE id = 1",
        "INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')",
    )


def sealed(metadata: MetaData, engine: Engine, **options: Any) -> Seal:
    """A new seal, where there is something to seal."""
    made = seal(metadata, engine, **options)
    assert made is not None
    return made


def found(metadata: MetaData, engine: Engine, **options: Any) -> list[str]:
    """Every finding as a line."""
    verified = verify_seals(metadata, engine, **options)
    assert sum(verified.counts.values()) == len(verified.findings)
    return list(map(str, verified.findings))


def covered(made: Seal) -> dict[str, tuple[int | None, int, int]]:
    """By table: after which number, up to which, and how many rows."""
    return {table.name: (table.after, table.until, table.count) for table in made.tables}
