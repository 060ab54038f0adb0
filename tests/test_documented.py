"""Every public name, option, command, configuration key and environment variable is documented."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

import flask_pg_audit
from flask_pg_audit import FlaskAudit
from flask_pg_audit.declare.naming import DEFAULT_CONVENTIONS
from flask_pg_audit.declare.options import AuditOptions
from flask_pg_audit.web.commands import audit_cli
from flask_pg_audit.web.config import AuditConfig
from flask_pg_audit.web.metadata import REQUEST_KEYS

ROOT = Path(__file__).parent.parent


def page(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text()


def commands() -> Iterator[tuple[str, str]]:
    """Each command of ``flask audit`` with each of its options."""
    for name, command in audit_cli.commands.items():
        yield name, ""
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter.opts[0]


@pytest.mark.parametrize("name", flask_pg_audit.__all__)
def test_public_names(name: str) -> None:
    assert f"`{name}" in page("api")
    assert inspect.getdoc(getattr(flask_pg_audit, name))


@pytest.mark.parametrize("name", [name for name in vars(FlaskAudit) if not name.startswith("_")])
def test_methods_of_the_extension(name: str) -> None:
    assert f"`{name}" in page("api")
    assert inspect.getdoc(inspect.getattr_static(FlaskAudit, name))


@pytest.mark.parametrize("option", [field.name for field in fields(AuditOptions)])
def test_options(option: str) -> None:
    assert f"| `{option}` |" in page("options")
    assert f":ivar {option}:" in (AuditOptions.__doc__ or "")


@pytest.mark.parametrize("convention", DEFAULT_CONVENTIONS)
def test_naming_conventions(convention: str) -> None:
    assert f"| `{convention}` |" in page("options")


@pytest.mark.parametrize("field", fields(AuditConfig), ids=lambda field: field.name)
def test_configuration_keys(field: object) -> None:
    name, default = field.name, field.default  # type: ignore[attr-defined]
    shown = f'"{default}"' if isinstance(default, str) else str(default)
    assert f"| `AUDIT_{name.upper()}` | `{shown}` |" in page("configuration")
    assert f":ivar {name}:" in (AuditConfig.__doc__ or "")


@pytest.mark.parametrize(("command", "option"), list(commands()))
def test_commands_and_their_options(command: str, option: str) -> None:
    section = page("commands").split(f"## flask audit {command}\n")[1].split("\n## ")[0]
    assert option in section


@pytest.mark.parametrize("key", [*REQUEST_KEYS, "request_id", "trace_id", "span_id", "os_user"])
def test_metadata_keys(key: str) -> None:
    assert f"`{key}`" in page("who-did-it")


def test_environment_variables() -> None:
    sources = [*(ROOT / "tests").glob("*.py"), *(ROOT / "tools").glob("*.py")]
    used = {
        name for source in sources for name in re.findall(r'"(AUDIT_(?:TEST_\w+|POSTGRES_BIN))"', source.read_text())
    }
    assert len(used) >= 4
    for name in used:
        assert f"`{name}`" in page("contributing")


def test_every_module_says_what_it_is_for() -> None:
    for module in (ROOT / "flask_pg_audit").rglob("*.py"):
        assert module.read_text().startswith('"""'), module
