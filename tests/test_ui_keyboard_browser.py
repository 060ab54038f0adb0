"""The keys of the pages in a real browser: each does what it says, and none is taken from anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from jinja2 import DictLoader

from flask_pg_audit import Access
from tests.orders import Shop, shop
from tests.server import Database
from tests.serving import complaints_of, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

HOST = """<!doctype html><html lang="en"><title>{% block title %}{% endblock %}</title>{% block head %}{% endblock %}
<script src="/static/none.js" type="text/plain"></script>
<input id="theirs"><div id="editable" contenteditable>text</div><button id="menu">menu</button>
<main>{% block content %}{% endblock %}</main></html>"""


@pytest.fixture
def site(database: Database) -> Iterator[Shop]:
    with shop(database.url()) as made:
        made.audit.access_loader(lambda: Access(export=True))
        made.run(*(f"INSERT INTO \"order\" VALUES ({number}, 1, 'note {number}')" for number in range(1, 4)))
        made.run("UPDATE \"order\" SET note = 'changed' WHERE id = 3")
        yield made


@pytest.fixture
def address(site: Shop) -> Iterator[str]:
    with served(site.app) as found:
        yield f"{found}/audit"


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.id || document.activeElement.className"))


def test_the_search_box_is_reached_and_left(page: Page, address: str) -> None:
    from playwright.sync_api import expect

    complaints = complaints_of(page)
    page.goto(f"{address}/?q=op:insert")
    page.keyboard.press("/")
    box = page.get_by_label("Search", exact=True)
    expect(box).to_be_focused()
    expect(box).to_have_value("op:insert")
    page.keyboard.press("End")
    page.keyboard.type(" /?jk")
    expect(box).to_have_value("op:insert /?jk")
    page.keyboard.press("Escape")
    expect(box).not_to_be_focused()
    expect(box).to_have_value("op:insert /?jk")
    assert page.get_by_role("dialog").count() == 0 and complaints == []


def test_help_opens_and_closes_and_gives_the_focus_back(page: Page, address: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{address}/")
    page.keyboard.press("j")
    before = focused(page)
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("Go to the next item of the list")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    assert focused(page) == before != ""
    button = page.get_by_role("button", name="Keyboard")
    button.click()
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


@pytest.mark.parametrize(
    ("path", "item", "leads_to"),
    [
        ("/", ".fpa-group", "/transaction?"),
        ("/transaction?id=1", ".fpa-change", "/change?"),
        ("/record?table=order&key=3", ".fpa-version", "/change?"),
        ("/table", "tbody tr", "/table?name="),
        ("/overview", "tbody tr", "/table?name="),
        ("/views", ".fpa-view", None),
    ],
)
def test_items_are_gone_through_and_opened(
    page: Page, address: str, path: str, item: str, leads_to: str | None
) -> None:
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 900, "height": 300})
    page.goto(f"{address}{path}")
    if path == "/views":
        page.reload()
    items = page.locator(f"{item} >> visible=true")
    number = items.count()
    for at in range(number):
        page.keyboard.press("j")
        expect(items.nth(at)).to_be_focused()
        expect(items.nth(at)).to_be_in_viewport()
        assert (
            items.nth(at).evaluate("e => getComputedStyle(e).outlineStyle + getComputedStyle(e).outlineWidth")
            == "solid2px"
        )
    page.keyboard.press("j")  # the last one stays
    expect(items.last).to_be_focused()
    if number > 1:
        page.keyboard.press("k")
        expect(items.nth(number - 2)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-fpa-item]:focus")).to_have_count(0)
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("j")
    expect(items.first).to_be_focused()
    page.keyboard.press("Enter")
    if leads_to is not None:
        page.wait_for_url(re.compile(re.escape(f"/audit{leads_to}")))


def test_keys_can_be_switched_off(page: Page, address: str) -> None:
    from playwright.sync_api import expect

    page.goto(f"{address}/")
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_label("Use these keys").uncheck()
    page.keyboard.press("Escape")
    for _ in range(2):
        for key in ("/", "?", "j"):
            page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(page.locator("[data-fpa-item], .fpa-search-box:focus")).to_have_count(0)
        page.reload()
    page.get_by_role("button", name="Keyboard").click()
    page.get_by_label("Use these keys").check()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_label("Search", exact=True)).to_be_focused()


@pytest.mark.parametrize("modifier", ["Control", "Alt", "Meta"])
def test_keys_with_others_are_the_browsers(page: Page, address: str, modifier: str) -> None:
    page.goto(f"{address}/")
    page.evaluate("addEventListener('keydown', (event) => { window.taken = event.defaultPrevented; })")
    page.keyboard.press(f"{modifier}+j")
    assert page.evaluate("window.taken") is False
    assert page.locator("[data-fpa-item]").count() == 0
    page.keyboard.press("j")
    assert page.evaluate("window.taken") is True
    assert page.locator("[data-fpa-item]").count() == 1


def test_nothing_is_taken_from_the_hosts_own_page(page: Page, database: Database) -> None:
    from playwright.sync_api import expect

    with shop(database.url(), AUDIT_UI_BASE_TEMPLATE="host.html") as site:
        site.app.jinja_loader = DictLoader({"host.html": HOST})
        site.run('INSERT INTO "order" VALUES (1)')
        with served(site.app) as address:
            page.goto(f"{address}/audit/")
            for theirs in ("#theirs", "#editable", "#menu"):
                page.locator(theirs).focus()
                for key in ("/", "?", "j"):
                    page.keyboard.press(key)
                expect(page.locator(theirs)).to_be_focused()
                expect(page.get_by_role("dialog")).to_be_hidden()
            expect(page.locator("#theirs")).to_have_value("/?j")
            page.locator("#menu").evaluate("button => button.blur()")
            # What a script of theirs has handled is not handled again.
            page.evaluate("document.addEventListener('keydown', (event) => event.preventDefault(), {once: true})")
            page.keyboard.press("j")
            expect(page.locator("[data-fpa-item]")).to_have_count(0)
            page.keyboard.press("j")
            expect(page.locator(".fpa-group")).to_be_focused()
