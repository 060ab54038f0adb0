"""How the pages look: in the dark, on paper, on a small screen, from right to left, by keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.gallery import ARABIC, HEBREW, OPEN, fill, gallery
from tests.orders import Shop
from tests.server import DatabaseServer
from tests.serving import served
from tests.test_ui_browser import CONTRAST

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Locator, Page

pytestmark = pytest.mark.browser

RECORD = "/record?table=order&key=1&with=lines"
PAGES = ["/", "/?q=tabel:order", RECORD, "/overview", "/table", "/table?name=order", "/views", "/?before=x&q=a"]

#: Words that lie upon other words: pairs of pieces of text, each with the place that it takes.
OVERLAPS = """() => {
  const pieces = [];
  const walker = document.createTreeWalker(document.querySelector(".fpa-main"), NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    if (!node.data.trim() || !node.parentElement.checkVisibility({contentVisibilityAuto: true})) continue;
    if (node.parentElement.closest("option, svg")) continue;
    let at = node.parentElement;
    while (at && getComputedStyle(at).clipPath === "none") at = at.parentElement;
    if (at) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const box of range.getClientRects()) pieces.push([node, box]);
  }
  const found = [];
  for (let i = 0; i < pieces.length; i++) for (let j = i + 1; j < Math.min(i + 60, pieces.length); j++) {
    const [a, b] = [pieces[i], pieces[j]];
    if (a[0] === b[0]) continue;
    const width = Math.min(a[1].right, b[1].right) - Math.max(a[1].left, b[1].left);
    const height = Math.min(a[1].bottom, b[1].bottom) - Math.max(a[1].top, b[1].top);
    if (width > 2 && height > 8) found.push([a[0].data.trim().slice(0, 30), b[0].data.trim().slice(0, 30)]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def log(server: DatabaseServer, template: str) -> Iterator[str]:
    """The address of the log."""
    with server.database(template) as database, gallery(database.url()) as site:
        fill(site)
        _describe(site)
        with served(site.app) as address:
            yield f"{address}/audit"


def _describe(site: Shop) -> None:
    """People and orders whose names are written from right to left."""
    with site.audit.context(username=ARABIC, reason=HEBREW), site.app.app_context():
        site.db.session.add(site.Order(id=99, note=f"{ARABIC} (1) {HEBREW}"))
        site.db.session.commit()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_what_is_behind_it(page: Page, log: str, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    for path in PAGES:
        page.goto(log + path)
        page.evaluate(OPEN)
        poor = [text for text in page.evaluate(CONTRAST) if "fpa-hidden" not in text[0]]
        assert poor == [], path


def test_the_dark_is_dark(page: Page, log: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(f"{log}/")
    assert _brightness(page, "body") < 60 < 180 < _brightness(page, ".fpa-heading", "color")
    assert _brightness(page, ".fpa-search-box") < 60


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
@pytest.mark.parametrize("width", [320, 1000])
def test_nothing_lies_upon_something_else(page: Page, log: str, direction: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    for path in PAGES:
        page.goto(log + path)
        page.evaluate("direction => { document.documentElement.dir = direction }", direction)
        page.evaluate(OPEN)
        assert page.evaluate(OVERLAPS) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == width, path


def test_from_right_to_left_everything_is_mirrored_but_time(page: Page, log: str) -> None:
    page.set_viewport_size({"width": 1000, "height": 800})
    page.goto(f"{log}/?before=12")
    for direction, back, forth in (("ltr", '"← "', '" →"'), ("rtl", '"→ "', '" ←"')):
        page.evaluate("direction => { document.documentElement.dir = direction }", direction)
        assert _content(page, '.fpa-pager a[rel="prev"]', "::before").startswith(back)
        assert _content(page, '.fpa-pager a[rel="next"]', "::after").startswith(forth)
        heading, pager = (_box(page, selector) for selector in (".fpa-heading", ".fpa-pager"))
        assert (heading["x"] < pager["x"]) == (direction == "ltr")
        newer, older = (_box(page, f'.fpa-pager a[rel="{rel}"]') for rel in ("prev", "next"))
        assert (newer["x"] < older["x"]) == (direction == "ltr")
    page.goto(f"{log}/overview")
    page.evaluate("() => { document.documentElement.dir = 'rtl' }")
    first, last = page.locator(".fpa-axis span").first, page.locator(".fpa-axis span").last
    assert _place(first)["x"] < _place(last)["x"]


def test_words_from_right_to_left_leave_those_around_them_where_they_are(page: Page, log: str) -> None:
    """``name (1) name`` is isolated: the time behind a name stays behind it."""
    page.goto(f"{log}/?q=table:order key:99")
    user, request = _box(page, ".fpa-user"), _box(page, ".fpa-reason")
    facts = _box(page, ".fpa-facts")
    assert user["x"] < request["x"] < facts["x"]
    texts = page.locator("bdi", has_text=ARABIC[:5]).all_inner_texts()
    assert ARABIC in texts and f"{ARABIC} (1) {HEBREW}" in texts


def test_on_paper_everything_is_unfolded_and_nothing_is_to_be_clicked(page: Page, log: str) -> None:
    page.goto(log + RECORD)
    folded = page.locator("details:not([open]) dl").first
    assert not folded.is_visible()
    page.emulate_media(media="print", color_scheme="dark")
    assert folded.evaluate("element => element.checkVisibility({contentVisibilityAuto: true})")
    assert _place(folded)["height"] > 10
    for selector in (".fpa-nav", ".fpa-pager", ".fpa-tools", ".fpa-choice", ".fpa-downloads", ".fpa-programs"):
        assert not page.locator(selector).first.is_visible(), selector
    assert page.locator(".fpa-heading").is_visible() and page.locator("article").first.is_visible()
    assert _brightness(page, "body") > 250 and _brightness(page, ".fpa-heading", "color") < 60
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_the_search_is_printed_as_what_was_searched_for(page: Page, log: str) -> None:
    page.goto(f"{log}/?q=table:order")
    page.emulate_media(media="print")
    assert not page.locator(".fpa-search-box").is_visible()
    assert page.locator(".fpa-chip").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whatever_has_the_focus_shows_it(page: Page, log: str, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    for path in ("/", RECORD, "/overview"):
        page.goto(log + path)
        seen: list[Any] = []
        for _ in range(25):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => { const at = document.activeElement, style = getComputedStyle(at);
                   return [at.outerHTML.slice(0, 80), style.outlineStyle, parseFloat(style.outlineWidth)]; }"""
            )
            if focused[0].startswith("<body"):
                break
            assert focused[1] != "none" and focused[2] >= 1, (path, focused)
            seen.append(focused[0])
        assert "fpa-skip" in seen[0] and len(set(seen)) > 8, path


def test_the_way_past_the_navigation(page: Page, log: str) -> None:
    page.goto(f"{log}/")
    page.keyboard.press("Tab")
    assert _place(page.locator(".fpa-skip"))["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "fpa-main"


def test_on_a_small_screen_a_table_of_tables_is_a_list(page: Page, log: str) -> None:
    page.set_viewport_size({"width": 320, "height": 800})
    page.goto(f"{log}/table")
    cell = page.locator(".fpa-stacked td").first
    assert "Changes, about" in _content(page, ".fpa-stacked td", "::before")
    assert _place(cell)["width"] > 200


def _box(page: Page, selector: str) -> FloatRect:
    return _place(page.locator(selector).first)


def _place(of: Locator) -> FloatRect:
    box = of.bounding_box()
    assert box is not None
    return box


def _content(page: Page, selector: str, part: str) -> str:
    script = "(element, part) => getComputedStyle(element, part).content"
    return str(page.locator(selector).first.evaluate(script, part))


def _brightness(page: Page, selector: str, of: str = "backgroundColor") -> float:
    """From 0 to 255."""
    script = "(element, of) => getComputedStyle(element)[of].match(/[0-9.]+/g).slice(0, 3).map(Number)"
    channels: list[float] = page.locator(selector).first.evaluate(script, of)
    return sum(channels) / 3
