"""The pages in the language that Flask-Babel says: which texts, how they are filled in, and what stays as it is."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_babel import Babel, force_locale
from jinja2 import DictLoader

from flask_pg_audit import Access
from flask_pg_audit.ui.language import gettext, ngettext, template_gettext, template_ngettext
from flask_pg_audit.ui.numbers import format_number
from flask_pg_audit.ui.size import format_size
from tests.blog import blog
from tests.languages import PSEUDO, Host, unmarked, write_catalog, write_pseudo_catalog
from tests.orders import Shop, shop, text_of
from tests.server import Database
from tests.ui_routes import read_all, read_pages
from tests.wild import wild


@pytest.fixture
def site(database: Database) -> Iterator[Shop]:
    settings = {"AUDIT_PAGE_SIZE": 5, "AUDIT_UI_TIME_ZONE": "Asia/Tokyo", "AUDIT_UI_REVERT": True, "SECRET_KEY": "test"}
    with shop(database.url(), **settings) as made:
        yield made


def open_(site: Shop, url: str, status: int = 200) -> str:
    answer = site.client.get(f"/audit/{url}")
    assert answer.status_code == status, answer.text
    return answer.text


# Without Flask-Babel


def test_without_a_request_texts_are_english() -> None:
    assert gettext("Tables") == "Tables"
    assert gettext("from %(old)s to %(new)s", old=1, new="50%") == "from 1 to 50%"
    assert gettext("100% of it") == "100% of it" and gettext("") == ""
    assert ngettext("%(num)s row", "%(num)s rows", 1) == "1 row"
    assert ngettext("%(num)s row", "%(num)s rows", 12_345) == "12,345 rows"
    assert ngettext("%(num)s row", "%(num)s rows", 10_000, num="10,000+") == "10,000+ rows"


def test_sizes_are_in_the_unit_that_leaves_them_below_a_thousand() -> None:
    sizes = [0, 999, 1000, 1_234_000, 999_949_999, 999_950_000, 10**15]
    assert [format_size(size) for size in sizes] == [
        "0 bytes",
        "999 bytes",
        "1.0 kB",
        "1.2 MB",
        "999.9 MB",
        "1.0 GB",
        "1.0 PB",
    ]


def test_in_templates_texts_and_values_are_escaped_and_markup_stays() -> None:
    assert template_gettext('"%(name)s" <', name="<i>") == "&#34;&lt;i&gt;&#34; &lt;"
    assert template_gettext("%(name)s", name=template_gettext("<")) == "&lt;"
    assert template_ngettext("%(num)s %(what)s", "%(num)s %(what)ss", 2000, what="<b>") == "2,000 &lt;b&gt;s"


def test_flask_babel_is_needed_for_nothing(database: Database) -> None:
    program = """
import sys
sys.modules["flask_babel"] = sys.modules["babel"] = sys.modules["pytz"] = None
from sqlalchemy import make_url
from flask_pg_audit import Access
from tests.blog import blog
from tests.ui_routes import read_all
with blog(make_url(sys.argv[1]), AUDIT_UI_REVERT=True) as site:
    site.audit.access_loader(lambda: Access(export=True, revert=True))
    client = site.app.test_client()
    client.post("/posts?title=x")
    for url, status, text in read_all(site, client):
        assert status == 200, (url, status)
    page = client.get("/audit/").text
    assert '<html lang="en" dir="ltr"' in page and "Nothing matches" not in page
    assert ">1 change</a>" in " ".join(page.split()).replace(" </a>", "</a>"), page
