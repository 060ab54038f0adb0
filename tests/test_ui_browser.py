"""The audit-log page in a real browser: nothing is refused by its own policy, nothing comes from elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from werkzeug.serving import make_server

from tests.blog import blog
from tests.server import Database

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """A blog with a page of changes, served."""
    with blog(database.url()) as site:
        site.audit.access_loader(lambda: True)
        client = site.app.test_client()
        client.post("/signup/alice")
        for title in ("<script>alert(1)</script>", "x" * 500, "", "\u202eoops"):
            client.post("/posts", query_string={"title": title})
        server = make_server("127.0.0.1", 0, site.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("width", [320, 1200])
def test_the_page_keeps_its_own_policy_and_fits(page: Page, address: str, width: int) -> None:
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.text} {message.location['url']}"))
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask the host for one
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(f"{address}/audit/")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.locator("article").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert complaints == []
    assert all(url.startswith(address) or url.startswith("data:") for url in requests)
    # The stylesheet was applied, not just asked for.
    assert page.locator(".fpa-change").first.evaluate("element => getComputedStyle(element).borderStyle") != "none"
