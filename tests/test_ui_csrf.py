"""A change is made from our own form only: with and without an app that protects its forms itself."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask_wtf import CSRFProtect
from itsdangerous import TimestampSigner

from example_app import csrf
from tests.orders import text_of
from tests.server import Database
from tests.ui_reverting import FIRST, THIRD, Site, form_of, revertible


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    with revertible(database.url()) as made:
        yield made


# Where a request comes from


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://["},
    ],
)
def test_what_another_site_sends_is_refused(site: Site, headers: dict[str, str]) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    answer = site.client.post(url, data=fields, headers=headers)
    assert answer.status_code == 403 and "sent from another site" in answer.text
    as_json = site.client.post(url, data=fields, headers={**headers, "Accept": "application/json"})
    assert as_json.json == {"error": "This form was sent from another site, so nothing was done."}
    assert site.orders() == THIRD and site.recorded() == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://LOCALHOST"},
        {"Origin": "https://localhost"},  # a proxy ends TLS
    ],
)
def test_what_our_own_page_sends_is_not(site: Site, headers: dict[str, str]) -> None:
    url = site.url("note = 'first'")
    assert site.client.post(url, data=site.fields(url), headers=headers).status_code == 303
    assert site.orders() == FIRST


def test_reading_may_begin_elsewhere(site: Site) -> None:
    """By a link in a mail, say."""
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "null"}
    assert site.client.get(site.url(), headers=headers).status_code == 200


# The form's token


def test_a_form_without_a_token_or_with_a_forged_one_is_refused(site: Site) -> None:
    url = site.url("note = 'first'")
    token = site.fields(url)["fpa_token"]
    for forged in (None, "", "x", token[:-1], f"{token}x", "\0", token.partition(".")[0]):
        answer = site.client.post(url, data={} if forged is None else {"fpa_token": forged})
        assert answer.status_code == 400 and "too old, or not made for you" in answer.text
    assert site.orders() == THIRD and {row[3] for row in site.recorded()} == {0}
    as_json = site.client.post(url, headers={"Accept": "application/json"})
    assert as_json.status_code == 400 and "too old" in as_json.text


def test_a_token_is_for_one_person_and_one_thing(site: Site) -> None:
    site.shop.run('INSERT INTO "order" VALUES (2)', 'UPDATE "order" SET tenant = 7 WHERE id = 2')
    first, second = site.url("note = 'first'"), site.url("note = 'second'")
    other = site.url("id = 2 AND tenant IS NULL", key="2")
    fields = site.fields(first)
    for url in (second, other):
        assert site.client.post(url, data=fields).status_code == 400
    assert site.client.post(first, data=fields, headers={"X-User": "bob"}).status_code == 400
    assert site.client.post(first, data=fields).status_code == 303


def test_a_token_grows_old_and_the_reason_is_kept(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time()) + 3_601)
    answer = site.client.post(url, data={**fields, "reason": "it was late"})
    assert answer.status_code == 400 and "too old" in answer.text and 'value="it was late"' in answer.text
    assert site.client.post(url, data=form_of(url, answer.text)).status_code == 303


def test_the_secret_key_may_change(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.app.config["SECRET_KEY"] = "new"
    assert site.client.post(url, data=fields).status_code == 400
    site.shop.app.config["SECRET_KEY_FALLBACKS"] = ["older", "test"]
    assert site.client.post(url, data=fields).status_code == 303


def test_without_a_secret_key_the_page_says_so(site: Site) -> None:
    url = site.url("note = 'first'")
    site.shop.app.config["SECRET_KEY"] = None
    for answer in (site.client.get(url), site.client.post(url)):
        assert answer.status_code == 503 and "has no SECRET_KEY" in answer.text
    assert "first" in site.get("/audit/")  # nothing else needs one


# Apps that check a token of their own


def protect(app: Flask, protection: str) -> None:
    if protection == "Flask-WTF":
        CSRFProtect(app)
    else:
        csrf.init_app(app)


@pytest.mark.parametrize("protection", ["Flask-WTF", "own"])
def test_the_apps_own_protection_gets_its_token(site: Site, protection: str) -> None:
    protect(site.shop.app, protection)
    url = site.url("note = 'first'")
    fields = site.fields(url)
    assert set(fields) == {"csrf_token", "fpa_token", "reason"}
    ours_alone = {name: value for name, value in fields.items() if name != "csrf_token"}
    assert site.client.post(url, data=ours_alone).status_code == 400
    theirs_alone = {name: value for name, value in fields.items() if name != "fpa_token"}
    assert "too old" in site.client.post(url, data=theirs_alone).text
    assert site.orders() == THIRD
    assert site.client.post(url, data=fields).status_code == 303 and site.orders() == FIRST


def test_flask_wtf_under_another_name_and_over_https(database: Database) -> None:
    """There it looks for a Referer, which browsers leave out of pages that say "no-referrer"."""
    with revertible(database.url(), WTF_CSRF_FIELD_NAME="crumb") as site:
        CSRFProtect(site.shop.app)
        url, base = site.url("note = 'first'"), "https://shop.example"
        page = site.client.get(url, base_url=base)
        assert page.headers["Referrer-Policy"] == "same-origin"
        fields = form_of(url, page.text)
        headers = {"Origin": base, "Sec-Fetch-Site": "same-origin"}
        refused = site.client.post(url, base_url=base, data=fields, headers=headers)
        assert refused.status_code == 400 and "referrer" in refused.text
        headers["Referer"] = f"{base}{url}"
        assert site.client.post(url, base_url=base, data=fields, headers=headers).status_code == 303
        assert site.orders() == FIRST


def test_a_token_from_a_context_processor_does_too(site: Site) -> None:
    site.shop.app.context_processor(lambda: {"csrf_token": "a text"})
    assert site.fields(site.url("note = 'first'"))["csrf_token"] == "a text"


def test_nothing_but_the_form_changes_anything(site: Site) -> None:
    posts = [rule for rule in site.shop.app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    assert [rule.endpoint for rule in posts] == ["audit.do_revert"]


def test_a_form_of_another_page_says_what_it_did_not_do(site: Site) -> None:
    answer: Any = site.client.post(site.url())
    assert answer.status_code == 400
    assert "there is nothing to write" in text_of(answer.text)
