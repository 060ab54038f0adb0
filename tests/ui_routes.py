"""Every route of the blueprint made concrete, so that a test of all of them misses none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.blog import Blog


class Request(NamedTuple):
    """One way to use a route."""

    method: str
    url: str


def _newest(site: Blog) -> str:
    """The position of the newest change of a post, whether or not there is one."""
    try:
        rows = site.rows("SELECT audit_transaction_id, audit_id FROM post_audit ORDER BY 1 DESC, 2 DESC LIMIT 1")
    except Exception:  # no table: the routes have to answer all the same
        rows = []
    return "{}.{}".format(*rows[0]) if rows else "1.1"


#: What comes behind the rule: an example for each endpoint. A new route needs one.
EXAMPLES: dict[str, Callable[[Blog], str]] = {
    "audit.static": lambda site: "/audit/static/audit.css",
    "audit.index": lambda site: "/audit/",
    "audit.transaction": lambda site: f"/audit/transaction?id={_newest(site).partition('.')[0]}",
    "audit.change": lambda site: f"/audit/change?table=post&at={_newest(site)}",
}


def requests(site: Blog) -> Iterator[Request]:
    """An example of every method of every route of the blueprint."""
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint.startswith("audit."):
            assert rule.endpoint in EXAMPLES, f"give {rule.endpoint} an example, so that its access is tested"
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield Request(method, EXAMPLES[rule.endpoint](site))


def pages(site: Blog) -> Iterator[str]:
    """The URLs that can be opened."""
    return (request.url for request in requests(site) if request.method == "GET")
