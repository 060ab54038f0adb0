"""What is wrong with the recording, for people to read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .viewer import Finding


@dataclass(frozen=True)
class Trouble:
    """Findings of one kind about one table.

    :ivar table: empty for what concerns all tables.
    :ivar whats: what was found, one by one.
    """

    code: str
    table: str
    whats: tuple[str, ...]
    why: str
    fix: str


def group_findings(findings: Iterable[Finding]) -> tuple[Trouble, ...]:
    """What has the same reason and the same way out is told once."""
    grouped: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for finding in findings:
        grouped[finding.code, finding.table, finding.why, finding.fix].append(finding.what)
    return tuple(Trouble(code, table, tuple(whats), why, fix) for (code, table, why, fix), whats in grouped.items())
