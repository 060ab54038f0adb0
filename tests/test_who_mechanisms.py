"""The ways Flask apps know their user, each in a small real app."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_httpauth import HTTPBasicAuth, HTTPTokenAuth
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, NullPool, String, create_engine, text

from flask_pg_audit import Actor, FlaskAudit, audited
from tests.server import Database


class Notes:
    """An app with one audited table and a view that adds a note."""

    def __init__(self, database: Database, **config: Any) -> None:
        self.url = database.url()
        self.app = Flask(__name__)
        self.app.config.update(
            SECRET_KEY="x" * 40,
            JWT_SECRET_KEY="x" * 40,
            SQLALCHEMY_DATABASE_URI=self.url,
            SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool},
            **config,
        )
        self.db = SQLAlchemy(self.app)

        class Note(self.db.Model):  # type: ignore[name-defined, misc]
            __table_args__ = {"info": audited()}  # noqa: RUF012
            id = Column(Integer, primary_key=True)
            text = Column(String)

        self.Note = Note
        self.audit = FlaskAudit()

    def start(self) -> None:
        self.audit.init_app(self.app, self.db)
        with self.app.app_context():
            self.db.create_all()
        assert self.app.test_cli_runner().invoke(args=["audit", "install"]).exit_code == 0

    def add(self) -> str:
        self.db.session.add(self.Note(text="x"))
        self.db.session.commit()
        return ""

    def recorded(self) -> list[tuple[str | None, str | None]]:
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            rows = connection.execute(text("SELECT username, actor_id FROM audit_transaction ORDER BY id"))
            return [(row[0], row[1]) for row in rows]


@pytest.fixture
def notes(database: Database) -> Iterator[Notes]:
    yield Notes(database)


def test_jwt_identity(notes: Notes) -> None:
    JWTManager(notes.app)
    notes.app.add_url_rule("/strict", view_func=jwt_required()(notes.add), endpoint="strict", methods=["POST"])
    notes.app.add_url_rule("/lax", view_func=jwt_required(optional=True)(notes.add), endpoint="lax", methods=["POST"])
    notes.app.add_url_rule("/open", view_func=notes.add, endpoint="open", methods=["POST"])
    notes.start()
    with notes.app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token('alice')}"}
    client = notes.app.test_client()
    assert client.post("/strict", headers=headers).status_code == 200
    assert client.post("/strict").status_code == 401
    client.post("/lax")
    client.post("/open", headers=headers)  # nobody verified the token
    client.post("/open", auth=("mallory", "guess"))  # nor this
    assert notes.recorded() == [("alice", "alice"), (None, None), (None, None), (None, None)]


def test_jwt_user_object(notes: Notes) -> None:
    jwt = JWTManager(notes.app)

    @jwt.user_lookup_loader
    def load(header: dict[str, Any], payload: dict[str, Any]) -> dict[str, Any]:
        return {"id": 7, "email": "alice@example.com"}

    notes.app.add_url_rule("/", view_func=jwt_required()(notes.add), endpoint="add", methods=["POST"])
    notes.start()
    with notes.app.app_context():
        headers = {"Authorization": f"Bearer {create_access_token('7')}"}
    notes.app.test_client().post("/", headers=headers)
    assert notes.recorded() == [("alice@example.com", "7")]


def test_flask_httpauth_basic_and_bearer(notes: Notes) -> None:
    basic, bearer = HTTPBasicAuth(), HTTPTokenAuth()
    basic.verify_password(lambda name, password: name if password == "right" else None)
    bearer.verify_token(lambda token: {"id": 2, "username": "bob"} if token == "bobs" else None)
    for endpoint, auth in (("basic", basic), ("bearer", bearer)):
        view = auth.login_required(lambda: notes.add())
        notes.app.add_url_rule(f"/{endpoint}", view_func=view, endpoint=endpoint, methods=["POST"])
    notes.start()
    client = notes.app.test_client()
    client.post("/basic", auth=("alice", "right"))
    client.post("/basic", auth=("alice", "wrong"))
    client.post("/bearer", headers={"Authorization": "Bearer bobs"})
    assert notes.recorded() == [("alice", "alice"), ("bob", "2")]


def test_http_basic_authorization_when_the_server_in_front_checks_it(database: Database) -> None:
    for trust, expected in ((True, "alice"), (False, None)):
        notes = Notes(database, AUDIT_TRUST_BASIC_AUTH=trust)
        notes.app.add_url_rule("/", view_func=notes.add, endpoint="add", methods=["POST"])
        notes.start()
        notes.app.test_client().post("/", auth=("alice", "x"))
        assert notes.recorded()[-1][0] == expected


def test_an_impersonating_user_is_recorded_as_the_real_one(notes: Notes) -> None:
    notes.app.add_url_rule("/", view_func=notes.add, endpoint="add", methods=["POST"])
    notes.audit.actor_loader(lambda: Actor("alice", "1", acting_as=Actor("bob", "2")))
    notes.start()
    notes.app.test_client().post("/")
    assert notes.recorded() == [("alice", "1")]
    engine = create_engine(notes.url, poolclass=NullPool)
    with engine.connect() as connection:
        context = connection.scalar(text("SELECT context->'acting_as' FROM audit_transaction"))
    assert context == {"username": "bob", "id": "2"}


def test_flask_security(notes: Notes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's deprecations
        from flask_security import Security, SQLAlchemyUserDatastore, hash_password
        from flask_security.models import fsqla_v3

        fsqla_v3.FsModels.set_db_info(notes.db)  # type: ignore[attr-defined]

        class Role(notes.db.Model, fsqla_v3.FsRoleMixin):  # type: ignore[name-defined, misc]
            pass

        class User(notes.db.Model, fsqla_v3.FsUserMixin):  # type: ignore[name-defined, misc]
            pass

        notes.app.config.update(
            SECURITY_PASSWORD_SALT="salt", SECURITY_PASSWORD_HASH="plaintext", WTF_CSRF_ENABLED=False
        )
        notes.app.config.update(SECURITY_PASSWORD_SCHEMES=["plaintext"], SECURITY_DEPRECATED_PASSWORD_SCHEMES=[])
        datastore = SQLAlchemyUserDatastore(notes.db, User, Role)
        Security(notes.app, datastore)
        notes.app.add_url_rule("/add", view_func=notes.add, endpoint="add", methods=["POST"])
        notes.start()
        with notes.app.app_context():
            datastore.create_user(email="alice@example.com", password=hash_password("password"))
            notes.db.session.commit()
        client = notes.app.test_client()
        answer = client.post("/login", json={"email": "alice@example.com", "password": "password"})
        assert answer.status_code == 200, answer.text
        client.post("/add")
        client.post("/logout", json={})
        client.post("/add")
    assert notes.recorded() == [("alice@example.com", "1"), (None, None)]
