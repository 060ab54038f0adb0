"""Searches that take too long are cut: windows neither skip nor repeat, and a page says how far it looked."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import Access, AuditError
from flask_pg_audit.history.budget import Budget
from flask_pg_audit.history.feed import search_places
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.paging import Slice
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.recorded import RecordedTable, read_recorded_tables
from flask_pg_audit.history.snapshot import snapshot
from flask_pg_audit.history.transactions import TransactionPage, load_transactions, read_page
from flask_pg_audit.history.windows import Window
from tests.blog import Blog, blog
from tests.capture import execute
from tests.server import Database, DatabaseServer
from tests.wild import wild

#: Transactions in the history.
NUMBER = 16

#: Seconds: none, too few for anything, enough for a part, and enough.
SECONDS = (0.0, 0.002, 0.01, 0.03, 30.0)

#: Milliseconds with which no statement is tried: each page looks through one transaction.
NO_TIME = 1


def write(site: Blog) -> None:
    """Transactions of one and of several changes; one that began before the others and goes on among them."""
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    with engine.connect() as slow, engine.connect() as connection:
        execute(slow, "INSERT INTO post (title) VALUES ('slow apple')")
        for number in range(NUMBER):
            title = "apple" if number % 7 == 3 else "pear"
            rows = f"SELECT '{title} ' || n FROM generate_series(1, {1 + number % 4}) AS n"
            execute(connection, f"INSERT INTO post (title) {rows}")
            if number % 5 == 0:
                execute(connection, "UPDATE post SET title = title || '!' WHERE id < 5")
            connection.commit()
            if number == NUMBER // 2:
                execute(slow, "INSERT INTO post (title) VALUES ('slow apple, later')")
                slow.commit()


@pytest.fixture(scope="module")
def history(server: DatabaseServer, template: str) -> Iterator[Blog]:
    with server.database(template) as database, blog(database.url(), pool={"pool_size": 4}) as site:
        write(site)
        yield site


def instant(site: Blog, share: float) -> Any:
    """When the history was so far."""
    [[at]] = site.rows(f"SELECT min(issued_at) + (max(issued_at) - min(issued_at)) * {share} FROM audit_transaction")
    return at


FILTERS: dict[str, Callable[[Blog], ChangeFilter]] = {
    "everything": lambda site: ChangeFilter(),
    "text": lambda site: ChangeFilter(text=["apple"]),
    "absent text": lambda site: ChangeFilter(text=["cherry"]),
    "changed": lambda site: ChangeFilter(changed=["title"]),
    "nobody": lambda site: ChangeFilter(username=None, operations=["U"]),
    "since": lambda site: ChangeFilter(since=instant(site, 0.4)),
    "period": lambda site: ChangeFilter(since=instant(site, 0.4), until=instant(site, 0.8), text=["apple"]),
    "until": lambda site: ChangeFilter(until=instant(site, 0.6)),
}


@pytest.fixture(params=list(FILTERS))
def where(request: pytest.FixtureRequest, history: Blog) -> ChangeFilter:
    return FILTERS[request.param](history)


@pytest.fixture
def read(history: Blog) -> Iterator[tuple[Connection, Sequence[RecordedTable]]]:
    with history.app.app_context(), snapshot(history.db.engine) as connection:
        yield connection, read_recorded_tables(connection, history.db.metadata)


Read = tuple[Connection, Sequence[RecordedTable]]


def ids(page: TransactionPage) -> list[int]:
    return [transaction.id for transaction in page.transactions]


def walk(read: Read, where: ChangeFilter, limit: int, seconds: float | None, upwards: bool = False) -> list[int]:
    """The transactions of all pages, from one end to the other, in the order of walking."""
    place, found = (0 if upwards else None), []
    for _ in range(20 * NUMBER):
        before, after = (None, place) if upwards else (place, None)
        page = read_page(*read, where, before, after, limit, seconds)
        found += ids(page)[::-1] if upwards else ids(page)
        place = page.newer if upwards else page.older
        if place is None:
            assert page.reached is None
            return found
    raise AssertionError("there is no end to it")


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 9), seconds=st.sampled_from(SECONDS), upwards=st.booleans())
def test_pages_neither_skip_nor_repeat(
    read: Read, where: ChangeFilter, limit: int, seconds: float, upwards: bool
) -> None:
    whole = ids(read_page(*read, where, None, None, 10 * NUMBER))
    assert walk(read, where, limit, seconds, upwards) == (whole[::-1] if upwards else whole)


@pytest.mark.parametrize("upwards", [False, True])
def test_without_any_time_the_end_is_reached(read: Read, where: ChangeFilter, upwards: bool) -> None:
    whole = ids(read_page(*read, where, None, None, 10 * NUMBER))
    assert walk(read, where, 5, 0.0, upwards) == (whole[::-1] if upwards else whole)


def test_the_way_back_shows_what_was_passed(read: Read) -> None:
    where = ChangeFilter(text=["apple"])
    whole = ids(read_page(*read, where, None, None, 10 * NUMBER))
    first = read_page(*read, where, None, None, 5, 0.0)
    assert first.reached is not None and first.older == first.reached.edge
    second = read_page(*read, where, first.older, None, 5, 0.0)
    assert second.newer is not None
    back = read_page(*read, where, None, second.newer, 100)
    passed = [id_ for id_ in whole if id_ > second.newer]
    assert ids(back) == passed


@pytest.mark.parametrize("seconds", [0.0, 0.01, 30.0])
@pytest.mark.parametrize("upwards", [False, True])
def test_changes_are_neither_skipped_nor_repeated(
    read: Read, where: ChangeFilter, seconds: float, upwards: bool
) -> None:
    connection, tables = read

    def search(place: Position | None, limit: int, seconds: float | None) -> Any:
        before, after = (None, place) if upwards else (place, None)
        return search_places(connection, tables, where, Slice(before, after, limit), Budget(seconds))

    start = Position(0, 0) if upwards else None
    whole = search(start, 1_000, None).items
    place, found = start, []
    for _ in range(20 * NUMBER):
        part = search(place, 3, seconds)
        found += part.items
        if part.edge is None and len(part.items) < 3:
            break
        place = Position(part.edge, -(2**63)) if part.edge is not None else part.items[-1][1]
    assert found == whole


@given(first=st.integers(-50, 50), width=st.integers(0, 90), step=st.integers(1, 100), upwards=st.booleans())
def test_a_window_is_cut_without_remains(first: int, width: int, step: int, upwards: bool) -> None:
    piece, rest = Window(first, first + width).cut(step, upwards)
    ends = (piece.first, piece.end, rest.first, rest.end) if upwards else (rest.first, rest.end, piece.first, piece.end)
    assert ends[1] == ends[2] and (ends[0], ends[3]) == (first, first + width)
    assert piece.width == min(step, width)


# The budget


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with snapshot(engine) as connection:
        yield connection


def run(connection: Connection, sql: str) -> Any:
    return connection.execute(sa.text(sql)).scalar()


def test_what_takes_too_long_is_stopped(connection: Connection) -> None:
    run(connection, "SELECT set_config('statement_timeout', '54321', true)")
    assert Budget(0.05).attempt(connection, lambda: run(connection, "SELECT pg_sleep(60)")) is None
    assert Budget(5).attempt(connection, lambda: run(connection, "SELECT 7")) == 7
    assert Budget(0).attempt(connection, lambda: run(connection, "SELECT 7")) is None
    assert run(connection, "SHOW statement_timeout") == "54321ms"


def test_other_errors_are_errors(connection: Connection) -> None:
    with pytest.raises(DBAPIError):
        Budget(5).attempt(connection, lambda: run(connection, "SELECT 1 / 0"))
    assert run(connection, "SELECT 7") == 7


def test_without_time_nothing_is_counted(read: Read) -> None:
    [newest] = read_page(*read, ChangeFilter(), None, None, 1).transactions
    assert newest.is_counted and newest.count > 0
    [same] = load_transactions(*read, ChangeFilter(), [newest.id], Budget(0))
    assert not same.is_counted and same.counts == ()


# Pages


@pytest.fixture
def client(database: Database) -> Iterator[FlaskClient]:
    with blog(database.url(), pool={"pool_size": 4}, AUDIT_SEARCH_BUDGET=NO_TIME) as site:
        site.audit.access_loader(lambda: Access(export=True))
        write(site)
        yield site.app.test_client()


def links(text: str, label: str) -> list[str]:
    return [url.replace("&amp;", "&") for url in re.findall(rf'href="([^"]*)">{label}<', text)]


def test_a_page_never_claims_to_have_looked_everywhere(client: FlaskClient) -> None:
    url, pages = "/audit/?q=cherry", []
    while url:
        page = client.get(url).text
        pages.append(page)
        url = next(iter(links(page, "Search further back")), "")
    assert len(pages) > NUMBER / 2
    assert all("Nothing was found so far." in page for page in pages[:-1])
    assert all(re.search(r"Looked back to \d{4}-\d\d-\d\d [\d:]+ UTC\.", page) for page in pages[:-1])
    assert "Searched 1 transaction." in pages[0] and "There was no time to look further." in pages[0]
    assert not any("Nothing matches." in page for page in pages)
    assert "No change is beyond this place." in pages[-1] and "no time" not in pages[-1]
    assert 'rel="prev"' in pages[-1]


def test_further_forward(client: FlaskClient) -> None:
    answer = client.get("/audit/?q=cherry&after=2")
    assert "Looked forward to" in answer.text
    [url] = links(answer.text, "Search further forward")
    assert f'<{url}>; rel="prev"' in answer.headers["Link"]
    assert "Looked forward to" in client.get(url).text


def test_what_was_not_counted_is_said_to_be_so(client: FlaskClient) -> None:
    page = client.get("/audit/").text
    assert page.count("<article") == 1 and "Changes that were not counted" in page
    assert "0 changes" not in page


def test_the_api_says_that_there_may_be_more(client: FlaskClient) -> None:
    document: Any = client.get("/audit/api/openapi.json").json
    for name, schema in (("transactions", "Transactions"), ("changes", "Changes")):
        checked = Draft202012Validator({**document, "$ref": f"#/components/schemas/{schema}"})
        found, places, older = [], 0, None
        while True:
            answer: Any = client.get(f"/audit/api/{name}", query_string={"q": "apple", "before": older}).json
            checked.validate(answer)
            found += answer[name]
            places, older = places + 1, answer["older"]
            assert answer["is_partial"] is (older is not None)
            assert (answer["searched_to"] is not None) is answer["is_partial"]
            if older is None:
                break
        assert places > NUMBER / 2
        listed = [change for change in found if name == "transactions" or change["operation"] == "insert"]
        assert len({str(one.get("id") or one["position"]) for one in listed}) == len(listed) >= 4


def test_an_excluded_table_that_the_rest_excludes_as_well(client: FlaskClient) -> None:
    """It used to be an error of the server."""
    assert client.get("/audit/?q=-table:user+changed:title").status_code == 200


def test_exports_are_whole(client: FlaskClient) -> None:
    lines = client.get("/audit/export?format=ndjson&q=apple").text.splitlines()
    assert len(lines) > 6


def test_who_sees_a_part_of_the_rows_learns_no_numbers(database: Database) -> None:
    with blog(database.url(), pool={"pool_size": 4}, AUDIT_SEARCH_BUDGET=NO_TIME) as site:
        write(site)
        client = site.app.test_client()
        site.audit.access_loader(lambda: Access(scope=_apples))
        search = client.get("/audit/?q=cherry").text
        assert "There was no time to look further." in search and "Searched" not in search
        for url in ("/audit/overview?range=24h", "/audit/table?name=post&range=24h"):
            page = client.get(url).text
            assert "There was no time to look at all changes" in page
            assert re.search(r'<td class="fpa-number">\d+\+</td>', page)
            assert not re.search(rf">{NUMBER + 1}\b", page)


def _apples(query: Any, table: Any) -> Any:
    columns = query.selected_columns
    return query.where(columns.title == "apple 1" if table.name == "post" else sa.false())


def test_as_long_as_it_takes(database: Database) -> None:
    with blog(database.url(), pool={"pool_size": 4}, AUDIT_SEARCH_BUDGET=None) as site:
        write(site)
        site.audit.access_loader(lambda: True)
        assert "Nothing matches." in site.app.test_client().get("/audit/?q=cherry").text


# Short pages


@pytest.mark.parametrize("url", ["/audit/", "/audit/transaction?id={newest}", "/audit/record?table=thing&key=1"])
def test_pages_of_500_stay_below_200_kilobytes(database: Database, url: str) -> None:
    with wild(database.url(), AUDIT_PAGE_SIZE=500) as site:
        site.insert(body="the first")
        engine = create_engine(site.url)
        with engine.connect() as connection:
            for number in range(300):
                execute(connection, f"UPDATE thing SET body = '{number} <&>' WHERE id = 1")
                connection.commit()
        engine.dispose()
        site.execute("INSERT INTO thing (body) SELECT 'row <&> ' || n FROM generate_series(1, 400) AS n")
        url = url.format(newest=_newest_id(site.page()))
        down, end = _walk(site.client, url, "next")
        up, _ = _walk(site.client, end, "prev")
        assert len(down) == len(set(down)) >= 301
        assert set(up) == set(down)


def _newest_id(page: str) -> str:
    found = re.search(r'<article class="fpa-group" id="t(\d+)"', page)
    assert found
    return found[1]


def _walk(client: FlaskClient, url: str, rel: str) -> tuple[list[str], str]:
    """What is on all pages, and the last of them."""
    seen: list[str] = []
    while True:
        answer = client.get(url)
        assert answer.status_code == 200
        assert len(answer.get_data()) <= 200_000
        rows = re.findall(r'<article class="[^"]*"[^>]* id="([^"]+)"', answer.text)
        seen += rows
        following = re.search(rf'<([^>]*)>; rel="{rel}"', ", ".join(answer.headers.getlist("Link")))
        if following is None:
            return seen, url
        url = following[1]


@pytest.mark.parametrize("value", [0, 60_001, "200", True])
def test_a_budget_that_is_none(value: object, database: Database) -> None:
    wanted = "AUDIT_SEARCH_BUDGET must be milliseconds from 1 to 60,000, or None"
    with pytest.raises(AuditError, match=wanted), blog(database.url(), install=False, AUDIT_SEARCH_BUDGET=value):
        pass
