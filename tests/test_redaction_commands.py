"""``flask audit redact`` and ``rotate-mask-key``, and how the pages and the API show masks and what was removed."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, Integer, Table, Text

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers, mask
from tests.capture import rows, run
from tests.server import Database


@dataclass
class Site:
    app: Flask
    db: SQLAlchemy
    client: FlaskClient
    engine: Engine

    def audit(self, *args: str, **kwargs: Any) -> Result:
        result = self.app.test_cli_runner().invoke(args=["audit", *args], **kwargs)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def text(self, url: str) -> str:
        answer = self.client.get(url)
        assert answer.status_code == 200, answer.text
        return " ".join(html.unescape(re.sub("<[^>]+>", " ", answer.text)).split())


@pytest.fixture
def site(database: Database, engine: Engine) -> Iterator[Site]:
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), TESTING=True)
    db = SQLAlchemy(app)
    audit = FlaskAudit(app, db)
    audit.access_loader(lambda: True)
    Table(
        "person",
        db.metadata,
        Column("id", Integer, primary_key=True),
        Column("name", Text),
        Column("email", Text),
        Column("iban", Text),
        info=audited(mask={"iban": mask.keyed()}),
    )
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
        yield Site(app, db, app.test_client(), engine)
        db.engine.dispose()
    run(engine, "SELECT 1")


def fill(site: Site) -> None:
    run(
        site.engine,
        "INSERT INTO person VALUES (1, 'Ann', 'ann@example.org', 'DE00')",
        "UPDATE person SET name = 'Amy' WHERE id = 1",
        "DELETE FROM person WHERE id = 1",
    )


def test_redact(site: Site) -> None:
    fill(site)
    command = ["redact", "person", "1", "--columns", "email, name", "--reason", "request 17"]
    assert (
        site.audit(*command, "--dry-run").output == "person (id=1): 3 rows would be redacted: email in 3, name in 3\n"
    )
    assert rows(site.engine, "SELECT count(email) FROM person_audit") == [(3,)]
    asked = site.audit(*command, input="n\n")
    assert asked.exit_code == 1
    assert "Remove them for good? [y/N]: n" in asked.output
    assert rows(site.engine, "SELECT count(email) FROM person_audit") == [(3,)]
    assert site.audit(*command, "--yes").output == "person (id=1): 3 rows redacted: email in 3, name in 3\n"
    assert rows(site.engine, "SELECT count(email), count(name), count(iban) FROM person_audit") == [(0, 0, 3)]
    again = site.audit(*command, "--yes")
    assert again.output == "person (id=1): nothing to redact: no recorded change has a value there\n"
    assert again.exit_code == 0
    [(user, reason)] = rows(site.engine, "SELECT DISTINCT username, reason FROM audit_redaction")
    assert reason == "request 17"
    assert user


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["redact", "people", "1", "--columns", "email"], 1, "no audited table is called 'people'; there are: person"),
        (["redact", "person", "7", "--columns", "email"], 1, "person 7 has no history, so there is nothing to redact"),
        (["redact", "person", "x", "--columns", "email"], 1, "'x' is no int, as person.id is"),
        (["redact", "person", "1", "--columns", "mail"], 1, "has no column 'mail'; it has id, name, email, iban"),
        (["redact", "person", "1", "--columns", "id"], 1, "'id' is of the primary key of 'person'"),
        (["redact", "person", "1", "--columns", ","], 1, "say which columns are to be redacted"),
        (["redact", "person", "1"], 2, "give KEY and --columns, or --unmasked"),
        (["redact", "person", "1", "--columns", "email", "--unmasked"], 2, "give KEY and --columns, or --unmasked"),
    ],
)
def test_each_mistake_is_one_line(site: Site, arguments: list[str], code: int, message: str) -> None:
    fill(site)
    result = site.audit(*arguments, "--yes")
    assert result.exit_code == code
    assert message in result.output
    assert "Traceback" not in result.output
    assert rows(site.engine, "SELECT count(email) FROM person_audit") == [(3,)]


def test_searches_are_redacted_with_it(site: Site) -> None:
    fill(site)
    site.text("/audit/?q=example.org")
    assert "example.org" in str(rows(site.engine, "SELECT query FROM audit_view"))
    result = site.audit("redact", "person", "1", "--columns", "email", "--views", "Example.Org", "--yes")
    assert result.output.splitlines() == [
        "person (id=1): 3 rows redacted: email in 3",
        "audit_view: 1 row redacted: query in 1",
    ]
    assert "example.org" not in str(rows(site.engine, "SELECT query FROM audit_view"))
    assert "redacted" in site.text("/audit/views") or site.audit("views").exit_code == 0


def test_rotate_mask_key(site: Site) -> None:
    fill(site)
    output = site.audit("rotate-mask-key").output
    found = re.fullmatch("masks begin with ([0-9a-f]{8}) now\n", output)
    assert found, output
    fill(site)
    [(newest,)] = rows(site.engine, "SELECT iban FROM person_audit ORDER BY audit_id DESC LIMIT 1")
    assert newest.startswith(f"{found[1]}:")
    site.audit("rotate-mask-key", "--forget")
    assert rows(site.engine, "SELECT count(*) FROM audit_mask_key") == [(1,)]


def test_pages_show_masks_and_what_was_removed(site: Site) -> None:
    fill(site)
    site.audit("redact", "person", "1", "--columns", "email", "--yes")
    page = site.client.get("/audit/record?table=person&key=1").text
    assert '<span class="fpa-redacted">redacted</span>' in page
    assert '<span class="fpa-masked">masked</span>' in page
    assert "example.org" not in page
    changes = site.client.get("/audit/api/record?table=person&key=1").get_json()["changes"]
    assert [change["redacted"] for change in changes] == [["email"]] * 3
    assert [change["masked"] for change in changes] == [["iban"]] * 3
    assert all("email" not in (change["new"] or change["old"]) for change in changes)
    run(site.engine, "INSERT INTO person VALUES (1, 'Eve', 'eve@example.org', NULL)")
    run(site.engine, "UPDATE person SET email = 'eva@example.org'")
    assert "from eve@example.org to eva@example.org" in site.text("/audit/record?table=person&key=1")


def test_terminal_and_export_show_masks_and_what_was_removed(site: Site) -> None:
    fill(site)
    site.audit("redact", "person", "1", "--columns", "email", "--yes")
    output = site.audit("history", "person", "1").output
    assert output.count("email  redacted") == 3
    assert "masked: iban" in output
    lines = site.audit("export", "--format", "ndjson").output.splitlines()
    exported = [json.loads(line) for line in lines]
    assert [(change["masked"], change["redacted"]) for change in exported] == [(["iban"], ["email"])] * 3
    assert "example.org" not in "".join(lines)
    assert site.audit("verify").exit_code == 0
    assert site.audit("check").output.strip() != ""


def test_seals_stay_verifiable(site: Site) -> None:
    fill(site)
    assert site.audit("seal").exit_code == 0
    site.audit("redact", "person", "1", "--columns", "email", "--yes")
    result = site.audit("verify", "--seals")
    assert result.exit_code == 0
    assert "3 rows were redacted, and are as they were left" in result.output
