"""Values on the pages: hostile and huge ones are safe and readable, and pages stay small."""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator

import pytest

from flask_pg_audit.ui.text import visible, visible_edges
from flask_pg_audit.ui.values import indent_json
from tests.capture import rewriting
from tests.server import Database
from tests.wild import HOSTILE, WIDTH, Wild, fill_with_hostile_rows, wild


@pytest.fixture
def site(database: Database) -> Iterator[Wild]:
    with wild(database.url()) as made:
        yield made


def read(page: str) -> str:
    """A page's text as somebody reads it, in one line."""
    main = page.partition("<main")[2] or page
    return " ".join(html.unescape(re.sub("<[^>]*>", "", f"<{main}")).split())


def pages(site: Wild) -> list[str]:
    """The feed, and the pages of its newest transaction and change."""
    feed = site.page()
    transaction = re.findall(r'href="([^"]*/transaction\?[^"]*)"', feed)[0].replace("&amp;", "&")
    return [feed, site.page(transaction), site.change()]


def test_visible() -> None:
    assert visible("a\u202eb\u200d\x00\n\tö💥\u00ad") == "a⟨U+202E⟩b⟨U+200D⟩⟨U+0000⟩\n\tö💥⟨U+00AD⟩"
    assert visible("é\u2028\u0085\u007f") == "é⟨U+2028⟩⟨U+0085⟩⟨U+007F⟩"


def test_spaces_at_the_edges_are_visible() -> None:
    assert visible_edges(" a b \n") == "␣a b␣↵\n"
    assert visible_edges("a b") == "a b"


def test_hostile_values_are_shown_and_do_nothing(site: Wild) -> None:
    site.insert(body=HOSTILE, doc=json.dumps({HOSTILE: HOSTILE}), tags=[HOSTILE])
    site.execute("UPDATE thing SET body = body || :more, doc = doc || :doc", more=HOSTILE * 9, doc=json.dumps({"a": 1}))
    for page in pages(site):
        assert "<script>" not in page
        assert "\u202e" not in page and "\u0007" not in page
        assert "⟨U+202E⟩gnp.exe⟨U+0007⟩" in page
        assert "{{ 7*7 }}" in html.unescape(page)


def test_null_empty_and_absent_look_different(site: Wild) -> None:
    site.insert(body=None)
    assert '<span class="fpa-null">NULL</span>' in site.page()
    site.execute("DELETE FROM thing")
    site.execute(rewriting("TRUNCATE thing_audit"))
    site.insert(body="", doc='""', blob=b"")
    page = site.page()
    assert page.count("fpa-empty") == 2  # the text and the bytes; what JSON calls an empty text is a document
    assert '<bdi class="fpa-text">&#34;&#34;</bdi>' in page


def test_a_change_reads_as_a_sentence(site: Wild) -> None:
    site.insert(body="new", mood="good", span="[1,5)", tags=["a", "b c"])
    site.execute("UPDATE thing SET body = 'paid', mood = NULL, blob = '\\x00', span = '[2,9)', tags = '{a}'")
    text = read(site.page())
    assert "updated thing 1" in text
    assert "body from new to paid" in text
    assert "mood set to NULL from good" in text
    assert r"blob set to 1 byte 00" in text
    assert "span from [1,5) to [2,9)" in text
    assert 'tags from {a,"b c"} to {a}' in text
    page = site.page()
    assert re.search(r"<del[^>]*><bdi[^>]*>new</bdi></del>.*<ins[^>]*><bdi[^>]*>paid</bdi></ins>", page)


def test_long_text_is_compared_word_by_word(site: Wild) -> None:
    start, end = "The quick brown fox jumps over the lazy dog. " * 5, " And so it goes on, for a long time to come." * 5
    site.insert(body=f"{start}old{end}")
    site.execute("UPDATE thing SET body = replace(body, 'old', 'young')")
    for page in pages(site):
        assert '<del class="fpa-old">old</del><ins class="fpa-new">young</ins>' in page
        assert "lazy dog. " in page and " And so it goes on" in page
    [update, _] = site.page().split("<article")[1:]
    assert "The quick brown fox jumps over the lazy dog. The quick" not in update  # only what is near


def test_json_is_compared_path_by_path(site: Wild) -> None:
    before = {"plan": {"name": "free", "seats": 3}, "tags": ["a", "b"], "price": 1.50, "gone": None}
    after = {"plan": {"name": "pro", "seats": 3}, "tags": ["a", "b", "c"], "price": "?", "here": {}}
    site.insert(doc=json.dumps(before))
    site.execute("UPDATE thing SET doc = :doc", doc=json.dumps(after).replace('"?"', "12345678901234567890.25"))
    text = read(site.page().split("<article")[1])
    assert 'plan.name from "free" to "pro"' in text
    assert 'tags[2] added "c"' in text
    assert "price from 1.5 to 12345678901234567890.25" in text
    assert "gone removed null" in text
    assert "here added {}" in text
    assert "seats" not in text


