"""One table through all seals, whatever it and its columns were called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, permutations

from sqlalchemy import Connection

from ..database.function import Infrastructure
from ..database.name import QualifiedName
from ..errors import AuditSealError
from .canonical import read_canonical
from .covered import CoveredTable, exists
from .finding import COLUMN_MISSING, TABLE_MISSING, Findings, SealFinding
from .leaves import CHUNK, Key, Leaf, load_leaves, read_leaves
from .record import Seal, SealedTable
from .redactions import Redactions, is_redacted
from .renames import find_renamed

#: Ways in which columns may have been renamed that are tried.
_TRIES = 60

_Renamed = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Segment:
    """What one seal covers of a table.

    :ivar place: of the table in the seal.
    """

    seal: int
    place: int
    sealed: SealedTable


@dataclass(frozen=True)
class Track:
    """A table that is there, and all that was sealed of it, in order."""

    table: QualifiedName
    segments: tuple[Segment, ...]

    @property
    def key(self) -> tuple[str, ...]:
        return self.segments[0].sealed.key


def find_tracks(
    connection: Connection,
    shared: Infrastructure,
    chain: Sequence[Seal],
    covered: Iterable[CoveredTable],
    findings: Findings,
) -> Iterator[Track]:
    """The tables of the seals under the names that they have now; one that is not there any more is a finding.

    Unless nothing was sealed of it: nothing is lost then, and without a row nobody knows it again where it is now.
    """
    tracks = _follow(chain)
    gone = {name: segments[-1].sealed for name, segments in tracks.items() if not exists(connection, name)}
    free = [table for table in covered if table.name not in tracks]
    found = find_renamed(connection, shared, gone.values(), free, chain[-1].id) if gone else {}
    renamed = {old.table: new for new, old in found.items()}
    for name, segments in tracks.items():
        if name not in gone:
            yield Track(name, tuple(segments))
        elif name in renamed:
            findings.notes[f"{renamed[name].display} was sealed as {name.display}"] = None
            yield Track(renamed[name], tuple(segments))
        elif any(segment.sealed.count for segment in segments):
            findings.add(SealFinding(TABLE_MISSING, segments[-1].seal, name.display))


def _follow(chain: Sequence[Seal]) -> dict[QualifiedName, list[Segment]]:
    """By the newest name that a seal has for them."""
    tracks: dict[QualifiedName, list[Segment]] = {}
    for seal in chain:
        moved = {}
        for place, sealed in enumerate(seal.tables):
            moved[sealed.table] = [*tracks.pop(sealed.former, []), Segment(seal.id, place, sealed)]
        tracks.update(moved)
    return tracks


def read_runs(
    connection: Connection, shared: Infrastructure, track: Track, redactions: Redactions, findings: Findings
) -> Iterator[tuple[Mapping[str, str], tuple[Segment, ...]]]:
    """The segments in groups whose columns are to be read with the same names.

    :returns: with each group the columns that were renamed since, from the name now to the one then.
    """
    live = read_canonical(connection, track.table).names
    known: dict[tuple[str, ...], _Renamed] = {}

    def names(segment: Segment) -> _Renamed:
        columns = segment.sealed.columns
        if columns not in known:
            known[columns] = _find_names(connection, shared, track, segment, live, redactions, findings)
        return known[columns]

    for renamed, segments in groupby(track.segments, names):
        yield dict(renamed), tuple(segments)


def _find_names(
    connection: Connection,
    shared: Infrastructure,
    track: Track,
    segment: Segment,
    live: Sequence[str],
    redactions: Redactions,
    findings: Findings,
) -> _Renamed:
    """By trying: hashes under the right names are those that were sealed, and under wrong ones they are not."""
    missing = [name for name in segment.sealed.columns if name not in live]
    if not missing:
        return ()
    table, probe = track.table, _probe(connection, shared, segment)
    added = [name for name in live if name not in segment.sealed.columns]
    for names in islice(permutations(added, len(missing)), _TRIES):
        renamed = dict(zip(names, missing, strict=True))
        found = read_leaves(connection, table, track.key, [key for key, _ in probe], renamed)
        if _are_those(probe, dict(found), table, redactions):
            findings.notes.update({f"{table.display}: {new} was sealed as {old}": None for new, old in renamed.items()})
            return tuple(renamed.items())
    for name in missing:
        findings.add(SealFinding(COLUMN_MISSING, segment.seal, table.display, detail=name))
    return ()


def _are_those(probe: Iterable[Leaf], now: Mapping[Key, bytes], table: QualifiedName, redactions: Redactions) -> bool:
    """Whether these are the rows that were sealed. One that was redacted under the new names looks changed, and is no
    sign against them."""
    known = False
    for key, then in probe:
        steps = redactions.get((table.display, key), ())
        is_known = is_redacted(then, now.get(key), steps)
        if not is_known and not steps:
            return False
        known = known or is_known
    return known


def _probe(connection: Connection, shared: Infrastructure, segment: Segment) -> list[tuple[tuple[int, ...], bytes]]:
    try:
        return list(islice(load_leaves(connection, shared, segment.seal, segment.place), CHUNK))
    except AuditSealError:
        return []
