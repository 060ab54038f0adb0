"""The live tail, as far as the server goes: nothing is missed, nothing is told twice, and little is asked of it."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qsl

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, NullPool, create_engine, event, text
from werkzeug.test import TestResponse

from flask_pg_audit import Access
from flask_pg_audit.history.arrivals import MANY, Mark, Sight
from flask_pg_audit.ui import tail
from tests.blog import Blog, blog
from tests.server import Database
from tests.test_ui_access import only_mine


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_PAGE_SIZE=5) as made:
        made.audit.access_loader(lambda: Access(export=True))
        yield made


@dataclass
class Page:
    """The newest page of the feed as a browser has it open."""

    client: FlaskClient
    query: dict[str, str] = field(default_factory=dict)
    shown: list[int] = field(default_factory=list)
    url: str = ""
    mark: str = ""
    bottom: str | None = None

    def open(self) -> Page:
        page = self.client.get("/audit/", query_string=self.query).text
        self.shown = numbers(page)
        self.url, self.mark = (html.unescape(attribute(page, name) or "") for name in ("url", "mark"))
        self.bottom = attribute(page, "bottom")
        return self

    def ask(self, **more: Any) -> TestResponse:
        known = sorted(self.shown, reverse=True)
        steps = [str(number) for number in (*known[:1], *(higher - lower for higher, lower in pairwise(known)))]
        arguments = {"mark": self.mark, "known": ".".join(steps), "bottom": self.bottom, **more}
        path, _, query = self.url.partition("?")
        given = {**dict(parse_qsl(query)), **{name: value for name, value in arguments.items() if value is not None}}
        return self.client.get(path, query_string=given)

    def news(self) -> list[int]:
        """What one question tells; the page shows it from then on."""
        answer = self.ask()
        assert answer.status_code in (200, 204), answer.text
        self.mark = answer.headers.get("X-Audit-Mark", self.mark)
        self.bottom = attribute(answer.text, "bottom") or self.bottom
        new = numbers(answer.text)
        assert not set(new) & set(self.shown) and (answer.status_code == 200) == bool(new)
        self.shown = sorted({*self.shown, *new}, reverse=True)
        if self.bottom is not None:
            self.shown = [number for number in self.shown if number >= int(self.bottom)]
        return new


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<article[^>]* data-fpa-id="(-?\d+)"', page)]


def attribute(page: str, name: str) -> str | None:
    found = re.search(rf'data-fpa-{name}="([^"]*)"', page)
    return None if found is None else found[1]


@contextmanager
def writer(site: Blog) -> Iterator[Connection]:
    """Somebody else, in a transaction of their own."""
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def post(connection: Connection, title: str = "x", number: int = 1) -> int:
    """A change; the number of its transaction."""
    connection.execute(
        text("INSERT INTO post (title) SELECT :title FROM generate_series(1, :n)"), {"title": title, "n": number}
    )
    return int(connection.execute(text("SELECT current_setting('audit.transaction_id')::bigint")).scalar_one())


def commit(site: Blog, *titles: str) -> list[int]:
    """Each in a transaction of its own."""
    with writer(site) as connection:
        made = []
        for title in titles:
            made.append(post(connection, title))
            connection.commit()
    return made


def views(site: Blog) -> list[tuple[Any, ...]]:
    return site.rows("SELECT action, query, row_count FROM audit_view WHERE page = 'audit.news' ORDER BY id")


@contextmanager
def statements(site: Blog) -> Iterator[list[str]]:
    """What the app's engine is asked meanwhile."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    with site.app.app_context():
        engine = site.db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


# What is told


