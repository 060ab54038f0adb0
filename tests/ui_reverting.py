"""What the tests of the revert page share: a shop with an order that was changed, and somebody who looks at its log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import request
from flask.testing import FlaskClient
from sqlalchemy import URL
from werkzeug.test import TestResponse

from example_app.demo.browser import Page
from flask_pg_audit import Access
from tests.orders import Shop, shop


@dataclass
class Site:
    """A shop, and somebody who looks at its log."""

    shop: Shop
    client: FlaskClient
    rule: dict[str, Access | None] = field(default_factory=dict)

    def allow(self, access: Access | None) -> None:
        self.rule["access"] = access

    def url(self, condition: str = "true", table: str = "order", key: str = "1") -> str:
        """The preview of bringing the newest version back that meets a condition."""
        return f"/audit/revert?table={table}&key={key}&to={self.shop.place(table, condition)}"

    def get(self, url: str, status: int = 200) -> str:
        answer = self.client.get(url)
        assert answer.status_code == status, answer.text
        return answer.text

    def fields(self, url: str) -> dict[str, str]:
        """What the form of the preview would send."""
        return form_of(url, self.get(url))

    def press(self, url: str, **typed: Any) -> TestResponse:
        """Look, and press the button."""
        return self.client.post(url, data={**self.fields(url), **typed})

    def orders(self) -> list[tuple[Any, ...]]:
        return self.shop.rows('SELECT id, tenant, note, secret FROM "order" ORDER BY id')

    def recorded(self) -> list[tuple[Any, ...]]:
        """Who reverted what, as the log of readers has it, and how many rows."""
        query = "SELECT username, page, query->>'key', row_count FROM audit_view WHERE action = 'revert' ORDER BY id"
        return self.shop.rows(query)


def form_of(url: str, page: str) -> dict[str, str]:
    [form] = [form for form in Page(url, page).forms if "fpa_token" in form.fields]
    return form.fields


@contextmanager
def revertible(url: URL, **config: Any) -> Iterator[Site]:
    """An order that was written, changed twice, and has a line; alice looks."""
    with shop(url, **{"AUDIT_UI_REVERT": True, "SECRET_KEY": "test", **config}) as made:
        looks = Site(made, made.client)
        looks.allow(Access(revert=True))
        made.audit.access_loader(lambda: looks.rule["access"])
        made.audit.actor_loader(lambda: request.headers.get("X-User", "alice"))
        made.run(
            "INSERT INTO \"order\" VALUES (1, 1, 'first', 'pin')",
            "INSERT INTO line VALUES (1, 1, 'tea')",
            "UPDATE \"order\" SET note = 'second' WHERE id = 1",
            "UPDATE \"order\" SET note = 'third' WHERE id = 1",
        )
        yield looks


FIRST, THIRD = ([(1, 1, note, "pin")] for note in ("first", "third"))
