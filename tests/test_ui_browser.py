"""The audit-log page in a real browser: nothing is refused by its own policy, nothing comes from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import pytest

from tests.blog import blog
from tests.server import Database
from tests.serving import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


#: The texts of the page whose contrast is too low, each with its ratio.
CONTRAST = """() => {
  const channels = (color) => (color.match(/[0-9.]+/g) || []).map(Number);
  const luminance = (color) => channels(color).slice(0, 3)
    .map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll(".fpa-root *")]
    .filter((element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((element) => {
      const pair = [luminance(getComputedStyle(element).color), luminance(background(element))].sort((a, b) => b - a);
      return [element.className, element.textContent.trim().slice(0, 30), (pair[0] + 0.05) / (pair[1] + 0.05)];
    })
    .filter(([, , ratio]) => ratio < 4.5);
}"""


@pytest.fixture
def address(database: Database) -> Iterator[str]:
    """A blog with a page of changes, served."""
    with blog(database.url()) as site:
        site.audit.access_loader(lambda: True)
        client = site.app.test_client()
        client.post("/signup/alice")
        for title in ("<script>alert(1)</script>", "x" * 500, "", "\u202eoops"):
            client.post("/posts", query_string={"title": title})
        with served(site.app) as found:
            yield found


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
    assert page.locator("article").count() == 6
    links = [
        page.locator(f"a[href*='/audit/{name}?']").first.get_attribute("href") for name in ("transaction", "change")
    ]
    for url in ("/audit/", *links):
        page.goto(f"{address}{url}")
        for summary in page.locator("summary").all():
            summary.click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        # The stylesheet was applied, not just asked for.
        operation = page.locator(".fpa-operation").first
        assert operation.evaluate("element => getComputedStyle(element).borderTopLeftRadius") == "4px"
    assert complaints == []
    assert all(url.startswith(address) or url.startswith("data:") for url in requests)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(page: Page, address: str, scheme: Literal["light", "dark"]) -> None:
    """4.5 to 1 at least, against the nearest background that is not transparent."""
    page.emulate_media(color_scheme=scheme)
    page.goto(f"{address}/audit/")
    poor = page.evaluate(CONTRAST)
    assert poor == []
