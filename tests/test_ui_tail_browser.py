"""The live tail in a real browser: soon, in its place, and not while somebody reads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from flask import Flask, redirect
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from flask_pg_audit import Access
from tests.blog import Blog, blog
from tests.server import Database
from tests.serving import complaints_of, served
from tests.test_ui_tail import commit, post, writer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page
    from sqlalchemy import Connection

pytestmark = pytest.mark.browser

SOON = 3_000  # ms from a commit until it is seen: the promise, which one test holds the page to
LATER = 15_000  # what the others wait for, on a machine that is busy


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_PAGE_SIZE=5) as made:
        made.audit.access_loader(lambda: Access(export=True))
        yield made


@pytest.fixture
def address(site: Blog) -> Iterator[str]:
    with served(site.app) as found:
        yield found


def switch(page: Page) -> Locator:
    return page.get_by_role("button", name="Live", exact=True)


def pill(page: Page) -> Locator:
    return page.locator(".fpa-live-pill")


def go_live(page: Page, url: str) -> None:
    """Open a page and switch it on, the pointer far from the list."""
    page.goto(url)
    switch(page).click()
    page.mouse.move(0, 0)


def shown(page: Page) -> list[int]:
    return [int(number) for number in page.locator("article").evaluate_all("all => all.map(a => a.dataset.fpaId)")]


def test_new_changes_appear_soon_in_their_place_and_are_announced(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    complaints = complaints_of(page)
    go_live(page, f"{address}/audit/")
    expect(page.get_by_text("Nothing has been recorded yet.")).to_be_visible()
    with writer(site) as late:
        low = post(late, "late")
        [high] = commit(site, "<b>overtakes</b>")
        expect(page.get_by_text("<b>overtakes</b>")).to_be_visible(timeout=SOON)
        expect(page.get_by_role("status")).to_have_text("1 new transaction")
        expect(page.get_by_text("Nothing has been recorded yet.")).to_have_count(0)
        late.commit()
    expect(page.locator(f"#t{low}")).to_be_visible(timeout=SOON)
    assert shown(page) == [high, low]
    assert page.locator(".fpa-list > *").evaluate_all("all => all.map(e => e.tagName)") == ["H2", "ARTICLE", "ARTICLE"]
    # Not each is announced as it comes, but all are.
    commit(site, "a", "b")
    expect(page.locator("article")).to_have_count(4, timeout=SOON)
    assert page.get_by_role("status").text_content() == "1 new transaction"
    expect(page.get_by_role("status")).to_have_text("3 new transactions", timeout=LATER)
    assert complaints == []


def test_it_pauses_under_the_pointer_and_counts(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    commit(site, "old")
    go_live(page, f"{address}/audit/")
    page.locator("article").hover()
    commit(site, "first")
    expect(pill(page)).to_have_text("1 new", timeout=LATER)
    commit(site, "second", "third")
    expect(pill(page)).to_have_text("3 new", timeout=LATER)
    expect(page.get_by_text("Paused while you read")).to_be_visible()
    assert page.locator("article").count() == 1
    pill(page).click()
    expect(page.locator("article")).to_have_count(4)
    expect(pill(page)).to_be_hidden()
    expect(switch(page)).to_be_focused()
    page.mouse.move(0, 0)
    commit(site, "fourth")
    expect(page.get_by_text("fourth")).to_be_visible(timeout=LATER)


def test_it_pauses_while_the_focus_is_in_the_list_and_goes_on_after(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    commit(site, "old")
    go_live(page, f"{address}/audit/")
    page.keyboard.press("j")
    commit(site, "new")
    expect(pill(page)).to_have_text("1 new", timeout=LATER)
    expect(page.locator("article")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("article")).to_have_count(2, timeout=LATER)
    expect(pill(page)).to_be_hidden()


def test_it_is_off_until_switched_on_and_remembers(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/news" in request.url else None)
    page.goto(f"{address}/audit/")
    expect(switch(page)).to_have_attribute("aria-pressed", "false")
    assert asked == []
    switch(page).click()
    page.mouse.move(0, 0)
    with page.expect_response("**/news**") as answer:
        page.goto(f"{address}/audit/?q=new.title:wanted")
    assert answer.value.status == 204
    expect(switch(page)).to_have_attribute("aria-pressed", "true")
    commit(site, "other", "wanted")
    expect(page.locator("article")).to_have_count(1, timeout=LATER)
    switch(page).click()
    page.reload()
    expect(switch(page)).to_have_attribute("aria-pressed", "false")


def test_a_page_does_not_grow_without_end(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    made = commit(site, *"abcde")
    page.goto(f"{address}/audit/")
    page.evaluate("document.querySelector('[data-fpa-live]').dataset.fpaMost = '6'")
    page.add_init_script(
        "document.addEventListener('readystatechange', () => {"
        "  const live = document.querySelector('[data-fpa-live]');"
        "  if (live) live.dataset.fpaMost = '6'; })"
    )
    go_live(page, f"{address}/audit/")
    assert page.get_by_text("This page keeps the newest.").is_hidden()
    made += commit(site, *"fghi")
    expect(page.locator(f"#t{made[-1]}")).to_be_visible(timeout=LATER)
    expect(page.locator("article")).to_have_count(6)
    page.get_by_role("link", name="Go to the older ones").click()
    expect(page.locator("article")).to_have_count(3)
    assert shown(page) == made[2::-1]


def test_what_comes_all_at_once_is_on_the_next_page(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    go_live(page, f"{address}/audit/")
    with writer(site) as connection:
        made = post_all(connection, 8)
    expect(page.locator("article")).to_have_count(5, timeout=LATER)
    assert shown(page) == made[:2:-1]
    expect(page.get_by_role("status")).to_have_text("more than 5 new transactions")
    page.get_by_role("link", name="Go to the older ones").click()
    expect(page.locator("article")).to_have_count(3)
    assert shown(page) == made[2::-1]


def post_all(connection: Connection, number: int) -> list[int]:
    """So many groups that are seen at the same moment: who or why changes within a transaction."""
    made = []
    for turn in range(number):
        connection.exec_driver_sql(f"SELECT set_config('audit.username', 'user {turn}', true)")
        made.append(post(connection))
    connection.commit()
    return made


def test_it_asks_again_when_there_was_no_answer(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    answers = iter(["fail", "error"])

    def answer(route: object) -> None:
        what = next(answers, None)
        if what == "fail":
            route.abort()  # type: ignore[attr-defined]
        elif what == "error":
            route.fulfill(status=503, body="busy")  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/news**", answer)
    go_live(page, f"{address}/audit/")
    expect(page.get_by_text("No answer; trying again")).to_be_visible()
    commit(site, "in the end")
    expect(page.get_by_text("in the end")).to_be_visible(timeout=LATER)
    expect(page.get_by_text("No answer; trying again")).to_be_hidden()


@pytest.mark.parametrize("how", ["forbidden", "login", "gone"])
def test_it_stops_and_says_so_when_access_ends(page: Page, site: Blog, address: str, how: str) -> None:
    from playwright.sync_api import expect

    site.app._got_first_request = False
    lost: list[str] = []
    site.app.before_request(lambda: redirect("/login") if "login" in lost else None)
    site.app.add_url_rule("/login", "login", lambda: "who are you?")
    site.audit.access_loader(lambda: "forbidden" not in lost)
    commit(site, "x")
    go_live(page, f"{address}/audit/")
    if how == "gone":
        page.route("**/news**", lambda route: route.fulfill(status=404, body="no"))
    lost.append(how)
    expect(page.get_by_role("status")).to_contain_text("Live has stopped", timeout=LATER)
    expect(switch(page)).to_have_attribute("aria-pressed", "false")


def test_it_asks_nothing_while_nobody_can_see_it(page: Page, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    hide = (
        "hidden => { Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});"
        "document.dispatchEvent(new Event('visibilitychange')); }"
    )
    go_live(page, f"{address}/audit/")
    asked: list[str] = []
    with page.expect_response("**/news**"):
        pass
    page.evaluate(hide, True)
    page.on("request", lambda request: asked.append(request.url))
    commit(site, "meanwhile")
    page.wait_for_function("started => performance.now() - started > 2500", arg=page.evaluate("performance.now()"))
    assert asked == []
    page.evaluate(hide, False)
    expect(page.get_by_text("meanwhile")).to_be_visible(timeout=LATER)


def test_it_works_below_a_prefix(page: Page, site: Blog) -> None:
    from playwright.sync_api import expect

    with served(DispatcherMiddleware(Flask("nothing"), {"/shop": site.app})) as address:
        complaints = complaints_of(page)
        go_live(page, f"{address}/shop/audit/")
        commit(site, "below")
        expect(page.get_by_text("below")).to_be_visible(timeout=LATER)
        assert complaints == []


def test_without_scripts_there_is_no_trace_of_it(browser: Browser, site: Blog, address: str) -> None:
    from playwright.sync_api import expect

    commit(site, "x")
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{address}/audit/")
        expect(page.locator("article")).to_have_count(1)
        for hidden in (".fpa-live", ".fpa-live-cut", ".fpa-keys", ".fpa-dialog"):
            expect(page.locator(hidden)).to_be_hidden()


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_what_arrives_moves_only_for_those_who_like_it(page: Page, site: Blog, address: str, motion: str) -> None:
    from playwright.sync_api import expect

    page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
    go_live(page, f"{address}/audit/")
    commit(site, "x")
    expect(page.locator(".fpa-arrived")).to_be_visible(timeout=LATER)
    name = page.locator(".fpa-arrived").evaluate("group => getComputedStyle(group).animationName")
    assert name == ("none" if motion == "reduce" else "fpa-arrive")
