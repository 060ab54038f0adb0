"""The pages of records, tables and the overview in a real browser: within their policy, and within the window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.orders import shop
from tests.server import Database
from tests.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """A shop with a history that needs room, served."""
    with shop(database.url(), AUDIT_PAGE_SIZE=4) as site:
        site.run(
            "INSERT INTO \"order\" VALUES (1, 1, 'short')",
            "UPDATE \"order\" SET note = repeat('long', 500), secret = E'\\u202Eoops' WHERE id = 1",
            *(f'UPDATE "order" SET tenant = {number}' for number in range(2, 6)),
            "INSERT INTO line VALUES (1, 1, repeat('x', 300))",
            "ALTER TABLE order_tag DISABLE TRIGGER ALL",
        )
        with served(site.app) as found:
            yield f"{found}/audit"


@pytest.mark.parametrize("width", [320, 1200])
def test_the_pages_keep_their_own_policy_and_fit(page: Page, address: str, width: int) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.text} {message.location['url']}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask the host for one
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("record?table=order&key=1&with=lines", "table", "table?name=order", "overview", "overview?range=1y"):
        page.goto(f"{address}/{path}")
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
    assert complaints == []
    # The second stylesheet was applied, not just asked for.
    assert page.locator(".fpa-chart").evaluate("element => getComputedStyle(element).display") == "block"


def test_forms_and_bars_lead_on(page: Page, address: str) -> None:
    """Without a script: what is chosen ends up in the address, and what was asked before stays there."""
    page.goto(f"{address}/record?table=order&key=1")
    page.get_by_label("lines").check()
    page.get_by_role("button", name="Show them too").click()
    assert "with=lines" in page.url
    page.locator('input[name="a"]').last.check()
    page.get_by_role("button", name="Compare the two versions").click()
    assert page.locator("#fpa-comparison").is_visible() and "with=lines" in page.url
    page.get_by_label("The row as of").fill("2100-01-31T12:00:05")
    page.get_by_role("button", name="Show", exact=True).click()
    assert page.locator("#fpa-past").is_visible() and page.locator("#fpa-comparison").is_visible()
    assert page.locator("#fpa-as-of").input_value().startswith("2100-01-31T12:00:05")
    page.goto(f"{address}/overview")
    page.locator(".fpa-chart a").last.click()
    page.wait_for_url("**/audit/?q=at:**")
    assert page.locator("article").count() >= 4
