"""The rows of one table beside the hashes that were sealed of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ..database.function import Infrastructure
from ..database.progress import Meter
from ..errors import AuditSealError
from .canonical import Canonical, read_canonical
from .finding import LEAVES_CHANGED, ROW_CHANGED, ROW_INSERTED, ROW_MISSING, ROWS_DIFFER, Findings, SealFinding
from .leaves import Key, Leaf, load_leaves, stream_leaves
from .merkle import MerkleTree
from .redactions import Redactions, is_redacted
from .tracks import Segment, Track, read_runs


@dataclass(frozen=True)
class Comparison:
    """Compares tables, each of its rows once.

    :ivar pruned: tables whose oldest rows may be gone.
    """

    connection: Connection
    shared: Infrastructure
    redactions: Redactions
    pruned: frozenset[str]
    meter: Meter

    def compare(self, track: Track, findings: Findings) -> None:
        """Look at all rows of one table up to where it is sealed."""
        end = track.segments[0].sealed.after
        table = _Table(track, self, findings)
        for renamed, segments in read_runs(self.connection, self.shared, track, self.redactions, findings):
            canonical = read_canonical(self.connection, track.table).renamed(renamed)
            until = max(segment.sealed.until for segment in segments)
            rows = _Rows(stream_leaves(self.connection, track.table, track.key, canonical, end, until))
            for segment in segments:
                if segment.sealed.after is not None:
                    rows.skip_to(segment.sealed.after)  # what a seal that is missing may have covered
                table.compare_segment(segment, rows, canonical)
            end = until


class _Rows:
    """The rows of a table as they are now, one after the other."""

    def __init__(self, leaves: Iterator[Leaf]) -> None:
        self._leaves = leaves
        self._next = next(leaves, None)

    def up_to(self, until: int) -> Iterator[Leaf]:
        """Those whose first key column is at most ``until``."""
        while self._next is not None and self._next[0][0] <= until:
            found, self._next = self._next, next(self._leaves, None)
            yield found

    def skip_to(self, until: int) -> None:
        for _ in self.up_to(until):
            pass


@dataclass
class _Table:
    """One table on the way through its segments.

    :ivar has_begun: one of its sealed rows was there, so that no further ones are its oldest.
    """

    track: Track
    comparison: Comparison
    findings: Findings
    has_begun: bool = False

    def compare_segment(self, segment: Segment, rows: _Rows, canonical: Canonical) -> None:
        """Compare what one seal covers: by the stored leaves, which have to fit the root, and so need no trust."""
        part = _Part(segment, Findings(self.findings.limit))
        if self._fits(part, rows.up_to(segment.sealed.until)):
            self.findings.absorb(part.findings)
        else:
            self.findings.rows += part.findings.rows
            kind = LEAVES_CHANGED if self._is_same(segment, canonical) else ROWS_DIFFER
            self.findings.add(SealFinding(kind, segment.seal, self.track.table.display))

    def _fits(self, part: _Part, present: Iterator[Leaf]) -> bool:
        """Compare all rows; false if the stored leaves are not those that were sealed."""
        segment, run = part.segment, self.comparison
        try:
            for key, then, now in _merge(load_leaves(run.connection, run.shared, segment.seal, segment.place), present):
                self._judge(part, key, then, now)
        except AuditSealError:
            for _ in present:
                pass
            return False
        return part.tree.root.hex() == segment.sealed.root and part.tree.count == segment.sealed.count

    def _is_same(self, segment: Segment, canonical: Canonical) -> bool:
        """Whether the rows are those that were sealed, by the root alone. Reads them again, as it is seldom needed."""
        sealed, tree = segment.sealed, MerkleTree()
        connection, table = self.comparison.connection, self.track.table
        for _, leaf in stream_leaves(connection, table, self.track.key, canonical, sealed.after, sealed.until):
            tree.append(leaf)
        return tree.root.hex() == sealed.root

    def _judge(self, part: _Part, key: Key, then: bytes | None, now: bytes | None) -> None:
        """One row: as it was sealed, ``None`` if it was not, and as it is, ``None`` if it is gone."""
        if then is not None:
            part.tree.append(then)
        if now is not None:
            part.findings.rows += 1
            self.comparison.meter.advance(1)
        if then == now:
            self.has_begun = True
        elif then is None:
            self._add(part, ROW_INSERTED, key)
        elif now is None:
            self._judge_missing(part, key)
        else:
            self.has_begun = True
            steps = self.comparison.redactions.get((self.track.table.display, key), ())
            if is_redacted(then, now, steps):
                part.findings.redacted += 1
            else:
                self._add(part, ROW_CHANGED, key)

    def _judge_missing(self, part: _Part, key: Key) -> None:
        table = self.track.table.display
        if table in self.comparison.pruned and not self.has_begun:
            part.findings.pruned[table] += 1
        else:
            self._add(part, ROW_MISSING, key)

    def _add(self, part: _Part, kind: str, key: Key) -> None:
        row = dict(zip(self.track.key, key, strict=False))
        part.findings.add(SealFinding(kind, part.segment.seal, self.track.table.display, row))


@dataclass
class _Part:
    """One segment: what is found in it, and the tree of its stored leaves."""

    segment: Segment
    findings: Findings
    tree: MerkleTree = field(default_factory=MerkleTree)


def _merge(stored: Iterator[Leaf], present: Iterator[Leaf]) -> Iterator[tuple[Key, bytes | None, bytes | None]]:
    """Two lists in the order of their keys as one; where a key occurs twice in one, the other has nothing beside it."""
    then, now = next(stored, None), next(present, None)
    while True:
        if then is not None and now is not None and then[0] == now[0]:
            yield then[0], then[1], now[1]
            then, now = next(stored, None), next(present, None)
        elif then is not None and (now is None or then[0] < now[0]):
            yield then[0], then[1], None
            then = next(stored, None)
        elif now is not None:
            yield now[0], None, now[1]
            now = next(present, None)
        else:
            return
