"""A reader who does what a page says, and looks whether it comes out as the page says."""

from __future__ import annotations

import argparse
import datetime
import doctest
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import URL, CursorResult, Engine, MetaData, NullPool, create_engine

from flask_pg_audit import install_audit_triggers
from tests.documentation import ROOT, Block

COMMANDS = ("flask", "curl", "echo")


class Difference(AssertionError):
    """The page says something else than what happens.

    :ivar text: the block as it should be.
    """

    def __init__(self, block: Block, text: str) -> None:
        super().__init__(f"{block.place} says\n{block.text}\nbut it is\n{text}")
        self.text = text


class Reader:
    """Follows one page, in a module ``app`` of its own."""

    def __init__(self, url: URL, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
        self._folder = folder
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        self._module = ModuleType("app")
        self._module.__file__ = str(folder / "app.py")
        monkeypatch.setitem(sys.modules, "app", self._module)
        monkeypatch.chdir(folder)
        self._apps_and_engines: list[Flask | Engine] = []
        self._result = ""
        self._exit_code = 0

    def follow(self, block: Block) -> None:
        """Do what one block says.

        :raises Difference: its output is another one.
        """
        if block.not_run is not None:
            return
        if block.generated is not None:
            _compare(block, self._generate(block.generated))
        else:
            follow = getattr(self, f"_follow_{block.language}", None)
            assert follow is not None, (
                f"{block.place}: nobody knows how to run {block.language!r}; say <!-- not run: why -->"
            )
            try:
                follow(block)
            finally:
                self._remember()

    def _remember(self) -> None:
        """After each block, since a page may give a name such as ``app`` to something else later."""
        for value in vars(self._module).values():
            if isinstance(value, (Flask, Engine)) and not any(value is known for known in self._apps_and_engines):
                self._apps_and_engines.append(value)

    def close(self) -> None:
        """Disconnect what the page connected."""
        for value in self._apps_and_engines:
            if isinstance(value, Engine):
                value.dispose()
            else:
                with value.app_context():
                    for engine in value.extensions["sqlalchemy"].engines.values():
                        engine.dispose()

    def _follow_python(self, block: Block) -> None:
        # Line breaks in front make the line numbers of a traceback those of the page.
        exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), vars(self._module))

    def _follow_pycon(self, block: Block) -> None:
        shown = []
        for example in doctest.DocTestParser().get_examples(block.text):
            got = self._answer(example.source, block)
            want = example.want
            shown.append(_prompt(example.source) + (want if _same(want, got) else got))
        _compare(block, "".join(shown))

    def _answer(self, source: str, block: Block) -> str:
        """What Python's prompt prints."""
        test = doctest.DocTest([doctest.Example(source, "")], {}, block.page.name, str(block.page), block.line, None)
        test.globs = vars(self._module)  # the constructor makes a copy
        report: list[str] = []
        runner = _Runner()
        runner.run(test, out=report.append, clear_globs=False)
        return runner.got

    def _follow_console(self, block: Block) -> None:
        shown = []
        for line, want in re.findall(r"^\$ (.*\n)((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
            got = self._run(line, block)
            shown.append(f"$ {line}" + (want if _same(want, got) else got))
        _compare(block, "".join(shown))

    def _run(self, line: str, block: Block) -> str:
        program, *arguments = shlex.split(line, comments=True)
        assert program in COMMANDS, f"{block.place}: {program} is none of {', '.join(COMMANDS)}"
        if program == "echo":
            assert arguments == ["$?"], f"{block.place}: only 'echo $?' is understood"
            return f"{self._exit_code}\n"
        app = vars(self._module)["app"]
        if program == "curl":
            return _curl(app, arguments)
        result = app.test_cli_runner().invoke(args=arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        self._exit_code = result.exit_code
        return str(result.output)

    def _follow_sql(self, block: Block) -> None:
        with self._engine.connect() as connection:
            for statement in re.split(r";$", block.text, flags=re.MULTILINE):
                if statement.strip():
                    result = connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
                    self._result = _as_psql(result) if result.returns_rows else ""

    def _follow_text(self, block: Block) -> None:
        _compare(block, self._result)

    def _follow_sh(self, block: Block) -> None:
        makefile = (ROOT / "Makefile").read_text()
        for line in block.text.splitlines():
            program, target, *_ = shlex.split(line, comments=True)
            assert program == "make" and re.search(rf"^{target}:", makefile, re.MULTILINE), f"{block.place}: {line}"

    def _generate(self, subject: str) -> str:
        kind, _, message = subject.partition(" ")
        return self._revision(message) if kind == "revision" else self._step(subject)

    def _revision(self, message: str) -> str:
        """What the revision does that Alembic wrote with this message."""
        [file] = self._folder.glob(f"migrations/versions/*_{message.replace(' ', '_')}.py")
        _, _, functions = file.read_text().partition("\ndef upgrade")
        return f"def upgrade{functions}".rstrip() + "\n"

    def _step(self, step: str) -> str:
        """One step of the installation of what the page declares, without its comment."""
        metadata: MetaData = vars(self._module)["metadata"]
        script = install_audit_triggers(metadata)
        _, found, rest = script.partition(f"\n-- {step} (missing)\n")
        assert found, f"no step {step!r} in the installation"
        text = re.split(r"\n\n(?:-- create |COMMIT;)", rest)[0]
        return "".join(f"{line.rstrip()}\n" for line in text.expandtabs(4).splitlines())


class _Runner(doctest.DocTestRunner):
    """Keeps what an example printed, an exception's last line included."""

    def __init__(self) -> None:
        super().__init__()
        self.got = ""

    def report_success(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.got = got

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.got = got

    def report_unexpected_exception(
        self, out: Any, test: doctest.DocTest, example: doctest.Example, exc_info: Any
    ) -> None:
        kind, error, _ = exc_info
        self.got = f"Traceback (most recent call last):\n  ...\n{kind.__module__}.{kind.__qualname__}: {error}\n"


def _prompt(source: str) -> str:
    first, *more = source.splitlines(keepends=True)
    return "".join([f">>> {first}", *(f"... {line}" for line in more)])


def _same(want: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(_stripped(want), _stripped(got), doctest.ELLIPSIS)


_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d+)?")


def _stripped(text: str) -> str:
    """Without what differs from run to run (times of day) or cannot be seen."""
    text = _TIME.sub("<time>", text)
    lines = (line.rstrip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line)


def _compare(block: Block, got: str) -> None:
    if not _same(block.text, got):
        raise Difference(block, got)


def _curl(app: Flask, arguments: list[str]) -> str:
    parser = argparse.ArgumentParser("curl")
    parser.add_argument("--data", "-d", action="append")
    parser.add_argument("--header", "-H", action="append", default=[])
    parser.add_argument("url")
    options = parser.parse_args(arguments)
    data = dict(pair.split("=", 1) for pair in options.data) if options.data else None
    headers = [tuple(header.split(": ", 1)) for header in options.header]
    path = options.url.removeprefix("http://localhost:5000")
    response = app.test_client().open(path, method="POST" if data else "GET", data=data, headers=headers)
    return response.text.rstrip("\n") + "\n"


def _as_psql(result: CursorResult[Any]) -> str:
    """A result as psql shows it, without the line that counts the rows."""
    names = list(result.keys())
    rows = [list(row) for row in result]
    texts = [[_cell(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    lines = [" " + " | ".join(name.center(width) for name, width in zip(names, widths, strict=True))]
    lines.append("-" + "-+-".join("-" * width for width in widths) + "-")
    for row, text in zip(rows, texts, strict=True):
        cells = zip(row, text, widths, strict=True)
        lines.append(" " + " | ".join(t.rjust(w) if _is_number(v) else t.ljust(w) for v, t, w in cells))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
