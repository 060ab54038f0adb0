"""The bytes of a row that are hashed: the same for the same values, whoever reads them, where and how.

A row is its columns that are not null, ordered by the bytes of their names. Each is the name and the value, both in
UTF-8 and both with their length in front, as in netstrings: ``4:name,5:value,``. So nothing can be shifted from one to
the other. A value of more than 1,000,000 bytes is ``1000001#``, the hexadecimal SHA-256 of it and a comma. What is null
is left out, so that a column which is added later changes no row. The value is what the type's output function writes:
casts, which others may define, are not asked.

The leaf is the SHA-256 of a zero byte and that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from ..database.name import QualifiedName
from ..database.render import ident, literal, qualified, render

#: Goes into each seal: how rows become bytes, and bytes become a root.
FORMAT = 1

#: Bytes of a value above which its hash stands for it.
LARGE = 1_000_000

#: What a function takes at most is 100 arguments.
_AT_ONCE = 50

_TEXTS = (25, 1043)  # text and varchar are their own output

_AS_IT_IS = {"no_parameters": True}

#: Everything that PostgreSQL's output functions ask.
SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",  # shortest text that is read back as the same number
    "bytea_output": "hex",
    "lc_monetary": "C",
    "xmlbinary": "base64",
    "quote_all_identifiers": "off",  # in what regclass and the like write
    "search_path": "",  # there as well: whatever is not PostgreSQL's own has its schema
    "row_security": "off",  # a policy that would hide rows is an error
    "jit": "off",
}


@dataclass(frozen=True)
class Canonical:
    """Writes the expressions by which a server hashes the rows of one table.

    :ivar columns: in canonical order: the name under which it is hashed, the name that it has, and whether the type is
        one whose text is the value itself.
    :ivar encoding: the server's.
    """

    columns: tuple[tuple[str, str, bool], ...]
    encoding: str

    @property
    def names(self) -> tuple[str, ...]:
        """Under which the columns are hashed."""
        return tuple(name for name, *_ in self.columns)

    def renamed(self, names: Mapping[str, str]) -> Canonical:
        """The same with other names, from the name that a column has to the one under which it is hashed."""
        columns = ((names.get(column, name), column, is_text) for name, column, is_text in self.columns)
        return Canonical(tuple(sorted(columns, key=lambda column: column[0].encode())), self.encoding)

    @property
    def values(self) -> Iterator[str]:
        """Each column as text, in canonical order; ``IS DISTINCT FROM`` since a row of nulls ``IS NULL``."""
        for _, name, is_text in self.columns:
            column = f"r.{ident(name)}"
            text = f"{column}::pg_catalog.text"
            yield text if is_text else f"CASE WHEN {column} IS DISTINCT FROM NULL THEN pg_catalog.concat({column}) END"

    @property
    def leaf(self) -> str:
        """The hash, of the values as ``v.v1``, ``v.v2`` …"""
        parts = [self._part(name, f"v.v{number}") for number, (name, *_) in enumerate(self.columns, 1)]
        groups = [", ".join(parts[start : start + _AT_ONCE]) for start in range(0, len(parts), _AT_ONCE)]
        row = ", ".join(f"pg_catalog.concat({group})" for group in groups)
        return f"pg_catalog.sha256(pg_catalog.decode('00', 'hex') || {self._bytes(f'pg_catalog.concat({row})')})"

    def _part(self, name: str, value: str) -> str:
        start = literal(f"{len(name.encode())}:{name},")
        size = f"pg_catalog.octet_length({self._measured(value)})"
        digest = f"pg_catalog.encode(pg_catalog.sha256({self._bytes(value)}), 'hex')"
        return (
            f"CASE WHEN {size} <= {LARGE} THEN pg_catalog.concat({start}, {size}, ':', {value}, ',') "
            f"WHEN {value} IS NOT NULL THEN pg_catalog.concat({start}, {size}, '#', {digest}, ',') END"
        )

    def _bytes(self, text: str) -> str:
        # What SQL_ASCII holds has no encoding: it is taken as it is, which is the same where UTF-8 was written.
        return f"pg_catalog.convert_to({text}, {'SQL_ASCII' if self.encoding == 'SQL_ASCII' else 'UTF8'!r})"

    def _measured(self, value: str) -> str:
        return value if self.encoding in ("UTF8", "SQL_ASCII") else self._bytes(value)


def read_canonical(connection: Connection, table: QualifiedName) -> Canonical:
    """Read which columns ``table`` has now."""
    query = render("read_sealed_columns", name=table)
    rows = [tuple(row) for row in connection.exec_driver_sql(query, execution_options=_AS_IT_IS)]
    names = sorted(((name, type_) for name, type_, _ in rows), key=lambda column: str(column[0]).encode())
    columns = tuple((name, name, type_ in _TEXTS) for name, type_ in names)
    return Canonical(columns, rows[0][2] if rows else "UTF8")


def settle_output(connection: Connection) -> None:
    """Let the running transaction write values the canonical way, until it ends."""
    values = ", ".join(
        f"pg_catalog.set_config({literal(name)}, {literal(value)}, true)" for name, value in SETTINGS.items()
    )
    connection.exec_driver_sql(f"SELECT {values}", execution_options=_AS_IT_IS)


def leaves_sql(table: QualifiedName, key: tuple[str, ...], canonical: Canonical, where: str, order: bool = True) -> str:
    """A query for the keys and the leaves of rows.

    :param where: SQL, in which the row is ``r``.
    """
    return render(
        "read_leaves",
        table=qualified(table),
        key=key,
        values=tuple(canonical.values),
        leaf=canonical.leaf,
        where=where,
        order=order,
    )
