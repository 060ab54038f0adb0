"""How many attacks there are: the tests of this folder as pytest collects them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping

from tests.documentation import ROOT

#: The module of each row of the table in ``docs/threat-model.md``, by who attacks.
ATTACKERS: Mapping[str, str] = {
    "test_application_user": "a user of the application",
    "test_browser": "whoever sends requests",
    "test_application_role": "SQL as the application's role",
    "test_table_owner": "the owner of an audited table",
    "test_command_line": "arguments of `flask audit`",
    "test_declarations": "names in the models and the database",
}


def count_attacks() -> Counter[str]:
    """By module; in a process of its own, for whoever counts is being run by pytest as well."""
    folder = ROOT / "tests" / "attacks"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:xdist", str(folder)]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    counts = re.findall(r"^\S*/(\w+)\.py: (\d+)$", output, re.MULTILINE)
    return Counter({name: int(number) for name, number in counts})


def counted_row(name: str, number: int) -> str:
    """The row of the table."""
    return f"| {ATTACKERS[name]} | {number:,} | `tests/attacks/{name}.py` |"
