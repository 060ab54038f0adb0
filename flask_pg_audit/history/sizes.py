"""How large tables are, as the catalog knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, Table, Text


@dataclass(frozen=True)
class Size:
    """The size of one table.

    :ivar rows: about how many it has; ``None`` before the first ``ANALYZE``, and for a table that is not there.
    :ivar bytes: on disk, with its indexes; of a partitioned table that of its partitions. ``None`` when it is not
        there.
    """

    rows: int | None
    bytes: int | None


def read_sizes(connection: Connection, tables: Sequence[Table]) -> list[Size]:
    """The sizes of ``tables``, in their order; one query of the catalog, whatever is in them."""
    if not tables:
        return []
    quote = connection.dialect.identifier_preparer.format_table
    wanted = sa.values(sa.column("place", sa.Integer), sa.column("name", Text), name="wanted").data(
        [(place, quote(table).replace("%%", "%")) for place, table in enumerate(tables)]
    )
    relation = sa.table("pg_class", sa.column("oid"), sa.column("reltuples"), schema="pg_catalog")
    oid = sa.func.to_regclass(wanted.c.name)
    query = (
        sa.select(sa.cast(relation.c.reltuples, BigInteger), _bytes(oid, wanted))
        .select_from(wanted.outerjoin(relation, relation.c.oid == oid))
        .order_by(wanted.c.place)
    )
    return [
        Size(None if rows is None or rows < 0 else rows, None if size is None else int(size))
        for rows, size in connection.execute(query)
    ]


def _bytes(oid: ColumnElement[Any], wanted: FromClause) -> ColumnElement[Any]:
    """The partitioned table itself has no rows; of any other table there is no tree."""
    tree = sa.func.pg_partition_tree(oid).table_valued("relid").alias("tree")
    of_partitions = sa.select(sa.func.sum(sa.func.pg_total_relation_size(tree.c.relid))).select_from(tree)
    return sa.func.coalesce(of_partitions.correlate(wanted).scalar_subquery(), sa.func.pg_total_relation_size(oid))
