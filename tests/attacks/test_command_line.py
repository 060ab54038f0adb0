"""Whoever fills in the arguments of ``flask audit``: a script that hands on what it was given, say."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from sqlalchemy import text

from flask_pg_audit.redaction.record import REASON
from flask_pg_audit.web.commands import audit_cli
from tests.attacks.payloads import TEXTS
from tests.blog import Blog, blog
from tests.server import Database

PATIENCE = 20

#: What a shell hands on, the one that is no UTF-8 included; U+0000 cannot be an argument.
KINDS = (
    "quote",
    "identifier",
    "parameters",
    "markup",
    "line breaks",
    "lone surrogate",
    "direction",
    "path",
    "big number",
    "empty",
    "long",
)


@pytest.fixture(scope="module")
def site(shared_database: Database) -> Iterator[Blog]:
    with blog(shared_database.url()) as made:
        with made.app.app_context():
            made.db.session.execute(text("CREATE TABLE canary (id int)"))
            made.db.session.add(made.Post(title="first"))
            made.db.session.commit()
        yield made
        assert made.rows("SELECT count(*), to_regclass('canary') IS NOT NULL FROM post_audit") == [(1, True)]
        check = made.app.test_cli_runner().invoke(args=["audit", "check"])
        assert check.output == "everything is recorded as declared\n"


def parameters() -> Iterator[tuple[str, str]]:
    """Every argument and every option with a value, of every command."""
    for name, command in audit_cli.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                yield name, str(parameter.name)
            elif isinstance(parameter, click.Option) and not parameter.is_flag:
                yield name, parameter.opts[0]


#: What a command asks for besides.
BESIDES = {"redact": {"--columns": "title", "--keep-live": None, "--dry-run": None}}


def command_line(name: str, parameter: str, value: str) -> list[str]:
    arguments = [each for each in audit_cli.commands[name].params if isinstance(each, click.Argument)]
    good = {"table": "post", "tables": "post", "key": "1"}
    given = [value if each.name == parameter else good[str(each.name)] for each in arguments]
    option = [f"{parameter}={value}"] if parameter.startswith("-") else []
    besides = {key: text_ for key, text_ in BESIDES.get(name, {}).items() if key != parameter}
    option += [key if text_ is None else f"{key}={text_}" for key, text_ in besides.items()]
    return ["audit", name, *option, "--", *given]


def is_attack(name: str, parameter: str, payload: str) -> bool:
    """A path is what a file's option asks for, and a number what that of tries does: then it is done."""
    is_path = parameter in ("--output", "--to") and payload == "path"
    return not is_path and (name, parameter, payload) != ("uninstall", "--tries", "big number")


#: Each argument with every other kind, the next one with the others.
ATTACKS = [
    (*where, payload)
    for number, where in enumerate(parameters())
    for payload in KINDS[number % 2 :: 2]
    if is_attack(*where, payload)
]


@pytest.mark.parametrize(("name", "parameter", "payload"), ATTACKS, ids=lambda part: part)
def test_an_argument_is_a_value_or_one_readable_error(
    site: Blog, name: str, parameter: str, payload: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback, no control character on the terminal, no file but in the folder that was meant."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    began = time.monotonic()
    result = site.app.test_cli_runner().invoke(args=command_line(name, parameter, TEXTS[payload]))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in (0, 1, 2) and "Traceback" not in result.output
    assert not {"\x1b", "\u202e", "\0", "\x07"} & set(result.output)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("payload", KINDS)
def test_the_reason_of_a_redaction_is_kept_as_it_is(site: Blog, payload: str) -> None:
    reason = TEXTS[payload]
    arguments = ["redact", "--columns=title", "--keep-live", "--yes", f"--reason={reason}", "post", "1"]
    result = site.app.test_cli_runner().invoke(args=["audit", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert not {"\x1b", "\u202e", "\0", "\x07"} & set(result.output)
    kept = [each for (each,) in site.rows("SELECT reason FROM audit_maintenance")]
    assert set(kept) <= {*(TEXTS[kind].strip() for kind in KINDS), *TEXTS.values(), REASON}
    assert site.rows("SELECT count(*), to_regclass('canary') IS NOT NULL FROM post_audit") == [(1, True)]
