"""What is to become of which row: the plan that everything in this package comes down to."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..history.position import Position
from ..history.recorded import RecordedTable
from .link import Link


class Anything(enum.Enum):
    """The type of :data:`ANYTHING`."""

    ANYTHING = "anything"


#: Whatever the row is now, and whether it is there or not.
ANYTHING: Final = Anything.ANYTHING


@dataclass(frozen=True)
class Target:
    """One row: what it should be now, and what it is to become.

    Images are given by their places in the history and copied by the database, so that no value passes through Python
    and comes back as another one.

    :ivar at: an image under the key that the row has now.
    :ivar expected: the image that the row should equal now; ``None`` for no row.
    :ivar wanted: the image that it is to become; ``None`` for no row. It may have another key.
    :ivar unknown: why nobody knows what the row was before.
    """

    at: Position
    expected: Position | Anything | None
    wanted: Position | None
    unknown: str | None = None


@dataclass(frozen=True)
class Plan:
    """Rows of some tables, each once, and what is being reverted by bringing them back."""

    targets: tuple[tuple[RecordedTable, tuple[Target, ...]], ...]
    link: Link


@dataclass(frozen=True)
class RowWrite:
    """A row that was written.

    :ivar table: the table's name, with its schema if it has one.
    :ivar key: the primary key's columns and values, as they are afterwards.
    :ivar operation: ``I`` insert, ``U`` update, ``D`` delete.
    :ivar columns: what was written, in the table's order; empty for a delete.

    .. versionadded:: 0.1
    """

    table: str
    key: Mapping[str, Any]
    operation: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Reverted:
    """What was written, or with ``dry_run`` what would be.

    :ivar writes: the rows: deletes, then updates, then inserts; those that were as wanted are not among them.
    :ivar reverts: what is recorded as ``reverts`` in the context of the transaction.

    .. versionadded:: 0.1
    """

    writes: tuple[RowWrite, ...]
    reverts: Mapping[str, Any]
    dry_run: bool