"""
    url = database.url().render_as_string(hide_password=False)
    subprocess.run([sys.executable, "-W", "error", "-c", program, url], check=True, cwd=Path(__file__).parent.parent)


def test_flask_babel_is_not_imported_before_a_page_needs_it() -> None:
    program = "import sys, flask_pg_audit; assert not {'flask_babel', 'babel'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent.parent)


def test_an_app_that_did_not_set_it_up_speaks_english(site: Shop) -> None:
    assert '<html lang="en" dir="ltr"' in site.get("") and "Nothing has been recorded yet." in site.get("")


def test_another_extension_of_that_name_is_left_alone(site: Shop) -> None:
    site.app.extensions["babel"] = object()
    assert "Nothing has been recorded yet." in site.get("")


# German


def test_german(site: Shop) -> None:
    Host(site.app, "de_AT")
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'neu')", "UPDATE \"order\" SET note = 'bezahlt'")
    site.run("INSERT INTO line (order_id, product) SELECT 1, 'tea' FROM generate_series(1, 1234)")
    page = site.get("")
    text = text_of(page)
    assert '<html lang="de-AT" dir="ltr"' in page and "<title>Änderungsprotokoll</title>" in page
    assert "1.234 Zeilen" in text and "1 Änderung" in text and "von neu zu bezahlt" in text
    assert re.search(r'fpa-day">\w+, \d+\. \w+ \d{4}<', page)
    # What stands beside a change is the same in every language.
    assert re.search(r">\d\d:\d\d:\d\d UTC<", page)
    for url in ("overview", "table", "table?name=order", "views", "record?table=order&key=1"):
        assert 'lang="de-AT"' in open_(site, url) and "Änderungsprotokoll</title>" in open_(site, url)


def test_each_request_is_in_its_own_language(site: Shop) -> None:
    host = Host(site.app)
    pages = []
    for locale in ("de", None, "de", "en"):
        host.locale = locale
        pages.append(text_of(site.get("overview")))
    german, english = pages[0], pages[1]
    assert "Wer am meisten geändert hat" in german and "7 Tage" in german
    assert "Who changed most" in english and "7 days" in english
    assert [german.split()[0], english.split()[0]] * 2 == [page.split()[0] for page in pages]


def test_what_the_search_does_not_understand_is_said_in_german(site: Shop) -> None:
    Host(site.app, "de")
    mistakes = {
        "tabel:order": "es gibt keine Bedingung 'tabel'; ist table gemeint?",
        "op:updat": "es gibt keine Operation 'updat'",
        "at:gestern": "'gestern' ist keine Zeitangabe; eine Zeitangabe ist 2026-01-31,",
        'note:"a"b': "nach einem schließenden Anführungszeichen",
        'actor:"a': "das schließende Anführungszeichen fehlt",
        "x" * 2001: "die Suche hat 2.001 Zeichen; erlaubt sind 2.000",
    }
    for query, sentence in mistakes.items():
        assert sentence in html.unescape(re.sub("<[^>]*>", "", site.get("", q=query))), query


def test_refusals_are_in_german(site: Shop) -> None:
    Host(site.app, "de")
    assert "Diesen Datensatz gibt es nicht" in site.get("record", 404, table="order", key="1")
    assert "keine Nummer einer Transaktion" in site.get("", 400, before="x")
    site.run("DROP TABLE order_audit CASCADE")
    answer = site.get("", 503)
    assert "Nicht installiert" in answer and 'lang="de"' in answer
    site.audit.access_loader(lambda: False)
    assert "Es fehlt die Berechtigung" in site.get("", 403)


def test_programs_are_told_the_same_in_every_language(site: Shop) -> None:
    Host(site.app, "de")
    for url in ("api/changes?q=tabel:order", "api/changes?before=x", "api/transactions?before=1&after=2"):
        german = open_(site, url, 400)
        assert " is no " in german or "there is no condition" in german or "not both" in german
    answer = site.client.get("/audit/record?table=order&key=1", headers={"Accept": "application/json"})
    assert answer.json == {"error": "There is no such record, or it is not yours to see."}
    site.run('INSERT INTO "order" VALUES (1)')
    [change] = json.loads(site.get("api/changes"))["changes"]
    assert change["operation"] == "insert"


def test_words_of_the_search_language_are_the_same_in_every_language(site: Shop) -> None:
    Host(site.app, "de")
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'x')")
    page = site.get("", q="op:insert actor:nobody")
    assert "<option selected>insert</option>" in page and "<option selected>order" not in page
    assert 'value="op:insert actor:nobody"' in page and 'placeholder="actor:alice ' in page
    assert "eingefügt" in text_of(page)


def test_findings_of_check_are_marked_as_english(site: Shop) -> None:
    Host(site.app, "de")
    site.run('DROP TRIGGER "public_order_audit_insert" ON "order"')
    page = site.get("overview")
    assert "Die Aufzeichnung braucht Aufmerksamkeit" in page
    assert re.search(r'<dd lang="en" dir="ltr">', page)


# Other languages, and a host's own catalogs


def test_without_a_catalog_of_the_language_the_page_is_english_and_says_so(site: Shop) -> None:
    Host(site.app, "fr")
    site.run("INSERT INTO line (product) SELECT 'tea' FROM generate_series(1, 1234)")
    page = site.get("")
    assert '<html lang="en" dir="ltr"' in page and "1,234 rows" in text_of(page)


def test_a_host_adds_a_language(site: Shop, tmp_path: Path) -> None:
    Host(site.app, "fr_CA", write_catalog(tmp_path, "fr", {"Overview": "Vue d'ensemble"}))
    page = site.get("overview")
    assert '<html lang="fr-CA"' in page and "Vue d&#39;ensemble</h1>" in page
    assert "Who changed most" in page  # what it lacks


def test_a_host_replaces_some_of_our_texts(site: Shop, tmp_path: Path) -> None:
    first = write_catalog(tmp_path / "first", "de", {"Overview": "Lage", "Tables": "Tafeln"})
    last = write_catalog(tmp_path / "last", "de", {"Overview": "Überblick"})
    Host(site.app, "de", first, last)
    text = site.get("overview")
    assert ">Überblick</h1>" in text and ">Tafeln</a>" in text and "Wer am meisten geändert hat" in text


def test_a_country_before_the_language(site: Shop, tmp_path: Path) -> None:
    write_catalog(tmp_path, "zh_Hant", {"Overview": "概覽", "Tables": "資料表"})
    write_catalog(tmp_path, "zh_Hant_HK", {"Overview": "總覽"})
    Host(site.app, "zh_Hant_HK", tmp_path)
    page = site.get("overview")
    assert 'lang="zh-Hant-HK"' in page and "總覽</h1>" in page and "資料表" in page


def test_plurals_are_those_of_the_catalog_that_has_the_text(site: Shop, tmp_path: Path) -> None:
    rows = ("%(num)s row", "%(num)s rows")
    forms = ("%(num)s a", "%(num)s b", "%(num)s c", "%(num)s d", "%(num)s e", "%(num)s f")
    write_catalog(tmp_path, "ar", {rows: forms})
    Host(site.app, "ar", tmp_path, tmp_path / "nothing")
    with site.app.test_request_context():
        assert [ngettext(*rows, number)[-1] for number in (0, 1, 2, 3, 11, 100)] == list("abcdfe")


def test_right_to_left(site: Shop, tmp_path: Path) -> None:
    Host(site.app, "ar", write_catalog(tmp_path, "ar", {"Overview": "نظرة عامة"}))
    assert '<html lang="ar" dir="rtl"' in site.get("overview")
    assert 'lang="ar" dir="rtl"' in site.get("record", 404, table="order", key="1")


def test_inside_a_host_of_another_language_the_pages_say_theirs(site: Shop, tmp_path: Path) -> None:
    """The host's own gettext and its domain know nothing of our texts, nor ours of the host's."""
    write_catalog(tmp_path, "he", {"Overview": "ours", "Hello": "never"})
    write_catalog(tmp_path, "he", {"Overview": "never", "Hello": "Shalom"}, domain="messages")
    site.app.config["BABEL_TRANSLATION_DIRECTORIES"] = str(tmp_path)
    with_base(site)
    Host(site.app, "he", tmp_path)
    page = site.get("overview")
    assert "<p>Shalom</p>" in page and '<div class="fpa-root fpa-hosted" lang="he" dir="rtl">' in page
    assert "ours</h1>" in page and "never" not in page


def with_base(site: Shop) -> None:
    """A template of the host's, which it translates as Flask-Babel documents it."""
    config: Any = site.app.extensions["audit"].config
    object.__setattr__(config, "ui_base_template", "base.html")
    base = '<html lang="fr"><title>{% block title %}{% endblock %}</title>{% block head %}{% endblock %}'
    text = base + "<p>{{ _('Hello') }}</p>{% block content %}{% endblock %}"
    site.app.jinja_loader = DictLoader({"base.html": text})


