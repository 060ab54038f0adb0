"""An app with orders, their lines and their tags, for the pages that show how records belong together."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Column, ForeignKey, Integer, String, Text, create_engine
from sqlalchemy.orm import relationship

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers
from tests.blog import ONE_CONNECTION


@dataclass
class Shop:
    """The app, its extensions and its models."""

    app: Flask
    db: SQLAlchemy
    audit: FlaskAudit
    Order: Any
    Line: Any

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def run(self, *statements: str) -> None:
        """Each statement in a transaction of its own, as from psql."""
        engine = create_engine(self.app.config["SQLALCHEMY_DATABASE_URI"], isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
        engine.dispose()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        engine = create_engine(self.app.config["SQLALCHEMY_DATABASE_URI"])
        with engine.connect() as connection:
            found = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
            rows = [tuple(row) for row in found]
        engine.dispose()
        return rows

    def place(self, table: str, condition: str = "true") -> str:
        """The position of the newest change of ``table`` that meets a condition."""
        query = f"SELECT audit_transaction_id, audit_id FROM {table}_audit WHERE {condition} ORDER BY 2 DESC LIMIT 1"
        [(transaction, number)] = self.rows(query)
        return f"{transaction}.{number}"

    def get(self, path: str, status: Any = 200, **arguments: Any) -> str:
        """A page of the log."""
        answer = self.client.get(f"/audit/{path}", query_string=arguments)
        assert answer.status_code == status, answer.text
        return answer.text


@contextmanager
def shop(url: URL, **config: Any) -> Iterator[Shop]:
    """A shop on ``url``, its tables created and audited, its log open."""
    db = SQLAlchemy()
    audit = FlaskAudit()
    made = Shop(Flask(__name__), db, audit, *_models(db))
    made.app.config.update(TESTING=True, SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS=dict(ONE_CONNECTION))
    # On a busy machine the default is soon over, and then a page shows less.
    made.app.config.update({"AUDIT_SEARCH_BUDGET": 60_000, **config})
    db.init_app(made.app)
    audit.init_app(made.app, db)
    audit.access_loader(lambda: True)
    with made.app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
    try:
        yield made
    finally:
        with made.app.app_context():
            db.session.remove()
            db.engine.dispose()


def _models(db: SQLAlchemy) -> tuple[Any, Any]:
    order_tag = db.Table(
        "order_tag",
        Column("order_id", ForeignKey("order.id"), primary_key=True),
        Column("tag", Text, primary_key=True),
        info=audited(),
    )

    class Order(db.Model):  # type: ignore[name-defined, misc]
        __tablename__ = "order"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        tenant = Column(Integer)
        note = Column(String)
        # The attribute is called otherwise than the column.
        pin = Column("secret", String, key="pin")
        lines = relationship("Line", back_populates="order")

    class Line(db.Model):  # type: ignore[name-defined, misc]
        __tablename__ = "line"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        order_id: Any = Column(ForeignKey("order.id"))
        product = Column(String)
        order = relationship(Order, back_populates="lines")

    class Tag(db.Model):  # type: ignore[name-defined, misc]
        __table__ = order_tag

    Order.tags = relationship(Tag)
    return Order, Line


def main_part(page: str) -> str:
    """What is the page's own, not its frame."""
    return page.partition("<main")[2].partition("</main>")[0]


def text_of(page: str) -> str:
    """What people read of it."""
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", main_part(page) or page).split()))


def changes_on(page: str) -> list[str]:
    """The text of each change of a timeline."""
    return [text_of(part.partition("</article>")[0]) for part in page.split("<article")[1:]]


def links(page: str, text: str) -> list[str]:
    """Where the links with this text lead."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', page, re.DOTALL)
    return [html.unescape(url) for url, label in found if text_of(label) == text]
