"""The documentation's pages as programs: what a reader would type, and what the page says comes of it.

A page is followed from top to bottom, in a database and a module of its own:

``python``
    is executed. ``DATABASE_URL`` is the test's database.
``pycon``
    is a doctest.
``console``
    is a shell: ``flask …`` runs a command of the page's ``app``, ``curl …`` asks it for a page, ``echo $?`` is the exit
    code of the command before. What they print is compared.
``sql``
    is executed on the page's database. A ``text`` block behind it is the result of the last statement, as psql writes
    it.
``sh``
    must be targets of the Makefile.

In expected output ``...`` stands for anything. Comments, which a reader does not see, say the rest::

    <!-- run
    Python that is executed here
    -->

    <!-- generated: create function public_product_audit -->
    the next block is that step of install_audit_triggers(metadata)

    <!-- generated: revision add colour -->
    the next block is what the revision with that message does, as Alembic wrote it

    <!-- not run: reason -->
    the next block
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

_PIECE = re.compile(
    r"^<!-- (?P<kind>run|generated|not run):?\s(?P<comment>.*?)-->$"
    r"|^```(?P<language>[\w-]+)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    :ivar line: where its text begins in the page, from 1.
    :ivar not_run: why it is not run; ``None`` if it is.
    :ivar generated: the step of the installation, or the revision, that it shows; ``None`` for what a person wrote.
    """

    page: Path
    line: int
    language: str
    text: str
    not_run: str | None = None
    generated: str | None = None

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The README and everything in ``docs/`` that a reader sees."""
    return [ROOT / "README.md", ROOT / "CHANGES.md", *sorted((ROOT / "docs").glob("*.md"))]


def read_blocks(page: Path) -> Iterator[Block]:
    """The blocks of ``page``, hidden ones included, in order."""
    text = page.read_text()
    remarks: dict[str, str] = {}
    for piece in _PIECE.finditer(text):
        kind = piece["kind"]
        if kind == "run":
            yield Block(page, _line(text, piece.start("comment")), "python", piece["comment"])
        elif kind:
            remarks[kind] = piece["comment"].strip()
        else:
            line = _line(text, piece.start("text"))
            yield Block(page, line, piece["language"], piece["text"], remarks.get("not run"), remarks.get("generated"))
            remarks = {}


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def prose(page: Path) -> str:
    """``page`` without its comments."""
    return re.sub(r"<!--.*?-->", "", page.read_text(), flags=re.DOTALL)


def replace_blocks(page: Path, texts: Mapping[Block, str]) -> None:
    """Write ``texts`` into ``page`` in place of what its blocks say."""
    lines = page.read_text().splitlines(keepends=True)
    for block in sorted(texts, key=lambda block: block.line, reverse=True):
        start = block.line - 1
        lines[start : start + len(block.text.splitlines())] = texts[block].splitlines(keepends=True)
    page.write_text("".join(lines))
