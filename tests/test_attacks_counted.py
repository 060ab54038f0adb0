"""The figures in the threat model are those of the tests that are run."""

from __future__ import annotations

import os
import re

from tests.attacks.counting import ATTACKERS, count_attacks, counted_row
from tests.documentation import ROOT

PAGE = ROOT / "docs" / "threat-model.md"


def test_the_threat_model_counts_the_attacks() -> None:
    """``UPDATE_DOCS=1`` writes them."""
    counts = count_attacks()
    assert counts.keys() == ATTACKERS.keys()
    rows = [counted_row(name, counts[name]) for name in ATTACKERS]
    rows.append(f"| **together** | **{sum(counts.values()):,}** | |")
    page = PAGE.read_text()
    table = re.compile(r"(?<=\| who attacks \| attacks tried \| where \|\n\| --- \| --- \| --- \|\n)(?:\|.*\n)+")
    if os.environ.get("UPDATE_DOCS"):
        page = table.sub("".join(f"{row}\n" for row in rows), page)
        PAGE.write_text(page)
    assert [found.splitlines() for found in table.findall(page)] == [rows]
