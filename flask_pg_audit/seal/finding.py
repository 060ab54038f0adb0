"""What is wrong with sealed history, and how much of it there is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

SEAL_MISSING = "seal-missing"
SEAL_CHANGED = "seal-changed"
SIGNATURE_MISSING = "signature-missing"
SIGNATURE_WRONG = "signature-wrong"
KEY_UNKNOWN = "key-unknown"
TABLE_MISSING = "table-missing"
COLUMN_MISSING = "column-missing"
ROW_CHANGED = "row-changed"
ROW_MISSING = "row-missing"
ROW_INSERTED = "row-inserted"
ROWS_DIFFER = "rows-differ"
LEAVES_CHANGED = "leaves-changed"

#: What each kind of finding means; the documentation lists the same.
MEANING = {
    SEAL_MISSING: "a seal of the chain is not in the database",
    SEAL_CHANGED: "a seal is not what it was when it was made",
    SIGNATURE_MISSING: "a seal is not signed, and no signed one vouches for it",
    SIGNATURE_WRONG: "the signature was not made with the key that the seal names",
    KEY_UNKNOWN: "the key that the seal names was not given, so its signature says nothing",
    TABLE_MISSING: "a sealed table is not there any more",
    COLUMN_MISSING: "a sealed column is not there any more, so rows that had a value in it differ",
    ROW_CHANGED: "the row is not what was sealed",
    ROW_MISSING: "the row was sealed, and is not there",
    ROW_INSERTED: "the row is in the sealed part, and was not there when that was sealed",
    ROWS_DIFFER: "rows are not what was sealed; which ones cannot be told, as their stored hashes were changed as well",
    LEAVES_CHANGED: "the stored hashes of rows are not those that were sealed; the rows are",
}


@dataclass(frozen=True)
class SealFinding:
    """One finding.

    :ivar kind: ``row-changed`` and so on; stable.
    :ivar seal: the number of the seal.
    :ivar table: the table; ``None`` where a seal itself is meant.
    :ivar row: the key columns of the row; empty where no single row is meant.
    :ivar key: of the record that the row is about, as it is there now; empty where it is not.
    :ivar detail: what else there is to say.

    .. versionadded:: 0.1
    """

    kind: str
    seal: int
    table: str | None = None
    row: Mapping[str, int] = field(default_factory=dict)
    key: Mapping[str, str | None] = field(default_factory=dict)
    detail: str = ""

    def __str__(self) -> str:
        if self.table is None:
            subject = f"seal {self.seal}"
        else:
            row = f" ({_pairs(self.row)})" if self.row else ""
            key = f" of {_pairs(self.key)}" if self.key else ""
            subject = f"{self.table}{row}{key}, seal {self.seal}"
        return f"{self.kind}: {subject}" + (f": {self.detail}" if self.detail else "")


def _pairs(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())


@dataclass(frozen=True)
class VerifiedSeals:
    """What the seals say of the history as it is now.

    :ivar seals: how many there are, those included that only a copy has.
    :ivar rows: how many rows were compared.
    :ivar counts: how many findings of each kind there are; kinds that there are none of are left out.
    :ivar findings: the first of each kind and table.
    :ivar redacted: how many rows differ by recorded redactions, and by these only.
    :ivar pruned: by table, how many of the oldest rows are gone where that was to be expected.
    :ivar notes: what is in order and worth knowing: tables and columns that were renamed.

    .. versionadded:: 0.1
    """

    seals: int
    rows: int
    counts: Mapping[str, int]
    findings: tuple[SealFinding, ...]
    redacted: int = 0
    pruned: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass
class Findings:
    """Collects them: all are counted, the first ``limit`` of each kind and table kept."""

    limit: int
    rows: int = 0
    redacted: int = 0
    pruned: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _kept: dict[tuple[str, str | None], list[SealFinding]] = field(default_factory=lambda: defaultdict(list))

    def add(self, finding: SealFinding) -> None:
        """Count it, and keep it if there is room."""
        self._counts[finding.kind] += 1
        self._keep([finding])

    def absorb(self, other: Findings) -> None:
        """Add what another one has collected."""
        for kept in other._kept.values():
            self._keep(kept)
        self._counts.update(other._counts)
        self.rows += other.rows
        self.redacted += other.redacted
        self.pruned.update(other.pruned)

    def _keep(self, found: list[SealFinding]) -> None:
        kept = self._kept[found[0].kind, found[0].table]
        kept.extend(found[: max(self.limit - len(kept), 0)])

    def of_table(self, table: str) -> list[SealFinding]:
        """Those that are kept of one table."""
        return [finding for (_, name), kept in self._kept.items() if name == table for finding in kept]

    def replace(self, old: SealFinding, new: SealFinding) -> None:
        """Say more of one that is kept."""
        kept = self._kept[old.kind, old.table]
        kept[kept.index(old)] = new

    def result(self, seals: int) -> VerifiedSeals:
        kept = tuple(f for kind in MEANING for (k, _), found in self._kept.items() if k == kind for f in found)
        counts = {kind: self._counts[kind] for kind in MEANING if self._counts[kind]}
        pruned = {table: count for table, count in self.pruned.items() if count}
        return VerifiedSeals(seals, self.rows, counts, kept, self.redacted, pruned, tuple(self.notes))