def test_a_locale_that_cannot_be_told_costs_the_language_not_the_page(
    site: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> str:
        raise LookupError("no such user")

    Babel(site.app, locale_selector=broken)
    page = site.get("overview")
    assert '<html lang="en"' in page and "Who changed most" in page
    assert caplog.text.count("cannot tell the request's locale") == 1
    Babel(site.app, locale_selector=lambda: "tlh_XX")
    assert "Who changed most" in site.get("overview")


def test_a_placeholder_that_a_translator_misspelt_costs_the_translation_not_the_page(
    site: Shop, tmp_path: Path
) -> None:
    rows = ("%(num)s row", "%(num)s rows")
    texts: Any = {"Times are in %(zone)s.": "Zeit: %(zona)s, 100%", rows: ("%(nun)s Z", "%(num)s % Z")}
    Host(site.app, "de", write_catalog(tmp_path, "de", texts))
    site.run("INSERT INTO line (product) SELECT 'tea' FROM generate_series(1, 9)")
    page = site.get("")
    assert "Times are in UTC." in page and "9 rows" in text_of(page)


def test_neither_values_nor_translations_are_markup(site: Shop, tmp_path: Path) -> None:
    Host(
        site.app,
        "de",
        write_catalog(tmp_path, "de", {"Newest": "<b>", "from %(old)s to %(new)s": "<i>%(new)s, %(old)s"}),
    )
    site.run("INSERT INTO \"order\" VALUES (1, 1, '<u>a')", "UPDATE \"order\" SET note = '<u>b'")
    page = site.get("")
    assert "<u>" not in page and "<i>" not in page and "&lt;u&gt;b" in page
    assert page.index("&lt;i&gt;") < page.rindex("&lt;u&gt;b")


def test_a_command_or_a_job_can_choose_the_language() -> None:
    app = Flask(__name__)
    Babel(app)
    with app.app_context():
        assert gettext("Tables") == "Tables"
        with force_locale("de"):
            assert gettext("Tables") == "Tabellen" and format_number(12345) == "12.345"
            assert format_size(1_234_567) == "1,2 MB"
        assert gettext("Tables") == "Tables"


# Every page, in a language in which every text of ours is marked


@pytest.fixture
def pseudo(tmp_path: Path) -> Path:
    return write_pseudo_catalog(tmp_path)


def check(page: str) -> None:
    assert unmarked(page) == []


def test_a_page_that_says_something_of_its_own_is_noticed() -> None:
    page = '<p title="⟦a⟧ b">⟦c <b>⟦d⟧ e</b>⟧<i>f</i> <bdi>data</bdi> 12</p><br><a aria-label="g">⟦h⟧</a>'
    assert unmarked(page) == ["b", "f", "g"]


def test_every_route_is_translated(database: Database, pseudo: Path) -> None:
    with blog(database.url(), AUDIT_PAGE_SIZE=5, AUDIT_UI_REVERT=True) as made:
        made.audit.access_loader(lambda: Access(export=True, revert=True))
        host = Host(made.app, PSEUDO, pseudo)
        client = made.app.test_client()
        client.post("/signup/alice")
        for number in range(12):
            client.post(f"/posts?title={number}")
        # Somebody else reads: to know who alice is takes a connection, and the blog has but one.
        client = made.app.test_client()
        for page in read_pages(made, client):
            check(page)
        host.locale = "en"
        assert all("⟦" not in text for _, _, text in read_all(made, client))


URLS = [
    "",
    "?q=tabel:order",
    "?q=op:x+at:x+new:x+key:1+transaction:x+%22x",
    "?q=" + "x" * 2001,
    "?q=nothing",
    "?q=table:order+op:update&tz=local",
    "?before=1",
    "?tz=nowhere",
    "?bind=nothing",
    "?before=x",
    "?before=1&after=1",
    "table",
    "table?name=order",
    "table?name=order&range=1y",
    "table?name=nothing",
    "overview?range=24h",
    "overview?range=x",
    "record?table=order&key=1",
    "record?table=order&key=1&tz=local",
    "record?table=order&key=1&as-of=2000-01-01T00:00",
    "record?table=order&key=1&as-of=2999-01-01T00:00",
    "record?table=order&key=1&as-of=x",
    "record?table=order&key=1&with=lines,tags",
    "record?table=order&key=1&with=x",
    "record?table=order&key=9",
    "record?table=order",
    "transaction?id=1",
    "transaction?id=3&table=line",
    "transaction?id=99999",
    "transaction",
    "change?table=order",
    "change?table=order&at=9.9",
    "views",
    "export",
    "export?format=x",
]


def test_every_state_of_the_pages_is_translated(site: Shop, pseudo: Path) -> None:
    Host(site.app, PSEUDO, pseudo)
    check(site.get(""))
    check(site.get("overview"))
    fill(site)
    for url in URLS:
        check(site.client.get(f"/audit/{url}").text)
    first, last = (
        site.place("order", "audit_operation = 'I' AND id = 1"),
        site.place("order", "audit_operation = 'U'"),
    )
    for url in (f"record?table=order&key=1&a={first}&b={last}", f"record?table=order&key=1&as-of={first}"):
        check(open_(site, url))
    check(site.client.get(f"/audit/record?table=order&key=1&a={first}").text)
    for place in (
        first,
        last,
        site.place("order", "audit_operation = 'D'"),
        site.place("line", "audit_operation = 'T'"),
    ):
        check(site.client.get(f"/audit/change?table=order&at={place}").text)


def test_bringing_back_is_translated(site: Shop, pseudo: Path) -> None:
    Host(site.app, PSEUDO, pseudo)
    site.audit.access_loader(lambda: Access(revert=True))
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'new')", "INSERT INTO line VALUES (1, 1, 'tea')")
    site.run("UPDATE \"order\" SET note = 'x'", "UPDATE \"order\" SET note = 'y'")
    first, last = (site.place("order", f"note = '{note}'") for note in ("new", "y"))
    check(open_(site, "record?table=order&key=1"))
    for ask in (
        f"to={first}",
        f"before={first}",
        f"to={last}",
        f"before={last}",
        "to=9.9",
        "to=x",
        "",
        f"to={first}&children=1",
    ):
        page = site.client.get(f"/audit/revert?table=order&key=1&{ask}").text
        check(page)
    posted = site.client.post("/audit/revert", data={"table": "order", "key": "1", "to": first})
    check(posted.text)
    site.run("DELETE FROM line", 'DELETE FROM "order"')
    check(open_(site, f"revert?table=order&key=1&to={first}"))
    site.audit.access_loader(lambda: Access(revert=False))
    check(open_(site, f"revert?table=order&key=1&to={first}", 403))