def test_new_transactions_are_told_once_newest_first_as_the_page_shows_them(site: Blog) -> None:
    commit(site, "old")
    page = Page(site.app.test_client()).open()
    assert page.ask().status_code == 204
    made = commit(site, "first", "<script>second</script>")
    answer = page.ask()
    assert answer.mimetype == "text/html" and "Content-Security-Policy" in answer.headers
    assert "&lt;script&gt;second" in answer.text and "<script" not in answer.text and "<title" not in answer.text
    assert not re.search(r"<style| style=| on\w+=|javascript:", answer.text)
    assert attribute(answer.text, "pill") == "2 new" and attribute(answer.text, "said") == "2 new transactions"
    on_the_page = page.client.get("/audit/").text.split("<article")
    assert answer.text.split("<article")[1].split("</article>")[0] == on_the_page[1].split("</article>")[0]
    assert page.news() == made[::-1]
    assert page.news() == []


def test_a_transaction_that_commits_after_one_with_a_higher_number_is_not_missed(site: Blog) -> None:
    commit(site, "old")
    with writer(site) as late:
        low = post(late)
        page = Page(site.app.test_client()).open()
        [high] = commit(site, "overtakes")
        assert high > low and page.news() == [high]
        assert page.news() == []
        late.commit()
    assert page.news() == [low]
    assert page.shown == numbers(page.client.get("/audit/").text)
    assert page.news() == []


def test_one_that_began_before_the_page_was_read_is_not_missed_either(site: Blog) -> None:
    with writer(site) as late:
        low = post(late)
        commit(site, "overtakes")
        page = Page(site.app.test_client()).open()
        assert page.ask().status_code == 204
        late.commit()
    assert page.news() == [low]


def test_late_ones_of_a_search_that_has_found_nothing_are_not_missed(site: Blog) -> None:
    with writer(site) as late, writer(site) as later:
        low, high = post(late, "wanted"), post(later, "wanted")
        commit(site, *"abc")
        page = Page(site.app.test_client(), {"q": "new.title:wanted"}).open()
        assert page.shown == [] and page.news() == []
        later.commit()
        commit(site, *"abc")
        assert page.news() == [high] and page.news() == []
        late.commit()
        assert page.news() == [low] and page.news() == []


