"""Ten audited tables of different shapes, and what is in their rows.

Rows are made by the server. A column's value is an expression of ``k``, the number of the record, and ``v``, the
number of its image: the same two give the same value, and ``v`` and ``v + 1`` differ in at least one column.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from flask_pg_audit import audited, enable
from flask_pg_audit.declare.registry import add_app_settings

enable()

metadata = MetaData()
# As the Flask extension does it.
add_app_settings(metadata, [Column("username", String)])

#: ``records`` come, change and may go; ``kept`` ones were there before auditing, and stay; a ``log`` only grows; a
#: ``reference`` is emptied and filled anew.
Life = Literal["records", "kept", "log", "reference"]


@dataclass(frozen=True)
class Shape:
    """An audited table and what is in it.

    :ivar records: how many different ones there are in a history of :data:`FULL_SIZE`.
    :ivar image: SQL of each column.
    """

    table: Table
    life: Life
    records: int
    image: Mapping[str, str]


#: Changes in the history for which the other numbers are given; smaller ones have fewer of everything.
FULL_SIZE = 5_000_000

KEPT_RECORDS = 100_000
REFERENCE_ROWS = 50


def _shape(life: Life, records: int, name: str, *columns: tuple[Column[object], str]) -> Shape:
    table = Table(name, metadata, *(column for column, _ in columns), info=audited())
    return Shape(table, life, records, {column.name: expression for column, expression in columns})


def _uuid(text: str) -> str:
    return f"CAST(md5({text}) AS uuid)"


PRODUCT = _shape(
    "kept",
    KEPT_RECORDS,
    "product",
    (Column("id", Integer, primary_key=True, autoincrement=False), "k"),
    (Column("sku", String(20), nullable=False), "'SKU-' || k"),
    # Renamed now and then; as good as never made inactive.
    (Column("name", Text, nullable=False), "'Product ' || k || ', model ' || v / 40"),
    (Column("price", Numeric(10, 2)), "CAST((k % 500) + (v % 90) AS numeric) + 0.99"),
    (Column("stock", Integer), "(k * 7 + v * 13) % 1000"),
    (Column("tags", ARRAY(Text)), "ARRAY['tag' || k % 7, 'tag' || k % 11]"),
    (Column("attributes", JSONB), "jsonb_build_object('colour', k % 5, 'sizes', ARRAY[1, 2, k % 9])"),
    (Column("active", Boolean), "v < 2000"),
)
CUSTOMER = _shape(
    "records",
    50_000,
    "customer",
    (Column("id", Uuid, primary_key=True), _uuid("'customer' || k")),
    (Column("name", Text, nullable=False), "'Customer ' || k"),
    (Column("email", Text), "'customer' || k || '@mail' || v || '.example'"),
    (Column("phone", String(30)), "CASE WHEN k % 3 > 0 THEN '+39 06 ' || k * 31 + v / 3 END"),
    (Column("address", JSONB), "jsonb_build_object('street', 'Via ' || k % 900, 'city', 'City ' || (k + v / 5) % 300)"),
)
PURCHASE = _shape(
    "records",
    150_000,
    "purchase",
    (Column("id", BigInteger, primary_key=True, autoincrement=False), "k"),
    (Column("customer_id", Uuid), _uuid("'customer' || 1 + k % 50000")),
    (Column("status", String(20)), "(ARRAY['new', 'paid', 'packed', 'sent'])[1 + v % 4]"),
    (Column("total", Numeric(12, 2)), "CAST(k % 9000 AS numeric) + 0.5"),
    (Column("note", Text), "CASE WHEN k % 20 = 0 THEN repeat('leave it at the door; ', 10) END"),
    (Column("paid_at", DateTime(timezone=True)), "timestamptz '2024-01-01 00:00Z' + v * interval '1 h'"),
)
PURCHASE_LINE = _shape(
    "records",
    400_000,
    "purchase_line",
    (Column("purchase_id", BigInteger, primary_key=True, autoincrement=False), "k / 4"),
    (Column("line", SmallInteger, primary_key=True, autoincrement=False), "k % 4"),
    (Column("product_id", Integer), "1 + k % 100000"),
    (Column("quantity", Integer), "v"),
    (Column("price", Numeric(10, 2)), "CAST(k % 500 AS numeric) + 0.99"),
)
ARTICLE = _shape(
    "records",
    5_000,
    "article",
    (Column("id", Integer, primary_key=True, autoincrement=False), "k"),
    (Column("title", Text), "'Article ' || k || ', edition ' || v"),
    (Column("body", Text), "repeat('Lorem ipsum ' || k || ' dolor ' || v || ' sit amet. ', 40)"),
    (Column("published", Date), "date '2024-01-01' + CAST(k % 700 AS integer)"),
)
WEBHOOK = _shape(
    "records",
    100_000,
    "webhook",
    (Column("id", BigInteger, primary_key=True, autoincrement=False), "k"),
    (Column("payload", JSON), "json_build_object('id', k, 'data', repeat('x', CAST(k % 200 AS integer)))"),
    (Column("attempts", Integer), "v"),
    (Column("answer", Text), "CASE WHEN v > 1 THEN 'HTTP 503' END"),
)
STOCK_MOVEMENT = _shape(
    "log",
    0,
    "stock_movement",
    (Column("id", BigInteger, primary_key=True, autoincrement=False), "k"),
    (Column("product_id", Integer), "1 + (k * 7919) % 100000"),
    (Column("quantity", Integer), "(k % 40) - 20"),
    (Column("reason", String(20)), "(ARRAY['sale', 'return', 'delivery'])[1 + k % 3]"),
)
VISIT = _shape(
    "log",
    0,
    "visit",  # has no primary key
    (Column("path", Text), "'/products/' || (k * 31) % 100000"),
    (Column("visitor", Uuid), _uuid("'visitor' || k / 8")),
    (Column("seconds", Integer), "k % 300"),
)
SETTING = _shape(
    "records",
    200,
    "setting",
    (Column("name", String(50), primary_key=True), "'setting.' || k"),
    (Column("value", Text), "'value ' || v"),
)
TAX_RATE = _shape(
    "reference",
    REFERENCE_ROWS,
    "tax_rate",
    (Column("country", String(10), primary_key=True), "'country' || k"),
    (Column("rate", Numeric(5, 2)), "CAST(15 + k % 12 + v % 3 AS numeric)"),
)

SHAPES = (
    PRODUCT, CUSTOMER, PURCHASE, PURCHASE_LINE, ARTICLE, WEBHOOK, STOCK_MOVEMENT, VISIT, SETTING, TAX_RATE,
)  # fmt: skip
