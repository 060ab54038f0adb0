"""axe-core finds nothing on any page: WCAG 2.2 A and AA, and what it calls best practice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.gallery import OPEN, ROOT, Walk, fill, gallery
from tests.orders import Shop
from tests.server import DatabaseServer
from tests.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

AXE = ROOT / ".ci/cache/axe-core/node_modules/axe-core/axe.min.js"

RUN = """() => axe.run(document, {
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  rules: {"target-size": {enabled: true}},
  resultTypes: ["violations"],
}).then((found) => found.violations.map((rule) =>
  [rule.id, rule.help, ...rule.nodes.slice(0, 3).map((node) => node.html.slice(0, 200))]))"""

#: Pages that are made as others are.
SAME_AGAIN = re.compile("[?&](tz|before|after|range)=")

#: Pages that no link leads to.
BESIDES = [
    "/?before=x&q=actor:bob",
    "/?q=tabel:order+at:2026-02-30",
    "/?q=actor:nobody+-table:line",
    "/?q=actor:him",
    "/transaction?id=999999",
    "/record?table=order&key=1&with=lines",
    "/record?table=order&key=1&as-of=2000-01-01",
]


@pytest.fixture(scope="module")
def axe() -> str:
    """Its program. Where it is not installed, these tests are skipped; in CI it must be there."""
    if not AXE.exists():
        message = "axe-core is not there: npm install --prefix .ci/cache/axe-core axe-core"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return AXE.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=[None, "host-ltr.html"], ids=["own", "hosted"])
def site(request: pytest.FixtureRequest, server: DatabaseServer, template: str) -> Iterator[Shop]:
    with (
        server.database(template) as database,
        gallery(database.url(), AUDIT_UI_BASE_TEMPLATE=request.param) as made,
    ):
        fill(made)
        yield made


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 1200)])
def test_it_finds_nothing(browser: Browser, axe: str, site: Shop, scheme: Literal["light", "dark"], width: int) -> None:
    found: dict[str, Any] = {}
    with (
        served(site.app) as address,
        browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme) as profile,
    ):
        page = profile.new_page()
        for url in Walk(page, f"{address}/audit").visit():
            if not SAME_AGAIN.search(url):
                found[url] = _look(page, axe)
        for path in [*BESIDES, _comparison(site)]:
            page.goto(f"{address}/audit{path}")
            found[path] = _look(page, axe)
    assert {url: rules for url, rules in found.items() if rules} == {}
    assert len(found) > 18


def test_it_would_find_something(browser: Browser, axe: str) -> None:
    """The program runs, and with the rules that are meant."""
    page = browser.new_page()
    page.set_content('<html><body><a href="x" style="color: #ccc">pale words</a><button></button></body></html>')
    assert {"button-name", "color-contrast", "document-title", "html-has-lang", "landmark-one-main"} <= {
        rule[0] for rule in _look(page, axe)
    }
    page.close()


def _look(page: Page, axe: str) -> list[Any]:
    """What axe finds, with everything opened."""
    page.evaluate(OPEN)
    # As the developer tools would: the policy of the page keeps a <script> out.
    page.evaluate(axe)
    found: list[Any] = page.evaluate(RUN)
    return found


def _comparison(site: Shop) -> str:
    """The first version of an order beside its last."""
    a, b = (site.place("order", f"id = 1 AND audit_operation = '{operation}'") for operation in "IU")
    return f"/record?table=order&key=1&a={a}&b={b}"