def test_one_that_is_rolled_back_holds_nothing_up(site: Blog) -> None:
    with writer(site) as gone:
        post(gone)
        commit(site, "overtakes")
        page = Page(site.app.test_client()).open()
        assert page.ask().status_code == 204
        gone.rollback()
    assert page.news() == []
    with statements(site) as asked:
        assert page.news() == []
    assert len(asked) == 1


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["begin", "commit", "rollback", "poll"]), max_size=30), choices=st.randoms())
def test_whatever_the_order_in_the_end_the_page_is_that_which_one_would_load(
    tail_site: Blog, steps: Sequence[str], choices: Any
) -> None:
    """Transactions begin, change something, commit and roll back in any order, and the page asks in between."""
    page, open_ones = Page(tail_site.app.test_client()).open(), list[Any]()
    engine = create_engine(tail_site.app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    for step in steps:
        if step == "begin":
            open_ones.append(engine.connect())
            post(open_ones[-1])
        elif step == "poll":
            page.news()
        elif open_ones:
            with closing(open_ones.pop(choices.randrange(len(open_ones)))) as connection:
                getattr(connection, step)()
    for connection in open_ones:
        connection.close()
    while page.news():
        pass
    newest = numbers(page.client.get("/audit/").text)
    assert page.shown[: len(newest)] == newest


@pytest.fixture(scope="module")
def tail_site(server: Any, template: str) -> Iterator[Blog]:
    with server.database(template) as database, blog(database.url(), AUDIT_PAGE_SIZE=5) as made:
        made.audit.access_loader(lambda: True)
        yield made


# How a mark advances


def test_what_was_pending_settles_when_those_under_way_have_ended() -> None:
    first = Mark().advanced(Sight(10, frozenset({"1/1", "2/2"})))
    assert (first.settled, first.pending) == (Mark().settled, 10)
    held = first.advanced(Sight(20, frozenset({"2/2", "3/3"})))
    assert (held.settled, held.pending, held.newest) == (Mark().settled, 10, 20)
    settled = held.advanced(Sight(30, frozenset({"3/3"})))
    assert (settled.settled, settled.pending) == (10, 30)
    assert settled.advanced(Sight(40, frozenset())) == Mark(40, 40, 40)


def test_with_very_many_under_way_it_waits_for_fewer() -> None:
    many = frozenset(f"{number}/1" for number in range(MANY + 1))
    crowded = Mark(5, 9, 8, frozenset({"x/1"})).advanced(Sight(10, many))
    assert crowded == Mark(8, 10, 8)
    assert crowded.advanced(Sight(12, frozenset({"y/1"}))) == Mark(8, 12, 12, frozenset({"y/1"}))


# Pages that grow, and pages that were away


def test_a_page_reaches_down_to_its_last_group(site: Blog) -> None:
    """What is below is on the next page, which is read when somebody goes there."""
    with writer(site) as late:
        post(late)
        made = commit(site, *"abcdef")
        page = Page(site.app.test_client()).open()
        assert page.shown == made[:0:-1] and page.bottom == str(made[1])
        late.commit()
    assert page.news() == []


def test_more_than_a_page_holds_begins_a_new_one_and_says_so(site: Blog) -> None:
    commit(site, "old")
    page = Page(site.app.test_client()).open()
    made = commit(site, *"abcdefgh")
    answer = page.ask(waiting="3", unsaid="2")
    assert attribute(answer.text, "pill") == "more than 8 new"
    assert attribute(answer.text, "said") == "more than 7 new transactions"
    assert attribute(answer.text, "waiting") == "8+"
    assert page.news() == made[:2:-1] and page.bottom == str(made[3])
    assert page.shown == numbers(page.client.get("/audit/").text)
    assert attribute(page.ask(waiting="8+").text, "pill") is None
    [another] = commit(site, "i")
    answer = page.ask(waiting="8+", unsaid="0")
    assert attribute(answer.text, "pill") == "more than 9 new" and attribute(answer.text, "said") == "1 new transaction"
    assert page.news() == [another]


def test_late_commits_are_looked_for_as_far_as_is_said(site: Blog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "REACH", 3)
    with writer(site) as late, writer(site) as later:
        post(late, "wanted")
        commit(site, *"abc")
        near = post(later, "wanted")
        commit(site, "d")
        page = Page(site.app.test_client(), {"q": "new.title:wanted"}).open()
        late.commit()
        later.commit()
    assert page.news() == [near]
    # What is newer than the page is never too far.
    made = commit(site, *["wanted"] * 4, *"efghijkl")
    assert page.news() == made[3::-1]


@contextmanager
def hurried(database: Database) -> Iterator[Blog]:
    """The same app on another server, where there is no time to search."""
    with blog(database.url(), install=False, AUDIT_PAGE_SIZE=5, AUDIT_SEARCH_BUDGET=1) as made:
        made.audit.access_loader(lambda: True)
        yield made


def test_where_there_is_no_time_to_look_at_all_that_is_new_the_page_begins_anew(site: Blog, database: Database) -> None:
    query = {"q": "new.title:wanted"}
    made = commit(site, *["wanted"] * 3)
    page = Page(site.app.test_client(), query).open()
    with hurried(database) as other:
        page.client = other.app.test_client()
        for _ in range(3):
            first, *_, last = commit(site, "wanted", *"abc", "wanted")
            made += [first, last]
            page.news()
            assert page.bottom is not None
            assert page.shown == [number for number in made[::-1] if number >= int(page.bottom)]


def test_where_there_is_no_time_to_look_for_late_ones_they_are_looked_for_again(site: Blog, database: Database) -> None:
    query = {"q": "new.title:wanted"}
    with writer(site) as late:
        low = post(late, "wanted")
        commit(site, *"abcdef")
        page = Page(site.app.test_client(), query).open()
        late.commit()
    with hurried(database) as other:
        client, page.client = page.client, other.app.test_client()
        assert page.news() == [] and page.bottom is None
    page.client = client
    assert page.news() == [low]


def test_news_are_no_larger_than_a_page(database: Database) -> None:
    with blog(database.url(), AUDIT_PAGE_SIZE=500) as site:
        site.audit.access_loader(lambda: True)
        page = Page(site.app.test_client()).open()
        with writer(site) as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
                "DO $$ BEGIN FOR n IN 1..200 LOOP INSERT INTO post (title) VALUES (repeat('<', 80)); COMMIT; "
                "END LOOP; END $$"
            )
        answer = page.ask()
        told = numbers(answer.text)
        assert len(answer.data) < 200_000 and 25 <= len(told) < 200
        assert attribute(answer.text, "bottom") == str(told[-1])
        assert attribute(answer.text, "pill") == f"more than {len(told)} new"
        assert site.rows("SELECT row_count FROM audit_view WHERE page = 'audit.news'") == [(len(told),)]


