"""``flask audit seal`` and ``flask audit verify --seals`` as a person, or a scheduled job, sees them."""

from __future__ import annotations

import builtins
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_pg_audit import AuditConfigError, FlaskAudit, audited
from flask_pg_audit.seal import read_key
from tests.blog import Blog, blog
from tests.server import Database, DatabaseServer
from tests.tamper import tamper
from tests.test_seal_tampering import pem, public_pem

SECRET = "s" * 32


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_SEAL_KEY=SECRET) as made:
        post(made, "first")
        yield made


def post(site: Blog, title: str) -> None:
    with site.app.app_context():
        site.db.session.add(site.Post(title=title))
        site.db.session.commit()


def falsify(site: Blog, *statements: str) -> None:
    with site.app.app_context():
        tamper(site.db.engine, *statements)


def run(app: Flask, *args: object) -> Result:
    return app.test_cli_runner().invoke(args=["audit", *map(str, args)])


def verify(app: Flask, *args: object) -> tuple[int, list[str]]:
    result = run(app, "verify", "--seals", *args)
    return result.exit_code, result.output.splitlines()


def test_seal_says_what_it_did(site: Blog) -> None:
    result = run(site.app, "seal")
    key = read_key(SECRET, "").id
    assert re.fullmatch(rf"seal 1: 2 rows, hash [0-9a-f]{{64}}, signed with {key}\n", result.output)
    assert run(site.app, "seal").output == "nothing to seal: nothing is new\n"
    assert run(site.app, "seal", "--heartbeat").output.startswith("seal 2: 0 rows, hash ")
    assert verify(site.app) == (0, ["nothing differs: 2 rows are as 2 seals say"])


def test_verify_says_what_is_wrong_and_fails(site: Blog) -> None:
    post(site, "second")
    run(site.app, "seal")
    falsify(site, "UPDATE post_audit SET title = 'forged'", "DELETE FROM audit_transaction WHERE id = 2")
    assert verify(site.app, "--limit", 1) == (
        1,
        [
            "row-changed: post_audit (audit_transaction_id=1, audit_id=1) of id=1, seal 1",
            "row-missing: audit_transaction (id=2), seal 1",
            "row-changed: 1 more",
        ],
    )
    status, lines = verify(site.app, "--json")
    [found] = json.loads("\n".join(lines))
    assert (status, found["bind"], found["seals"], found["rows"]) == (1, None, 1, 3)
    assert found["counts"] == {"row-changed": 2, "row-missing": 1}
    assert found["findings"][0] == {
        "kind": "row-changed",
        "seal": 1,
        "table": "post_audit",
        "row": {"audit_transaction_id": 1, "audit_id": 1},
        "key": {"id": "1"},
        "detail": "",
    }


def test_copies_of_the_seals(site: Blog, tmp_path: Path) -> None:
    """What was made while nobody wrote the file is in it after the next run, and the file is only appended to."""
    path = tmp_path / "seals"
    run(site.app, "seal", "--to", path)
    before = path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    for title in ("second", "third"):
        post(site, title)
        run(site.app, "seal")
    assert run(site.app, "seal", "--to", path).output == "nothing to seal: nothing is new\n"
    assert path.read_bytes().startswith(before) and path.read_bytes().count(b"\n") == 3
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == [1, 2, 3]
    assert verify(site.app, "--from", path) == (0, ["nothing differs: 6 rows are as 3 seals say"])
    falsify(site, "DELETE FROM audit_seal WHERE id = 3", "DELETE FROM audit_seal_leaves WHERE seal_id = 3")
    assert verify(site.app)[0] == 0
    assert verify(site.app, "--from", path)[1][0] == "seal-missing: seal 3: it was deleted; there is a copy of it"
    result = run(site.app, "seal", "--to", path)
    assert "ends with seal 3, and that of the database is another one" in result.output
    assert result.exit_code == 1


