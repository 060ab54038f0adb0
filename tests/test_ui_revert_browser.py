"""Bringing a version back in a real browser: without scripts, within the policy, and with Flask-WTF looking on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask_wtf import CSRFProtect

from tests.server import Database
from tests.serving import served
from tests.ui_reverting import FIRST, THIRD, Site, revertible

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    with revertible(database.url()) as made:
        yield made


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    with served(site.shop.app) as found:
        yield found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Without scripts."""
    with browser.new_context(java_script_enabled=False) as context:
        yield context.new_page()


def test_look_press_and_see(page: Page, address: str, site: Site) -> None:
    CSRFProtect(site.shop.app)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask the host for one
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(f"{address}/audit/record?table=order&key=1")
    page.get_by_role("link", name="Bring this version back").last.click()
    assert page.locator(".fpa-change .fpa-field").all_inner_texts() == ["note\nfrom third to first"]
    page.get_by_label("Reason").fill("a slip")
    with page.expect_request("**/audit/revert**") as sent:
        page.get_by_role("button", name="Write 1 row").click()
    headers = sent.value.all_headers()
    # With "Referrer-Policy: no-referrer" it would be "null".
    assert headers["origin"] == address and headers["referer"].startswith(f"{address}/audit/revert?")
    assert "/audit/transaction?id=" in page.url
    assert page.get_by_role("status").inner_text() == "Done: this transaction brought the record back."
    assert page.get_by_text("a slip").is_visible()
    assert complaints == [] and site.orders() == FIRST


def test_a_form_on_another_site_is_refused(page: Page, address: str, site: Site) -> None:
    """It may have stolen both tokens: the browser says where it comes from."""
    url = site.url("note = 'first'")
    page.goto(f"{address}{url}")
    fields = page.content().partition('<form class="fpa-tool fpa-revert"')[2].partition("</form>")[0]
    stolen = f'<form class="x"{fields}</form>'.replace('action="', f'action="{address}')
    page.route("http://evil.test/", lambda route: route.fulfill(body=stolen, content_type="text/html"))
    page.goto("http://evil.test/")
    page.get_by_role("button").click()
    assert "sent from another site" in page.inner_text("body")
    assert site.orders() == THIRD