def test_only_the_newest_page_has_it(site: Blog) -> None:
    [*_, last] = commit(site, *"abcdefg")
    client = site.app.test_client()
    assert "data-fpa-live" in client.get("/audit/").text and "tail.js" in client.get("/audit/?q=op:insert").text
    for url in (f"/audit/?before={last}", "/audit/?after=0", "/audit/?q=nonsense:", f"/audit/transaction?id={last}"):
        assert "data-fpa-live" not in client.get(url).text and "tail.js" not in client.get(url).text


def test_the_query_and_the_place_are_kept_under_any_prefix(site: Blog) -> None:
    client = site.app.test_client()
    page = client.get("/audit/?q=actor:alice&tz=Asia/Tokyo", base_url="http://localhost/shop/").text
    assert html.unescape(attribute(page, "url") or "") == "/shop/audit/news?tz=Asia/Tokyo&q=actor:alice"
    assert all(url.startswith("/shop/audit/static/") for url in re.findall(r'<script src="([^"]*)', page))


# Access


def test_what_is_out_of_scope_is_no_news(site: Blog) -> None:
    site.audit.access_loader(lambda: Access(scope=only_mine))
    page = Page(site.app.test_client()).open()
    commit(site, "theirs")
    assert page.news() == []
    with writer(site) as connection:
        both = post(connection, "theirs", 7)
        post(connection, "mine")
        connection.commit()
    answer = page.ask()
    assert "theirs" not in answer.text and ">1 change" in answer.text
    assert page.news() == [both]


def test_a_hidden_table_or_column_is_no_news(site: Blog) -> None:
    page = Page(site.app.test_client()).open()
    commit(site, "secret")
    site.audit.access_loader(lambda: Access(tables=lambda table: table.name != "post"))
    assert page.ask().status_code == 204
    site.audit.access_loader(lambda: Access(tables=lambda table: False))
    assert page.ask().status_code == 204
    site.audit.access_loader(lambda: Access(columns=lambda table, name: name != "title"))
    answer = page.ask()
    assert answer.status_code == 200 and not re.search("secret|>title<", answer.text)


def test_who_loses_access_gets_nothing_more(site: Blog) -> None:
    page = Page(site.app.test_client()).open()
    commit(site, "x")
    site.audit.access_loader(lambda: False)
    assert page.ask().status_code == 403


# Who reads the log


def test_news_are_recorded_and_questions_without_an_answer_are_not(site: Blog) -> None:
    page = Page(site.app.test_client()).open()
    search = Page(site.app.test_client(), {"q": "new.title:wanted"}).open()
    commit(site, "wanted", "x")
    for _ in range(3):
        page.news()
        search.news()
    assert views(site) == [("view", {}, 2), ("search", {"q": "new.title:wanted"}, 1)]


