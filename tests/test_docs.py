"""The documentation is true: everything it shows is run.

``UPDATE_DOCS=1 pytest tests/test_docs.py`` writes what really happens into the pages; see ``tests/documentation.py``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documentation import ROOT, Block, pages, read_blocks, replace_blocks
from tests.reader import Difference, Reader
from tests.server import Database

#: What no test can run, and why.
REASONS = {
    "a crontab",
    "it installs packages",
    "it names the reader's own database",
    "it writes into the reader's own app",
    "it needs a cookie",
    "it starts a server",
    "it is a part of the reader's env.py",
    "it is no program",
}

PAGES = pages()


@pytest.mark.parametrize(
    "page",
    # The page about roles makes some.
    [pytest.param(page, marks=[pytest.mark.superuser] if page.name == "security.md" else []) for page in PAGES],
    ids=[page.name for page in PAGES],
)
def test_page(page: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(database.url(), tmp_path, monkeypatch)
    corrections: dict[Block, str] = {}
    try:
        for block in read_blocks(page):
            try:
                reader.follow(block)
            except Difference as difference:
                if "UPDATE_DOCS" not in os.environ:
                    raise
                corrections[block] = difference.text
    finally:
        reader.close()
        if corrections:
            replace_blocks(page, corrections)


def test_what_is_not_run_has_a_reason() -> None:
    assert {block.not_run for page in PAGES for block in read_blocks(page) if block.not_run} == REASONS


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_fence_is_seen(page: Path) -> None:
    """No block escapes because its fence is indented or its language is missing."""
    fences = len(re.findall(r"^\s*(?:```|~~~)", page.read_text(), re.MULTILINE))
    directives = len(re.findall(r"^```\{", page.read_text(), re.MULTILINE))
    blocks = len(re.findall(r"^```[\w-]+$", page.read_text(), re.MULTILINE))
    assert fences == 2 * (blocks + directives)


def test_the_readme_as_files_and_commands(database: Database, tmp_path: Path) -> None:
    """For real: a file, a process for each command."""
    blocks = list(read_blocks(ROOT / "README.md"))
    (tmp_path / "app.py").write_text(next(block.text for block in blocks if block.language == "python"))
    environment = {**os.environ, "DATABASE_URL": database.url().render_as_string(hide_password=False)}
    for arguments in (["init-db"], ["audit", "install"], ["audit", "status"]):
        command = [sys.executable, "-m", "flask", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert "installed" in done.stdout
