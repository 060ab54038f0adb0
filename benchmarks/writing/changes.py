"""The statements. ``i`` is the number of a row: of a loop in PL/pgSQL, or of ``generate_series``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.writing.tables import Shape

#: What the floor records beside the row, as SQL; ``{operation}`` is a letter.
RECORDED: Mapping[str, str] = {
    "audit_transaction_id": "1::bigint",
    "audit_id": "nextval('audit_id_seq')",
    "audit_operation": "'{operation}'::varchar(1)",
    "audit_operation_timestamp": "clock_timestamp()",
    "audit_current_user": "current_user::varchar(64)",
    "audit_username": "current_setting('audit.username', true)",
}


def log_name(table: str) -> str:
    """The floor's history of a table."""
    return f"{table}_log"


@dataclass(frozen=True)
class Change:
    """A statement that writes to one table."""

    table: str
    operation: str
    sql: str

    def by_hand(self) -> str:
        """The same, recorded by a second insert."""
        recorded = ", ".join(RECORDED.values()).format(operation=self.operation)
        return (
            f"WITH n AS ({self.sql} RETURNING {self.table}.*) "
            f"INSERT INTO {log_name(self.table)} SELECT {recorded}, n.* FROM n"
        )


def _values(shape: Shape) -> str:
    return ", ".join(field.value for field in shape.columns)


def insert(shape: Shape, rows: int | None = None) -> Change:
    """One row, number ``i``; or so many in one statement."""
    source = f" FROM generate_series(1, {rows}) AS i" if rows else ""
    return Change(shape.name, "I", f"INSERT INTO {shape.name} SELECT {_values(shape)}{source}")


def update(shape: Shape, rows: int | None = None) -> Change:
    """Another amount."""
    return Change(shape.name, "U", f"UPDATE {shape.name} SET amount = amount + 1 WHERE {_which(rows)}")


def touch(shape: Shape, rows: int | None = None) -> Change:
    """An update that changes nothing."""
    return Change(shape.name, "U", f"UPDATE {shape.name} SET amount = amount WHERE {_which(rows)}")


def upsert(shape: Shape, offset: int, rows: int | None = None) -> Change:
    """Rows from ``offset`` on: so that half of them are new, if ``offset`` is half of their number."""
    inserted = insert(shape, rows).sql.replace(f"SELECT {shape.columns[0].value},", f"SELECT i + {offset},", 1)
    return Change(
        shape.name,
        "U",
        f"{inserted}{' WHERE true' if rows else ''} ON CONFLICT (id) DO UPDATE SET amount = excluded.amount + 1",
    )


def delete(shape: Shape, rows: int | None = None, column: str = "id") -> Change:
    """The row; or the first ones."""
    return Change(shape.name, "D", f"DELETE FROM {shape.name} WHERE {_which(rows, column)}")


def _which(rows: int | None, column: str = "id") -> str:
    return f"{column} <= {rows}" if rows else f"{column} = i"
