"""What one seal says, and the bytes of it that are hashed and signed."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..database.name import QualifiedName
from ..errors import AuditSealError
from .canonical import FORMAT

# Neither a leaf nor a node of a tree begins with it.
_SEAL = b"\x02"


@dataclass(frozen=True)
class SealedTable:
    """What a seal covers of one table.

    :ivar schema: of the table, when it was sealed.
    :ivar name: of the table, when it was sealed.
    :ivar key: the columns that order the rows; the first one bounds them.
    :ivar after: the rows whose first key column is above it, up to ``until``; ``None`` is from the beginning.
    :ivar count: how many rows there were.
    :ivar root: the root of the Merkle tree of their hashes, hexadecimal.
    :ivar columns: the names of all columns, in canonical order; empty where there were no rows.
    :ivar formerly: schema and name in the seal before, where they were others.

    .. versionadded:: 0.1
    """

    schema: str
    name: str
    key: tuple[str, ...]
    after: int | None
    until: int
    count: int
    root: str
    columns: tuple[str, ...]
    formerly: tuple[str, str] | None = None

    @property
    def table(self) -> QualifiedName:
        return QualifiedName(self.schema, self.name)

    @property
    def former(self) -> QualifiedName:
        """The name under which the seal before has it."""
        return self.table if self.formerly is None else QualifiedName(*self.formerly)

    def content(self) -> dict[str, Any]:
        """As it is hashed."""
        formerly = None if self.formerly is None else list(self.formerly)
        return {**self.__dict__, "key": list(self.key), "columns": list(self.columns), "formerly": formerly}

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> SealedTable:
        formerly = content["formerly"]
        after = content["after"]
        return cls(
            str(content["schema"]),
            str(content["name"]),
            tuple(map(str, content["key"])),
            None if after is None else int(after),
            int(content["until"]),
            int(content["count"]),
            str(content["root"]),
            tuple(map(str, content["columns"])),
            None if formerly is None else (str(formerly[0]), str(formerly[1])),
        )


@dataclass(frozen=True)
class Seal:
    """One seal: the settled part of the history that the ones before it do not cover.

    :ivar id: 1 for the first; without gaps.
    :ivar sealed_at: the server's clock, UTC.
    :ivar format: how rows become hashes.
    :ivar previous: the hash of the seal before, hexadecimal; ``None`` for the first.
    :ivar key_id: what it is signed with; ``None`` when it is not.
    :ivar hash: of everything above, hexadecimal.
    :ivar signature: of the hash, hexadecimal.

    .. versionadded:: 0.1
    """

    id: int
    sealed_at: datetime.datetime
    previous: str | None
    tables: tuple[SealedTable, ...]
    key_id: str | None
    hash: str = ""
    signature: str | None = None
    format: int = FORMAT

    @property
    def rows(self) -> int:
        """How many rows it covers."""
        return sum(table.count for table in self.tables)

    def content(self) -> dict[str, Any]:
        """What is hashed."""
        return {
            "format": self.format,
            "id": self.id,
            "key_id": self.key_id,
            "previous": self.previous,
            "sealed_at": self.sealed_at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "tables": [table.content() for table in self.tables],
        }

    def digest(self) -> bytes:
        """The hash that belongs to the content."""
        return hashlib.sha256(_SEAL + canonical_json(self.content())).digest()

    def line(self, bind: str | None = None) -> bytes:
        """The seal as one line for a file.

        :param bind: whose it is, where an application has several databases; not part of what is hashed.
        """
        values = {**self.content(), "bind": bind, "hash": self.hash, "signature": self.signature}
        return canonical_json(values) + b"\n"

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Seal:
        """Read what :meth:`line` wrote.

        :raises AuditSealError: it is something else.
        """
        try:
            at = datetime.datetime.strptime(values["sealed_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
            return cls(
                int(values["id"]),
                at.replace(tzinfo=datetime.timezone.utc),
                _text(values["previous"]),
                tuple(map(SealedTable.parse, values["tables"])),
                _text(values["key_id"]),
                str(values["hash"]),
                _text(values["signature"]),
                int(values["format"]),
            )
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise AuditSealError(f"this is no seal: {type(error).__name__} {error}") from error


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def canonical_json(value: object) -> bytes:
    """JSON in the one way in which it is hashed: keys in order, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def read_lines(lines: Sequence[bytes], bind: str | None, source: str) -> Iterator[Seal]:
    """The seals of one bind out of the lines of a file.

    :param source: how the file is called in messages.
    :raises AuditSealError: a line is no seal; it is named.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            seal = Seal.parse(values)
        except (ValueError, AuditSealError) as error:
            raise AuditSealError(f"{source}, line {number}: {error}") from error
        if values.get("bind") == bind:
            yield seal