def test_one_line_of_json(site: Blog) -> None:
    result = run(site.app, "seal", "--json")
    assert result.output.count("\n") == 1 and " " not in result.output.strip()
    assert json.loads(result.output)["tables"][0]["name"] == "audit_transaction"
    assert run(site.app, "seal", "--to", "-").output == ""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}\n", r"line 1: this is no seal"),
        (b"nonsense\n", r"line 1: "),
        (None, r"cannot be read: No such file"),
    ],
)
def test_a_file_of_something_else(site: Blog, tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "seals"
    if content is not None:
        path.write_bytes(content)
    run(site.app, "seal")
    status, lines = verify(site.app, "--from", path)
    assert status == 1 and re.match(rf"Error: {path}.*{message}", lines[0])


def test_a_line_that_was_not_written_to_its_end(site: Blog, tmp_path: Path) -> None:
    path = tmp_path / "seals"
    run(site.app, "seal", "--to", path)
    path.write_bytes(path.read_bytes().rstrip())
    assert "the last line of" in run(site.app, "seal", "--heartbeat", "--to", path).output
    assert verify(site.app)[1] == ["nothing differs: 2 rows are as 2 seals say"], "the seal itself was made"
    unwritable = run(site.app, "seal", "--heartbeat", "--to", tmp_path / "nowhere" / "seals")
    assert (
        "cannot be written: No such file or directory; the seal is in the database, and the next" in unwritable.output
    )


def test_keys_in_files_and_old_ones(site: Blog, tmp_path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    signing, public = tmp_path / "key.pem", tmp_path / "key.pub"
    signing.write_bytes(pem(private))
    public.write_bytes(public_pem(private))
    run(site.app, "seal")
    assert "signed with ed25519:" in run(site.app, "seal", "--heartbeat", "--key-file", signing).output
    status, [line] = verify(site.app)
    assert status == 1 and line.startswith("key-unknown: seal 2: it names ed25519:")
    assert verify(site.app, "--key-file", public)[0] == 0
    result = run(site.app, "seal", "--heartbeat", "--key-file", public)
    assert "is a public one: it verifies, and signs nothing" in result.output
    assert run(site.app, "seal", "--key-file", tmp_path / "none").output.startswith("Error: the key file ")
    with blog(site.app.config["SQLALCHEMY_DATABASE_URI"], install=False, AUDIT_SEAL_KEY_FILE=str(signing)) as other:
        assert verify(other.app)[1][0].startswith("key-unknown: seal 1: it names hmac-sha256:")
        old: dict[str, Any] = {"AUDIT_SEAL_KEY_FILE": str(signing), "AUDIT_SEAL_OLD_KEYS": [SECRET, public.read_text()]}
    with blog(site.app.config["SQLALCHEMY_DATABASE_URI"], install=False, **old) as other:
        assert verify(other.app) == (0, ["nothing differs: 2 rows are as 2 seals say"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"SEAL_KEY": 7}, "AUDIT_SEAL_KEY must be a str or bytes, not 'int'"),
        ({"SEAL_KEY_FILE": ""}, "AUDIT_SEAL_KEY_FILE must be the name of a file or None"),
        (
            {"SEAL_KEY": SECRET, "SEAL_KEY_FILE": "f"},
            "AUDIT_SEAL_KEY_FILE must be None where there is an AUDIT_SEAL_KEY",
        ),
        ({"SEAL_OLD_KEYS": SECRET}, "AUDIT_SEAL_OLD_KEYS must be a list of keys, each a str or bytes, not 'str'"),
    ],
)
def test_wrong_settings(config: dict[str, Any], message: str) -> None:
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI="postgresql://", **{f"AUDIT_{key}": v for key, v in config.items()})
    with pytest.raises(AuditConfigError, match=message) as raised:
        FlaskAudit(app, SQLAlchemy(app))
    assert SECRET not in str(raised.value)


def test_a_key_is_not_shown_by_its_configuration(site: Blog) -> None:
    assert SECRET not in repr(site.app.extensions["audit"].config)


def test_ed25519_without_the_package(site: Blog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(Ed25519PrivateKey.generate()))
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for module in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.delitem(sys.modules, module)
    result = run(site.app, "seal", "--key-file", path)
    assert "Ed25519 keys need the package cryptography: pip install flask-pg-audit[seal]" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seals", "post"), "--seals looks at everything that is sealed, and repairs nothing"),
        (("--seals", "--repair"), "--seals looks at everything that is sealed, and repairs nothing"),
        (("--from", "f"), "--from, --key-file and --pruned are for --seals"),
        (("--pruned", "t"), "--from, --key-file and --pruned are for --seals"),
    ],
)
def test_options_that_do_not_go_together(site: Blog, arguments: tuple[str, ...], message: str) -> None:
    result = run(site.app, "verify", *arguments)
    assert (result.exit_code, message in result.output) == (2, True)


def test_rows_that_retention_took(site: Blog) -> None:
    run(site.app, "seal")
    falsify(site, "DELETE FROM post_audit")
    assert verify(site.app, "--pruned", "post_audit") == (
        0,
        [
            "post_audit: the oldest 1 rows are gone, as expected",
            "nothing differs: 1 rows are as 1 seals say",
        ],
    )


def test_each_bind_has_a_chain(database: Database, server: DatabaseServer, template: str, tmp_path: Path) -> None:
    with server.database(template) as second:
        db = SQLAlchemy()

        class Here(db.Model):  # type: ignore[name-defined, misc]
            __table_args__ = {"info": audited()}  # noqa: RUF012
            id = db.Column(db.Integer, primary_key=True)

        class There(db.Model):  # type: ignore[name-defined, misc]
            __bind_key__ = "other"
            __table_args__ = {"info": audited()}  # noqa: RUF012
            id = db.Column(db.Integer, primary_key=True)

        app = Flask(__name__)
        app.config.update(
            SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_BINDS={"other": second.url()}, AUDIT_UI=False
        )
        db.init_app(app)
        FlaskAudit(app, db)
        with app.app_context():
            db.create_all()
        assert run(app, "install").exit_code == 0
        with app.app_context():
            db.session.add_all([Here(id=1), There(id=1)])
            db.session.commit()
        path = tmp_path / "seals"
        lines = run(app, "seal", "--to", path).output.splitlines()
        assert [line.split(",")[0] for line in lines] == ["seal 1: 2 rows", "other: seal 1: 2 rows"]
        assert [json.loads(line)["bind"] for line in path.read_text().splitlines()] == [None, "other"]
        assert verify(app, "--from", path) == (0, ["nothing differs: 4 rows are as 2 seals say"])
        with app.app_context():
            tamper(db.engines["other"], "DELETE FROM there_audit")
        status, [line] = verify(app, "--from", path)
        assert (status, line[:32]) == (1, "other: row-missing: there_audit ")
        with app.app_context():
            for each in db.engines.values():
                each.dispose()
