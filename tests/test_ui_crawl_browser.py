"""Every page in a real browser, along every link: within the policy, within the app, within the window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.gallery import OPEN, WIDE, Walk, fill, gallery
from tests.orders import Shop
from tests.server import Database, DatabaseServer
from tests.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

#: The kinds of pages that a walk has to come by, or it has not been everywhere.
KINDS = {
    "/?", "/?q", "/?before", "/?tz", "/overview?", "/overview?range", "/table?", "/table?name", "/views?",
    "/revert?key&table&to",
    "/transaction?id", "/transaction?id&table", "/change?at&table", "/record?key&table", "/record?as-of&key&table",
    "/export?format", "/export?format&q", "/api/openapi.json?",
}  # fmt: skip


@pytest.fixture(scope="module")
def site(server: DatabaseServer, template: str) -> Iterator[Shop]:
    with server.database(template) as database, gallery(database.url()) as made:
        fill(made)
        yield made


def walk(browser: Browser, address: str, width: int = 1200, each: int = 1, scripts: bool = True) -> None:
    """Go everywhere, to so many pages of each kind."""
    with browser.new_context(viewport={"width": width, "height": 800}, java_script_enabled=scripts) as profile:
        page = profile.new_page()
        way = Walk(page, f"{address}/audit")
        for url in way.visit(each):
            page.evaluate(OPEN)
            too_wide = page.evaluate("document.documentElement.scrollWidth") > width
            assert not too_wide, (url, page.evaluate(WIDE))
        way.check()
        assert {kind.rpartition(" ")[0] for kind in way.seen} >= KINDS


@pytest.mark.parametrize("width", [320, 1200])
def test_every_page_is_within_the_policy_and_the_window(browser: Browser, site: Shop, width: int) -> None:
    with served(site.app) as address:
        walk(browser, address, width, each=2)


def test_below_a_prefix_no_link_leaves_it(browser: Browser, site: Shop) -> None:
    with served(site.app, "/intranet/shop") as address:
        assert address.endswith("/intranet/shop")
        walk(browser, address)


def test_with_scripts_switched_off_every_page_is_there(browser: Browser, site: Shop) -> None:
    with served(site.app) as address:
        walk(browser, address, scripts=False)


@pytest.mark.parametrize(("base", "width"), [("host-ltr.html", 1200), ("host-rtl.html", 320)])
def test_inside_the_host_s_own_page(browser: Browser, database: Database, base: str, width: int) -> None:
    with gallery(database.url(), AUDIT_UI_BASE_TEMPLATE=base) as hosted:
        fill(hosted)
        with served(hosted.app) as address:
            walk(browser, address, width)