@pytest.mark.parametrize(
    "document", ["[" * 3_000 + "]" * 3_000, '{"a": ' + "9" * 5_000 + "}", '{"a": 1e99999}', '"\\u0000"', "[1, [2]]"]
)
def test_no_document_breaks_a_page(site: Wild, document: str) -> None:
    site.insert(note="[0]")
    site.execute("UPDATE thing SET note = CAST(:note AS json)", note=document)
    site.execute("UPDATE thing SET note = CAST(:note AS json)", note='{"a": [0, [1]]}')
    for page in pages(site):
        assert "note" in page


def test_a_change_deep_inside_a_long_value_is_visible(site: Wild) -> None:
    lines = [f"line {number} says nothing new" for number in range(4_000)]
    other = [*lines[:3_000], "and here is the needle", *lines[3_001:]]
    site.insert(body="\n".join(lines), doc=json.dumps({"a": lines, "z": "hay"}))
    document = json.dumps({"a": other, "z": "hay"})
    site.execute("UPDATE thing SET body = :body, doc = :doc", body="\n".join(other), doc=document)
    feed = read(site.page())
    assert feed.count("and here is the needle") == 2
    assert len(site.page()) < 10_000


def test_ten_megabytes_of_text_stay_in_the_database(site: Wild) -> None:
    site.execute("INSERT INTO thing (body) SELECT repeat('0123456789', 1000000)")
    site.execute("UPDATE thing SET body = overlay(body PLACING 'needle' FROM 9000000)")
    feed, transaction, change = pages(site)
    assert len(feed) < 10_000 and len(transaction) < 10_000
    assert "10,000,000 characters" in feed
    assert "needle" in change and "needle" not in feed
    assert len(change) < 200_000
    whole = site.change(column="body")
    assert 1_000_000 < len(whole) < 2_500_000
    assert "That is as much as a page can show" in whole


def test_all_of_a_long_value_is_shown_on_demand(site: Wild) -> None:
    site.insert(body="a" * 50_000 + "needle", mood="good")
    change = site.change()
    assert "needle" not in change
    assert "Show all of" in change
    whole = site.change(column="body")
    assert "needle" in whole
    assert "good" not in whole
    assert "Show all of" not in whole


def test_a_document_of_5000_keys_is_short_in_lists_and_whole_on_its_page(site: Wild) -> None:
    site.insert(doc=json.dumps({f"key {number}": number for number in range(5_000)}))
    site.execute("""UPDATE thing SET doc = doc || '{"key 4999": "needle"}'""")
    feed, _, change = pages(site)
    assert "needle" in feed and len(feed) < 10_000
    assert "needle" in change
    whole = read(site.change(column="doc"))
    assert 'key 4999"] from 4999 to "needle"' in whole
    assert '"key 2500": 2500' in whole


def test_json_is_indented_and_otherwise_as_it_is_stored(site: Wild) -> None:
    assert indent_json('{"a": [1.50, "x, {y}"], "b": {}, "c\\"": null}') == (
        '{\n  "a": [\n    1.50,\n    "x, {y}"\n  ],\n  "b": {},\n  "c\\"": null\n}'
    )


def test_bytes_are_shown_by_length_digest_and_head(site: Wild) -> None:
    before, after = b"\x89PNG" + bytes(300_000), b"\x89PNG" + bytes(300_001)
    site.insert(blob=before)
    site.execute("UPDATE thing SET blob = :blob", blob=after)
    feed, _, change = pages(site)
    assert "from 300,004 bytes 89504e47" in read(feed)
    assert hashlib.sha256(before).hexdigest() not in feed
    text = read(change)
    assert f"SHA-256 {hashlib.sha256(before).hexdigest()}" in text
    assert f"SHA-256 {hashlib.sha256(after).hexdigest()}" in text
    assert "8950 4e47 0000" in text
    assert len(change) < 20_000


def test_wide_rows_show_some_columns_in_lists_and_all_on_their_page(site: Wild) -> None:
    site.execute("INSERT INTO wide (column_0, column_199) VALUES ('first', 'last')")
    feed, _, change = pages(site)
    assert f"and {WIDTH - 4} more" in feed
    assert "last" not in feed
    assert "first" in change and "last" in change


def test_lists_stay_below_200_kilobytes_whatever_is_in_the_database(site: Wild) -> None:
    fill_with_hostile_rows(site)
    feed, transaction, change = pages(site)
    assert feed.count("<article") == 25
    assert len(feed.encode()) < 200_000 and len(transaction.encode()) < 200_000
    assert "⟨U+202E⟩" in change
    assert len(change.encode()) < 10_000_000


def test_heaps_of_line_feeds_take_one_line_in_a_list(site: Wild) -> None:
    site.insert(body="a\n\n\n\nb")
    assert "a↵↵↵↵b" in site.page()
    assert "a\n\n\n\nb" in site.change()