def fill(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'new')", 'UPDATE "order" SET note = NULL, tenant = 2')
    site.run("INSERT INTO line (order_id, product) SELECT 1, 'tea' FROM generate_series(1, 30)")
    site.run("UPDATE line SET product = 'coffee'", "UPDATE \"order\" SET note = 'x', secret = 'y'")
    site.run('TRUNCATE "line"', 'DELETE FROM "order"')
    with site.app.test_request_context("/orders/7", method="POST"), site.audit.context(username="alice", reason="why"):
        site.db.session.add(site.Order(id=2, note="new"))
        site.db.session.commit()
    with site.audit.context(username=""):
        site.run('INSERT INTO "order" (id) VALUES (3)')


def test_who_sees_a_part_is_told_in_their_language(site: Shop, pseudo: Path) -> None:
    Host(site.app, PSEUDO, pseudo)
    fill(site)
    rules: list[Access] = [
        Access(scope=lambda query, table: query.where(query.selected_columns.audit_id < 999)),
        Access(tables=lambda table: False),
        Access(columns=lambda table, name: name not in ("id", "note")),
        Access(read=False),
    ]
    for access in rules:
        site.audit.access_loader(lambda access=access: access)
        for url in URLS:
            check(site.client.get(f"/audit/{url}").text)


