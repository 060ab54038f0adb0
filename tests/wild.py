"""An app whose table holds what nobody wants to see on a page: everything, and much of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Column, Enum, Integer, LargeBinary, String, Table, create_engine, text
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE, JSON, JSONB

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers

HOSTILE = "<script>alert(1)</script>\"' onload=x {{ 7*7 }} \u202egnp.exe\u0007"

#: Columns of the wide table, besides its key.
WIDTH = 200


@dataclass
class Wild:
    """The app, what is read of it, and a way to write."""

    app: Flask
    client: FlaskClient
    audit: FlaskAudit
    url: URL

    def execute(self, *statements: str, **values: Any) -> None:
        """In one transaction; each statement takes those of the values that it names."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)
        engine.dispose()

    def insert(self, **values: Any) -> None:
        """A row of ``thing``."""
        columns = ", ".join(values)
        casts = {"doc": "jsonb", "note": "json", "span": "int4range", "mood": "mood", "tags": "text[]"}
        marks = ", ".join(f"CAST(:{name} AS {casts[name]})" if name in casts else f":{name}" for name in values)
        self.execute(f"INSERT INTO thing ({columns}) VALUES ({marks})", **values)

    def page(self, url: str = "/audit/") -> str:
        """The text of a page, which has to be one."""
        answer = self.client.get(url)
        assert answer.status_code == 200, answer.text
        return answer.text

    def change(self, number: int = 0, feed: str = "/audit/", column: str | None = None) -> str:
        """The page of the change that is ``number`` places below the newest one."""
        links = re.findall(r'href="([^"]*/change\?[^"]*)"', self.page(feed))
        url = links[number].replace("&amp;", "&")
        return self.page(url if column is None else f"{url}&column={column}")


@contextmanager
def wild(url: URL, **config: Any) -> Iterator[Wild]:
    """The app on ``url``, open to everybody."""
    app, db = Flask(__name__), SQLAlchemy()
    app.config.update(SQLALCHEMY_DATABASE_URI=url, TESTING=True)
    # On a busy machine the default is soon over, and then a page shows less.
    app.config.update({"AUDIT_SEARCH_BUDGET": 60_000, **config})
    db.init_app(app)
    Table(
        "thing",
        db.metadata,
        Column("id", Integer, primary_key=True),
        Column("body", String),
        Column("doc", JSONB),
        Column("note", JSON),
        Column("blob", LargeBinary),
        Column("tags", ARRAY(String)),
        Column("span", INT4RANGE),
        Column("mood", Enum("good", "bad", name="mood")),
        info=audited(),
    )
    wide = (Column(f"column_{number}", String) for number in range(WIDTH))
    Table("wide", db.metadata, Column("id", Integer, primary_key=True), *wide, info=audited())
    audit = FlaskAudit(app, db)
    audit.access_loader(lambda: True)
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
    try:
        yield Wild(app, app.test_client(), audit, url)
    finally:
        with app.app_context():
            db.engine.dispose()


def fill_with_hostile_rows(site: Wild, groups: int = 25) -> None:
    """Transactions of four wide rows each, by somebody whose name and request are as long as they may be."""
    values = {f"v{number}": HOSTILE * 20 for number in range(WIDTH)}
    columns = ", ".join(f"column_{number}" for number in range(WIDTH))
    marks = ", ".join(f":{name}" for name in values)
    context = json.dumps({name: HOSTILE * 40 for name in ("path", "method", "endpoint", "reason", "user_agent")})
    for _ in range(groups):
        site.execute(
            "SELECT set_config('audit.username', :username, true), set_config('audit.context', :context, true)",
            f"INSERT INTO wide ({columns}) SELECT {marks} FROM generate_series(1, 2)",
            f"UPDATE wide SET {', '.join(f'column_{n} = reverse(column_{n})' for n in range(WIDTH))} "
            "WHERE id > (SELECT max(id) - 2 FROM wide)",
            username=HOSTILE * 40,
            context=context,
            **values,
        )