def test_a_question_that_no_page_gave_the_mark_for_is_recorded_whatever_the_answer(site: Blog) -> None:
    """Or one could find out what is not in the log without being seen."""
    commit(site, "x")
    page, client = Page(site.app.test_client()).open(), site.app.test_client()
    query = {"q": "new.title:wanted"}
    for mark in ("", "nonsense", page.mark[:-1], page.mark + ".", page.mark, "é", "\0"):
        answer = client.get("/audit/news", query_string={**query, "mark": mark})
        assert answer.status_code == 204 and answer.headers["X-Audit-Mark"]
    assert views(site) == [("search", query, 0)] * 7
    # It goes on from there as any other.
    assert client.get("/audit/news", query_string={**query, "mark": answer.headers["X-Audit-Mark"]}).status_code == 204
    assert len(views(site)) == 7


def test_marks_hold_in_every_process_of_an_app_that_has_a_key(site: Blog, database: Database) -> None:
    page = Page(site.app.test_client()).open()
    with blog(database.url(), install=False) as other:
        other.audit.access_loader(lambda: True)
        for key, recorded in (("test", 0), ("other", 1), (None, 2)):
            other.app.secret_key = key
            page.client = other.app.test_client()
            assert page.ask().status_code == 204
            assert len(views(site)) == recorded
        # Without a key a process believes itself.
        page = Page(other.app.test_client()).open()
        assert page.ask().status_code == 204 and len(views(site)) == 2


# What it costs


def test_nothing_new_costs_one_look_into_an_index_and_no_user(database: Database) -> None:
    # A second connection, for the page to find out who alice is.
    with blog(database.url(), pool={}) as site:
        site.audit.access_loader(lambda: True)
        client = site.app.test_client()
        client.post("/signup/alice")
        page = Page(client).open()
        site.user_lookups.clear()
        with statements(site) as asked:
            assert page.ask().status_code == 204
        assert len(asked) == 1 and "max(audit_transaction.id)" in asked[0]
        assert site.user_lookups == []


def test_marks_fit_into_an_address(site: Blog) -> None:
    with site.app.test_request_context("/audit/"):
        widest = 2**63 - 1
        mark = tail.write_mark(Mark(-widest, widest, widest, frozenset(f"{n}/{2**32}" for n in range(100, 100 + MANY))))
        assert len(mark) < 900
        with site.app.test_request_context("/audit/", query_string={"mark": mark}):
            assert tail.read_mark() == Mark(
                -widest, widest, widest, frozenset(f"{n}/{2**32}" for n in range(100, 100 + MANY))
            )


# Nonsense


@pytest.mark.parametrize(
    "arguments",
    [
        {"known": "x"},
        {"known": "1..2"},
        {"known": "1" * 20},
        {"known": ".".join("1" * 1001)},
        {"known": "1." * 30_000},
        {"bottom": "x"},
        {"bottom": str(2**63)},
        {"waiting": "-1"},
        {"waiting": "1" * 10},
        {"unsaid": "1++"},
        {"unsaid": "٣"},
        {"q": "nonsense:"},
        {"bind": "none"},
        {"tz": "Nowhere"},
    ],
)
def test_nonsense_is_a_bad_request(site: Blog, arguments: dict[str, str]) -> None:
    commit(site, "x")
    answer = site.app.test_client().get("/audit/news", query_string=arguments)
    assert answer.status_code == 400, answer.text


@settings(max_examples=60, deadline=None)
@given(
    arguments=st.dictionaries(
        st.sampled_from(["mark", "known", "bottom", "waiting", "unsaid", "q", "tz", "bind"]), st.text(max_size=30)
    )
)
def test_no_argument_is_an_error_of_the_server(tail_site: Blog, arguments: dict[str, str]) -> None:
    answer = tail_site.app.test_client().get("/audit/news", query_string=arguments)
    assert answer.status_code in (200, 204, 400)


def test_the_lowest_number_there_is_can_be_the_bottom(site: Blog) -> None:
    made = commit(site, "x")
    answer = site.app.test_client().get(f"/audit/news?bottom={-(2**63)}")
    assert numbers(answer.text) == made