def test_what_is_wrong_is_told_in_the_language(site: Shop, pseudo: Path) -> None:
    Host(site.app, PSEUDO, pseudo)
    site.run('DROP TRIGGER "public_order_audit_insert" ON "order"', "ALTER TABLE line DISABLE TRIGGER USER")
    for url in ("overview", "table", "table?name=order"):
        check(open_(site, url))
    site.run("DROP TABLE audit_view")
    check(site.get("", 503))
    site.run("ALTER TABLE order_audit DROP COLUMN note")
    check(site.get("", 503))


def test_values_of_every_kind_are_described_in_the_language(database: Database, pseudo: Path) -> None:
    with wild(database.url()) as made:
        Host(made.app, PSEUDO, pseudo)
        text = " ".join(f"word{number}" for number in range(900))
        made.insert(
            body=text, doc=json.dumps({"a": 1, "b": {"c": [1, 2]}}), blob=b"\x00" * 5000, mood="good", tags=["a"]
        )
        made.execute("UPDATE thing SET body = replace(body, 'word4', 'other')")
        made.execute("UPDATE thing SET doc = '[1]', blob = NULL, mood = NULL, tags = '{}'")
        made.execute(
            "UPDATE thing SET doc = '{\"b\": 5, \"d\": 6}', body = 'short'", "INSERT INTO wide (id) VALUES (1)"
        )
        made.execute("UPDATE wide SET " + ", ".join(f"column_{number} = 'x'" for number in range(200)))
        check(made.page())
        for number in range(5):
            check(made.change(number))
        check(made.change(4, column="body"))
        check(made.page("/audit/record?table=thing&key=1"))
        check(made.page("/audit/record?table=wide&key=1"))
