"""Every route of the blueprint made concrete, so that a test of all of them misses none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from flask.testing import FlaskClient
from sqlalchemy.exc import ProgrammingError

from tests.blog import Blog


class Route(NamedTuple):
    """One way to use a route."""

    method: str
    url: str


def _newest(site: Blog) -> str:
    """The position of the newest change of a post; where nothing is installed, any."""
    try:
        rows = site.rows(
            "SELECT audit_transaction_id || '.' || audit_id FROM post_audit "
            "ORDER BY audit_transaction_id DESC, audit_id DESC LIMIT 1"
        )
    except ProgrammingError:
        rows = []
    return str(rows[0][0]) if rows else "1.1"


def _revert(site: Blog) -> str:
    """Of the record that was changed last; a version of any other is none."""
    at = _newest(site)
    try:
        rows = site.rows(f"SELECT id FROM post_audit WHERE audit_transaction_id || '.' || audit_id = '{at}'")
    except ProgrammingError:
        rows = []
    return f"/audit/revert?table=post&key={rows[0][0] if rows else 1}&to={at}"


#: An example for each endpoint. A new route needs one.
EXAMPLES: dict[str, Callable[[Blog], str]] = {
    "audit.static": lambda site: "/audit/static/audit.css",
    "audit.index": lambda site: "/audit/",
    "audit.news": lambda site: "/audit/news",
    "audit.transaction": lambda site: f"/audit/transaction?id={_newest(site).partition('.')[0]}",
    "audit.change": lambda site: f"/audit/change?table=post&at={_newest(site)}",
    "audit.record": lambda site: "/audit/record?table=post&key=1",
    "audit.table": lambda site: "/audit/table?name=post",
    "audit.overview": lambda site: "/audit/overview",
    "audit.views": lambda site: "/audit/views",
    "audit.export": lambda site: "/audit/export?format=ndjson",
    "audit.api_tables": lambda site: "/audit/api/tables",
    "audit.api_transactions": lambda site: "/audit/api/transactions",
    "audit.api_changes": lambda site: "/audit/api/changes",
    "audit.api_record": lambda site: "/audit/api/record?table=post&key=1",
    "audit.revert": _revert,
    "audit.do_revert": _revert,
    "audit.openapi": lambda site: "/audit/api/openapi.json",
}


def routes(site: Blog) -> list[Route]:
    """An example of every method of every route of the blueprint."""
    found = []
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint.startswith("audit."):
            assert rule.endpoint in EXAMPLES, f"give {rule.endpoint} an example, so that its access is tested"
            methods = sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
            found += [Route(method, EXAMPLES[rule.endpoint](site)) for method in methods]
    return found


def urls(site: Blog) -> list[str]:
    """Those that can be opened."""
    return [url for method, url in routes(site) if method == "GET"]


def read_all(site: Blog, client: FlaskClient) -> Iterator[tuple[str, int, str]]:
    """Each of them with the status and the text of its answer."""
    for url in urls(site):
        with client.get(url) as answer:
            yield url, answer.status_code, answer.get_data(as_text=True)


def read_pages(site: Blog, client: FlaskClient) -> Iterator[str]:
    """The texts of those that are pages."""
    for url in urls(site):
        with client.get(url) as answer:
            if answer.mimetype == "text/html" and url != "/audit/news":  # a part of one
                assert answer.status_code == 200, url
                yield answer.get_data(as_text=True)
