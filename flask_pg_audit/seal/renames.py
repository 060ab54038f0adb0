"""Knowing a table again that was renamed or moved since it was sealed: by its rows, since a name proves nothing.

Neither does an OID, which a restored dump does not keep. The leaves of a renamed table are what they were: the name of
the table is not part of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice

from sqlalchemy import Connection

from ..database.function import Infrastructure
from ..database.name import QualifiedName
from ..errors import AuditSealError
from .covered import CoveredTable
from .leaves import Leaf, load_leaves, read_leaves
from .record import SealedTable
from .redactions import Redactions, is_redacted, read_redactions
from .store import read_seals

#: Rows that are looked at.
_PROBE = 20


def find_renamed(
    connection: Connection,
    shared: Infrastructure,
    gone: Iterable[SealedTable],
    candidates: Iterable[CoveredTable],
    last: int,
) -> Mapping[QualifiedName, SealedTable]:
    """Which of ``candidates`` hold the rows of tables that are not there under their names any more.

    :param last: the seal up to which it is looked for what was sealed of them.
    """
    found: dict[QualifiedName, SealedTable] = {}
    gone = tuple(gone)
    redactions = read_redactions(connection, shared) if gone else {}
    for table in gone:
        probe = _probe(connection, shared, table, last)
        for candidate in candidates:
            fits = candidate.name not in found and candidate.key == table.key
            if fits and _holds(connection, candidate, probe, redactions):
                found[candidate.name] = table
                break
    return found


def _probe(connection: Connection, shared: Infrastructure, table: SealedTable, last: int) -> list[Leaf]:
    for number, seal in read_seals(connection, shared):
        if seal is None or number > last:
            continue
        for place, sealed in enumerate(seal.tables):
            if sealed.table == table.table and sealed.count:
                try:
                    return list(islice(load_leaves(connection, shared, number, place), _PROBE))
                except AuditSealError:
                    return []
    return []


def _holds(connection: Connection, candidate: CoveredTable, probe: list[Leaf], redactions: Redactions) -> bool:
    """One row that is the same, or was redacted, is enough: a row's number is in one table only."""
    now = dict(read_leaves(connection, candidate.name, candidate.key, [key for key, _ in probe]))
    steps = {key: redactions.get((candidate.name.display, key), ()) for key in now}
    return any(key in now and is_redacted(then, now[key], steps[key]) for key, then in probe)
