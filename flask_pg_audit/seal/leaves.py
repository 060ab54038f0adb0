"""Leaves, the hashes of rows: read from the rows as they are now, and kept with the seals."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import Connection

from ..database.function import Infrastructure
from ..database.name import QualifiedName
from ..database.render import ident, qualified
from ..errors import AuditSealError
from .canonical import Canonical, leaves_sql, read_canonical, settle_output
from .covered import CHANGE_KEY
from .merkle import SIZE

#: The key of a row, one number or two.
Key = tuple[int, ...]

#: A row: its key and its hash.
Leaf = tuple[Key, bytes]

#: Rows whose leaves are kept in one row of ``audit_seal_leaves``.
CHUNK = 1_000

#: Nothing was renamed.
_NONE: Mapping[str, str] = MappingProxyType({})

_FETCH = 5_000
_WRAP = 1 << 64

_T = TypeVar("_T")


def stream_leaves(
    connection: Connection,
    table: QualifiedName,
    key: tuple[str, ...],
    canonical: Canonical,
    after: int | None,
    until: int,
) -> Iterator[Leaf]:
    """The leaves of the rows whose first key column is above ``after`` and at most ``until``, in order.

    Hashed by the server, and fetched in parts: memory stays flat. :func:`settle_output` comes first.
    """
    column = f"r.{ident(key[0])}"
    where = f"{column} <= {until}" + ("" if after is None else f" AND {column} > {after}")
    statement = leaves_sql(table, key, canonical, where)
    options = {"no_parameters": True, "stream_results": True, "max_row_buffer": _FETCH, "yield_per": _FETCH}
    with connection.exec_driver_sql(statement, execution_options=options) as rows:
        for *values, leaf in rows:
            yield tuple(values), bytes(leaf)


def read_leaf(connection: Connection, table: QualifiedName, audit_transaction_id: int, audit_id: int) -> bytes | None:
    """The leaf of one row of an audit table as it is now; ``None`` when there is none.

    What has to be set for that is set within a savepoint, which is rolled back: the transaction goes on as it was.

    :param connection: in a transaction or not; it sees what that sees.

    .. versionadded:: 0.1
    """
    found = read_leaves(connection, table, CHANGE_KEY, [(audit_transaction_id, audit_id)])
    return next((leaf for _, leaf in found), None)


def read_leaves(
    connection: Connection,
    table: QualifiedName,
    key: tuple[str, ...],
    rows: Sequence[Key],
    renamed: Mapping[str, str] = _NONE,
) -> tuple[Leaf, ...]:
    """The leaves of some rows, as :func:`read_leaf` gives that of one; rows that are not there are left out.

    :param renamed: columns that had other names when the rows were sealed: from the name now to the one then.
    """
    if not rows:
        return ()
    columns = ", ".join(f"r.{ident(column)}" for column in key)
    wanted = ", ".join(f"({', '.join(str(int(number)) for number in row)})" for row in rows)
    with _undone(connection):
        settle_output(connection)
        canonical = read_canonical(connection, table).renamed(renamed)
        statement = leaves_sql(table, key, canonical, f"({columns}) IN ({wanted})")
        found = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        return tuple((tuple(values), bytes(leaf)) for *values, leaf in found)


@contextmanager
def _undone(connection: Connection) -> Iterator[None]:
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()


def store_leaves(connection: Connection, shared: Infrastructure, seal: int, place: int, leaves: Iterator[Leaf]) -> None:
    """Keep leaves with a seal, ``CHUNK`` rows at a time."""
    statement = (
        f"INSERT INTO {_escaped(shared.leaves_table)} "  # noqa: S608
        "(seal_id, place, chunk, first_id, last_id, row_count, ids, leaves) VALUES "
        "(%(seal)s, %(place)s, %(chunk)s, %(first)s, %(last)s, %(count)s, %(ids)s, %(leaves)s)"
    )
    for number, part in enumerate(_parts(leaves, CHUNK)):
        keys = [key for key, _ in part]
        values = {"seal": seal, "place": place, "chunk": number, "first": keys[0][0], "last": keys[-1][0]}
        packed = b"".join(leaf for _, leaf in part)
        connection.exec_driver_sql(statement, {**values, "count": len(part), "ids": pack_keys(keys), "leaves": packed})


def load_leaves(connection: Connection, shared: Infrastructure, seal: int, place: int) -> Iterator[Leaf]:
    """What :func:`store_leaves` kept, part by part; nothing is fetched before it is needed.

    :raises AuditSealError: what is there cannot have been written by it.
    """
    width = None
    chunk = 0
    while (row := _load(connection, shared, seal, place, chunk)) is not None:
        count, ids, leaves = row
        if len(leaves) != count * SIZE or count == 0:
            raise AuditSealError("their number is not the one that was stored")
        keys = unpack_keys(ids, count)
        if width not in (None, len(keys[0])):
            raise AuditSealError("the keys are not all of one kind")
        width = len(keys[0])
        for position, key in enumerate(keys):
            yield key, leaves[position * SIZE : (position + 1) * SIZE]
        chunk += 1


def _load(
    connection: Connection, shared: Infrastructure, seal: int, place: int, chunk: int
) -> tuple[int, bytes, bytes] | None:
    query = (
        f"SELECT row_count, ids, leaves FROM {_escaped(shared.leaves_table)} "  # noqa: S608
        "WHERE seal_id = %(seal)s AND place = %(place)s AND chunk = %(chunk)s"
    )
    row = connection.exec_driver_sql(query, {"seal": seal, "place": place, "chunk": chunk}).first()
    return None if row is None else (int(row[0]), bytes(row[1]), bytes(row[2]))


def pack_keys(keys: Sequence[Key]) -> bytes:
    """The keys column by column, each number as its difference to the one before, compressed.

    Most differences are 0 or 1, so that a key takes about two bytes instead of sixteen.
    """
    columns = []
    for column in zip(*keys, strict=True):
        differences = [(b - a) % _WRAP for a, b in zip((0, *column), column, strict=False)]
        columns.append(struct.pack(f">{len(column)}Q", *differences))
    return zlib.compress(b"".join(columns))


def unpack_keys(packed: bytes, count: int) -> list[Key]:
    """The inverse of :func:`pack_keys`.

    :raises AuditSealError: these are no ``count`` keys.
    """
    try:
        data = zlib.decompress(packed)
    except zlib.error as error:
        raise AuditSealError("the keys cannot be read") from error
    width, rest = divmod(len(data), 8 * count)
    if rest or width not in (1, 2):
        raise AuditSealError("the keys cannot be read")
    numbers = struct.unpack(f">{width * count}Q", data)
    columns = [_summed(numbers[start : start + count]) for start in range(0, width * count, count)]
    return list(zip(*columns, strict=True))


def _summed(differences: Iterable[int]) -> list[int]:
    sums, number = [], 0
    for difference in differences:
        number = (number + difference) % _WRAP
        sums.append(number - _WRAP if number >= _WRAP // 2 else number)
    return sums


def _parts(items: Iterator[_T], size: int) -> Iterator[list[_T]]:
    while part := list(islice(items, size)):
        yield part


def _escaped(name: QualifiedName) -> str:
    """For a statement that has parameters."""
    return qualified(name).replace("%", "%%")
