"""Every public name, option, command, configuration key and environment variable is documented."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import click
import pytest

import flask_pg_audit
from flask_pg_audit import FlaskAudit, history, seal
from flask_pg_audit.context import statements
from flask_pg_audit.database import status
from flask_pg_audit.database.check import WHY
from flask_pg_audit.database.differences import MEANING, REPAIRABLE, ColumnDifference, Difference, Verified
from flask_pg_audit.declare.naming import DEFAULT_CONVENTIONS
from flask_pg_audit.declare.options import RESERVED_SETTINGS, AuditOptions
from flask_pg_audit.history import ChangeFilter
from flask_pg_audit.history.filter import Conditions
from flask_pg_audit.seal import SealFinding, VerifiedSeals
from flask_pg_audit.seal.finding import MEANING as SEAL_MEANING
from flask_pg_audit.web.commands import audit_cli
from flask_pg_audit.web.config import AuditConfig
from flask_pg_audit.web.metadata import REQUEST_KEYS
from tests.documentation import ROOT, pages, prose


def page(name: str) -> str:
    return prose(ROOT / "docs" / f"{name}.md")


def commands() -> Iterator[tuple[str, str]]:
    """Each command of ``flask audit`` with each of its options."""
    for name, command in audit_cli.commands.items():
        yield name, ""
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter.opts[0]


@pytest.mark.parametrize("name", flask_pg_audit.__all__)
def test_public_names(name: str) -> None:
    assert re.search(rf"^\.\. auto\w+:: flask_pg_audit\.{name}$", page("api"), re.MULTILINE)
    assert inspect.getdoc(getattr(flask_pg_audit, name))


@pytest.mark.parametrize("name", [name for name in dir(FlaskAudit) if not name.startswith("_")])
def test_methods_of_the_extension(name: str) -> None:
    assert re.search(rf":members: .*\b{name}\b", page("api"))
    assert inspect.getdoc(inspect.getattr_static(FlaskAudit, name))


def test_the_history_package() -> None:
    """The page shows all that the package offers, with what it says of itself."""
    assert ".. automodule:: flask_pg_audit.history" in page("api")
    for name in history.__all__:
        assert inspect.getdoc(getattr(history, name)), name


def test_the_conditions_that_are_typed_are_those_of_the_filter() -> None:
    assert set(Conditions.__annotations__) == {field.name for field in fields(ChangeFilter)}


@pytest.mark.parametrize("condition", [field.name for field in fields(ChangeFilter)])
def test_conditions_of_the_feed(condition: str) -> None:
    assert f"`{condition}=" in page("history")
    assert f":ivar {condition}:" in (ChangeFilter.__doc__ or "")


@pytest.mark.parametrize("option", [field.name for field in fields(AuditOptions)])
def test_options(option: str) -> None:
    assert f"| `{option}` |" in page("options")
    assert f":ivar {option}:" in (AuditOptions.__doc__ or "")


@pytest.mark.parametrize("convention", DEFAULT_CONVENTIONS)
def test_naming_conventions(convention: str) -> None:
    assert f"| `{convention}` | `{DEFAULT_CONVENTIONS[convention]}` |" in page("options")


@pytest.mark.parametrize("name", sorted(RESERVED_SETTINGS))
def test_reserved_settings(name: str) -> None:
    assert f"`{name}`" in page("options")


@pytest.mark.parametrize("field", fields(AuditConfig), ids=lambda field: field.name)
def test_configuration_keys(field: Field[Any]) -> None:
    shown = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
    assert f"| `AUDIT_{field.name.upper()}` | `{shown}` |" in page("configuration")
    assert f":ivar {field.name}:" in (AuditConfig.__doc__ or "")


@pytest.mark.parametrize(("command", "option"), list(commands()))
def test_commands_and_their_options(command: str, option: str) -> None:
    section = page("commands").split(f"## flask audit {command}\n")[1].split("\n## ")[0]
    assert option in section


def test_states() -> None:
    """Every word that ``flask audit status`` may say of a table."""
    words = set(re.findall(r'"(\w+)"', inspect.getsource(status._state)))
    assert len(words) >= 4
    for word in words:
        assert f"| `{word}` |" in page("commands")


@pytest.mark.parametrize("key", [field.name for field in fields(status.TableStatus)])
def test_keys_of_the_status_in_json(key: str) -> None:
    assert f"`{key}`" in page("commands")


def test_findings_and_why_they_matter() -> None:
    section = page("commands").split("## flask audit check\n")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| ([^|]+) \| [^|]+ \|$", section, re.MULTILINE)) == WHY


def test_kinds_of_differences() -> None:
    section = page("commands").split("## flask audit verify\n")[1].split("\n## ")[0]
    shown = {
        kind: (meaning, way_out)
        for kind, meaning, way_out in re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)
    }
    assert {kind: meaning for kind, (meaning, _) in shown.items()} == MEANING
    assert {kind for kind, (_, way_out) in shown.items() if way_out != "cannot be repaired"} == REPAIRABLE


@pytest.mark.parametrize(
    "key", [field.name for field in (*fields(Verified), *fields(Difference), *fields(ColumnDifference))]
)
def test_keys_of_the_differences_in_json(key: str) -> None:
    section = page("commands").split("## flask audit verify\n")[1].split("\n## ")[0]
    assert f"`{key}`" in section


def test_kinds_of_findings_of_seals() -> None:
    section = page("seals").split("## When something is found\n")[1].split("\n## ")[0]
    assert dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|$", section, re.MULTILINE)) == SEAL_MEANING


@pytest.mark.parametrize("key", [field.name for field in (*fields(VerifiedSeals), *fields(SealFinding))])
def test_keys_of_the_findings_of_seals_in_json(key: str) -> None:
    assert f"`{key}`" in page("seals")


def test_the_seal_package() -> None:
    assert ".. automodule:: flask_pg_audit.seal" in page("api")
    for name in seal.__all__:
        assert inspect.getdoc(getattr(seal, name)), name


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


def test_tests_that_are_named_exist() -> None:
    sources = "".join(source.read_text() for source in (ROOT / "tests").glob("test_*.py"))
    for name in re.findall(r"`(test_\w+)`", page("traps")):
        assert f"def {name}(" in sources, name
    for path in re.findall(r"`(tests/\w+\.py)`", "".join(map(prose, pages()))):
        assert (ROOT / path).is_file(), path


def test_sources_that_are_named_exist() -> None:
    text = "".join(map(prose, pages()))
    paths = set(re.findall(r"`((?:flask_pg_audit|tools|docs)/[\w/.*]+)`", text))
    assert len(paths) >= 3
    for path in paths:
        assert list(ROOT.glob(path)), path
    assert "`HARMLESS_FUNCTIONS`" in text and statements.HARMLESS_FUNCTIONS


def test_every_module_says_what_it_is_for() -> None:
    for module in (ROOT / "flask_pg_audit").rglob("*.py"):
        assert module.read_text().startswith('"""'), module


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(re.findall(r"^([\w-]+)$", page("index"), re.MULTILINE))
    assert {each.stem for each in (ROOT / "docs").glob("*.md")} - {"index"} == listed


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("source", pages(), ids=lambda source: source.name)
def test_links_lead_somewhere(source: Path) -> None:
    without_blocks = re.sub(r"^```.*?^```$", "", prose(source), flags=re.DOTALL | re.MULTILINE)
    for link in LINK.findall(without_blocks):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (source.parent / path) if path else source
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}, link


@pytest.mark.parametrize("source", sorted((ROOT / "docs").glob("*.md")), ids=lambda source: source.stem)
def test_each_page_begins_with_what_its_reader_can_do(source: Path) -> None:
    if source.stem != "changes":
        assert re.match(r"# .+\n\nAfter (?:this page|these pages) you ", source.read_text())


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md", "changes.md"}
    assert [name for name in sorted(pages) if f"(docs/{name})" not in readme] == []
