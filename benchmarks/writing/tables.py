"""The tables that are written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

TYPES: Mapping[str, TypeEngine[Any]] = {
    "bigint": BigInteger(),
    "text": Text(),
    "integer": Integer(),
    "numeric": Numeric(12, 2),
    "text[]": ARRAY(Text),
    "jsonb": JSONB(),
    "boolean": Boolean(),
    "timestamptz": DateTime(timezone=True),
}


@dataclass(frozen=True)
class Field:
    """A column.

    :ivar sql_type: a key of :data:`TYPES`.
    :ivar value: what row number ``i`` has there, as SQL.
    """

    name: str
    sql_type: str
    value: str


@dataclass(frozen=True)
class Shape:
    """A table with a key ``id``, and an integer ``amount`` that updates change.

    :ivar parent: a table whose rows, when deleted, take those with the same number along.
    """

    name: str
    title: str
    columns: tuple[Field, ...]
    parent: str | None = None

    def build(self, metadata: MetaData, info: Mapping[str, Any]) -> Table:
        """As a table of SQLAlchemy, whose ``info`` is the one given."""
        return Table(self.name, metadata, *map(self._column, self.columns), info=dict(info))

    def _column(self, field: Field) -> Column[Any]:
        keys = [ForeignKey(f"{self.parent}.id", ondelete="CASCADE")] if field.name == "parent_id" else []
        return Column(
            field.name, TYPES[field.sql_type], *keys, primary_key=field.name == "id", index=bool(keys) or None
        )


ID = Field("id", "bigint", "i")
AMOUNT = Field("amount", "integer", "i")
NAME = Field("name", "text", "'name ' || i")

#: Text that does not compress, as documents from elsewhere; 100 kB and a little.
BIG = "(SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 3200))"

NARROW = Shape("narrow", "3 columns", (ID, NAME, AMOUNT))
ORDINARY = Shape(
    "account",
    "10 columns",
    (
        ID,
        NAME,
        Field("email", "text", "'user' || i || '@example.org'"),
        Field("note", "text", "'a note of some length about nothing in particular'"),
        AMOUNT,
        Field("price", "numeric", "12.5"),
        Field("tags", "text[]", "ARRAY['a', 'b', 'c']"),
        Field("doc", "jsonb", """'{"k": [1, 2, 3], "plan": "free"}'::jsonb"""),
        Field("active", "boolean", "true"),
        Field("at", "timestamptz", "now()"),
    ),
)
LARGE = Shape(
    "document",
    "100 kB of text and 100 kB of jsonb",
    (ID, AMOUNT, Field("body", "text", BIG), Field("doc", "jsonb", f"jsonb_build_object('body', {BIG})")),
)
PARENT = Shape("parent", "the parent", (ID, NAME, AMOUNT))
CHILD = Shape("child", "its child", (ID, Field("parent_id", "bigint", "i"), NAME, AMOUNT), parent="parent")


def wide(columns: int) -> Shape:
    """A table of so many columns: numbers, times and short texts."""
    kinds = (
        ("text", "'value ' || i"),
        ("integer", "i"),
        ("numeric", "i * 1.25"),
        ("timestamptz", "now()"),
    )
    fields = (Field(f"c{number}", *kinds[number % len(kinds)]) for number in range(columns - 2))
    return Shape(f"wide_{columns}", f"{columns} columns", (ID, AMOUNT, *fields))


WIDE = wide(100)


def create(engine: Engine, shapes: Sequence[Shape], options: Callable[[], Mapping[str, Any]] = dict) -> MetaData:
    """Create the tables.

    :param options: makes the ``info`` of one; called for each, since columns in it belong to one table.
    """
    metadata = MetaData()
    for shape in shapes:
        shape.build(metadata, options())
    metadata.create_all(engine)
    return metadata


def create_plain(engine: Engine, shapes: Sequence[Shape]) -> None:
    """Create the tables, not audited."""
    create(engine, shapes)
