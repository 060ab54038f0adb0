"""Diffs: columns, paths and words; what is the same as PostgreSQL stores it; for a limited amount of work."""

from __future__ import annotations

import array
import copy
import datetime
import enum
import json
import math
import os
import random
import time
import uuid
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Connection,
    Engine,
    Enum,
    Float,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    Time,
    literal_column,
    select,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import (
    INET,
    INT4MULTIRANGE,
    INT4RANGE,
    INTERVAL,
    JSONB,
    NUMRANGE,
    TIMESTAMP,
    TSTZRANGE,
    UUID,
)

from flask_pg_audit.history.alignment import Aligner
from flask_pg_audit.history.diff import ABSENT, LONG_TEXT, FieldDiff, diff, is_same
from flask_pg_audit.history.json_diff import JsonDiff, format_path, json_diff
from flask_pg_audit.history.text_diff import MAX_LENGTH, Segment, word_diff
from flask_pg_audit.history.words import is_start, split_words

thorough = settings(
    max_examples=int(os.environ.get("AUDIT_TEST_EXAMPLES", "60")),
    deadline=None,
    derandomize="AUDIT_TEST_EXAMPLES" not in os.environ,
    database=None,
)

BERLIN = ZoneInfo("Europe/Berlin")


# Columns


def kinds(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[tuple[str, str]]:
    return [(field.name, field.kind) for field in diff(old, new)]


def test_null_empty_and_absent_are_three_things() -> None:
    values: dict[str, Any] = {
        "absent": ABSENT,
        "null": None,
        "text": "",
        "list": [],
        "object": {},
        "false": False,
        "0": 0,
    }
    expected = {
        ("absent", "null"): "added",
        ("absent", "text"): "added",
        ("null", "absent"): "removed",
        ("text", "absent"): "removed",
        ("null", "text"): "set",
        ("null", "false"): "set",
        ("text", "null"): "cleared",
        ("list", "null"): "cleared",
        ("list", "object"): "changed",
        ("false", "0"): "changed",
    }
    for old in values:
        for new in values:
            images = [{"x": values[side]} if side != "absent" else {} for side in (old, new)]
            found = [(field.old, field.new) for field in diff(*images)]
            assert found == ([] if old == new else [(values[old], values[new])])
            if (old, new) in expected:
                assert kinds(*images) == [("x", expected[old, new])]


def test_only_what_differs_in_the_order_of_the_columns() -> None:
    old = {"id": 1, "dropped": "x", "name": "a", "note": None, "gone": None, "same": [1]}
    new = {"id": 1, "name": "b", "note": "", "same": [1], "later": None}
    found = diff(old, new)
    assert kinds(old, new) == [
        ("dropped", "removed"),
        ("name", "changed"),
        ("note", "set"),
        ("gone", "removed"),
        ("later", "added"),
    ]
    assert found.names == tuple(field.name for field in found)
    assert (len(found), bool(found), found.had_row, found.has_row) == (5, True, True, True)
    assert not diff(old, dict(old))


def test_a_row_that_is_not_there_is_not_a_row_of_nulls() -> None:
    image = {"id": 1, "name": None}
    inserted, deleted, nothing = diff(None, image), diff(image, None), diff(None, None)
    assert list(inserted) == [FieldDiff("id", ABSENT, 1), FieldDiff("name", ABSENT, None)]
    assert list(deleted) == [FieldDiff("id", 1, ABSENT), FieldDiff("name", None, ABSENT)]
    assert (inserted.had_row, inserted.has_row) == (False, True)
    assert (deleted.had_row, deleted.has_row) == (True, False)
    assert (nothing.fields, nothing.had_row, nothing.has_row) == ((), False, False)
    # A row without columns, all of them excluded, is a row.
    assert (diff(None, {}).fields, diff(None, {}).has_row) == ((), True)


def test_an_absent_value_is_one_that_is_not_in_the_image() -> None:
    assert not diff({"a": ABSENT}, {})
    assert repr(ABSENT) == "ABSENT"


def test_a_field_tells_paths_of_containers_only() -> None:
    assert FieldDiff("x", {"a": 1}, {"a": 2}).json == (JsonDiff(("a",), 1, 2),)
    assert FieldDiff("x", [1], (1, 2)).json == (JsonDiff((1,), ABSENT, 2),)
    assert FieldDiff("x", [1], {}).json == (JsonDiff((), [1], {}),)
    for other in (None, ABSENT, "[]", 1):
        assert FieldDiff("x", [1], other).json is None
    field = FieldDiff("x", [1], [])
    assert field.json is field.json


def test_a_field_tells_words_of_long_text_only() -> None:
    long = "word " * LONG_TEXT
    assert FieldDiff("x", "a", "b").words is None
    assert FieldDiff("x", "a" * (LONG_TEXT - 1), "b").words is None
    assert FieldDiff("x", "a" * LONG_TEXT, "b").words == (Segment("delete", "a" * LONG_TEXT), Segment("insert", "b"))
    assert FieldDiff("x", "a", "a\nb").words == (Segment("keep", "a"), Segment("insert", "\nb"))
    assert FieldDiff("x", "", long).words == (Segment("insert", long),)
    for other in (None, ABSENT, 1, ["a"]):
        assert FieldDiff("x", long, other).words is None


# What is the same


class Color(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    LOW = 1


class Shade(str, enum.Enum):
    RED = "red"


class Markup(str):
    pass


class Vector:
    """As of numpy: ``==`` is no truth."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = list(numbers)

    def tolist(self) -> list[float]:
        return self.numbers

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value of an array is ambiguous")


NIGHT = datetime.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
SAME: list[tuple[Any, Any]] = [
    (math.nan, float("-nan")),
    (Decimal("NaN"), Decimal("NaN")),
    (Decimal("Infinity"), Decimal("Infinity")),
    (Decimal("1E+1"), Decimal("10")),
    ([math.nan], [float("nan")]),
    ((1, [2, (3,)]), [1, (2, [3])]),
    ({"a": 1, "b": {}}, {"b": {}, "a": 1}),
    (b"\x00\xff", memoryview(b"\x00\xff")),
    ([bytearray(b"a")], [b"a"]),
    (Markup("a"), "a"),
    (uuid.UUID(int=1), uuid.UUID(int=1)),
    ({1, 2}, {2, 1}),
    (array.array("d", [1.0]), array.array("d", [1.0])),
    (Vector(1.0, 2.0), Vector(1.0, 2.0)),
    (Color.RED, Color.RED),
    (NIGHT, NIGHT.astimezone(datetime.timezone.utc)),
    (NIGHT.replace(fold=1), NIGHT.replace(fold=1).astimezone(datetime.timezone.utc)),
    (datetime.datetime.max.replace(tzinfo=datetime.timezone.utc),) * 2,
    (datetime.datetime.min.replace(tzinfo=BERLIN),) * 2,
]
DIFFERENT: list[tuple[Any, Any]] = [
    (True, 1),
    (1, 1.0),
    (1, Decimal(1)),
    (1.5, Decimal("1.5")),
    (0.0, -0.0),
    (Decimal("1.50"), Decimal("1.5")),
    ([True], [1]),
    ({"a": [{"b": 1}]}, {"a": [{"b": 1.0}]}),
    ("1", 1),
    ("é", "e\u0301"),
    ("a", b"a"),
    ([], {}),
    ([], ""),
    ([[]], []),
    ([None], []),
    ({"a": None}, {}),
    (None, False),
    (uuid.UUID(int=1), str(uuid.UUID(int=1))),
    ({1}, {2}),
    (Vector(1.0), Vector(1.0, 1.0)),
    (Level.LOW, 1),
    (Shade.RED, "red"),
    (Color.RED, Shade.RED),
    (NIGHT, NIGHT.replace(fold=1)),
    (NIGHT, NIGHT.replace(tzinfo=None)),
    (datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1)),
    (
        datetime.time(12, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        datetime.time(10, tzinfo=datetime.timezone.utc),
    ),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_same(old: Any, new: Any) -> None:
    assert is_same(old, new) and is_same(new, old)
    assert not diff({"x": old}, {"x": new})
    assert json_diff({"x": old}, {"x": new}) == ()


@pytest.mark.parametrize(("old", "new"), DIFFERENT)
def test_different(old: Any, new: Any) -> None:
    assert not is_same(old, new) and not is_same(new, old)
    assert [field.name for field in diff({"x": old}, {"x": new})] == ["x"]
    assert json_diff({"x": old}, {"x": new})


#: Type, two literals, and whether they are the same as stored; each is also read twice, and is the same as itself.
STORED: list[tuple[Any, str, str, bool]] = [
    (JSONB(), """'{"a": 1, "b": null}'::jsonb""", """'{"b": null, "a": 1}'::jsonb""", True),
    (JSONB(), "'[1]'::jsonb", "'[1.0]'::jsonb", False),
    (JSON(), "'[true]'::json", "'[1]'::json", False),
    (JSONB(), "'{\"a\": null}'::jsonb", "'{}'::jsonb", False),
    (Numeric(), "1.5", "1.50", False),
    (Numeric(), "'NaN'::numeric", "'NaN'::numeric", True),
    (Float(), "'NaN'::float8", "'NaN'::float8", True),
    (Float(), "'0'::float8", "'-0'::float8", False),
    (Boolean(), "true", "false", False),
    (TIMESTAMP(timezone=True), "'2024-07-01 12:00+02'::timestamptz", "'2024-07-01 10:00+00'::timestamptz", True),
    (TIMESTAMP(timezone=True), "'2024-10-27 02:30+02'::timestamptz", "'2024-10-27 02:30+01'::timestamptz", False),
    (Time(timezone=True), "'12:00+02'::timetz", "'10:00+00'::timetz", False),
    (INTERVAL(), "'1 day'::interval", "'24:00:01'::interval", False),
    (ARRAY(Integer), "'{}'::int[]", "'{NULL}'::int[]", False),
    (ARRAY(Numeric), "'{1.5}'::numeric[]", "'{1.50}'::numeric[]", False),
    (INT4RANGE(), "'[1,4]'::int4range", "'[1,5)'::int4range", True),
    (INT4RANGE(), "'[1,1)'::int4range", "'(,)'::int4range", False),
    (INT4RANGE(), "'[1,1)'::int4range", "'[7,7)'::int4range", True),
    (INT4RANGE(), "'[1,)'::int4range", "'(,1]'::int4range", False),
    (NUMRANGE(), "'[1.5,2)'::numrange", "'[1.50,2)'::numrange", False),
    (NUMRANGE(), "'[1,2]'::numrange", "'[1,2)'::numrange", False),
    (
        TSTZRANGE(),
        "tstzrange('2024-10-27 02:30+02', NULL)",
        "tstzrange('2024-10-27 02:30+01', NULL)",
        False,
    ),
    (INT4MULTIRANGE(), "'{[1,2),[5,6)}'::int4multirange", "'{[1,2)}'::int4multirange", False),
    (LargeBinary(), r"'\x00ff'::bytea", r"'\x00fe'::bytea", False),
    (UUID(), f"'{uuid.UUID(int=1)}'::uuid", f"'{uuid.UUID(int=2)}'::uuid", False),
    (INET(), "'10.0.0.1/8'::inet", "'10.0.0.1'::inet", False),
    (Enum(Color), "'RED'", "'RED'", True),
    (Text(), "''", "NULL::text", False),
]


def test_values_as_the_database_returns_them(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SET LOCAL TIME ZONE 'Europe/Berlin'"))
        for type_, old, new, same in STORED:
            assert is_same(read(connection, type_, old), read(connection, type_, old)), old
            assert is_same(read(connection, type_, old), read(connection, type_, new)) == same, (old, new)


def read(connection: Connection, type_: Any, literal: str) -> Any:
    return connection.execute(select(type_coerce(literal_column(literal), type_))).scalar_one()


# JSON by path

scalars = (
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([1.0, -0.0, math.nan]) | st.sampled_from("ab")
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4)
)


@st.composite
def two_documents(draw: st.DrawFn) -> tuple[Any, Any]:
    """Often the one with a few parts taken from elsewhere: two unrelated documents have little to compare."""
    old = draw(documents)
    if draw(st.integers(0, 3)) == 0:
        return old, draw(documents)
    holder = [copy.deepcopy(old)]
    for _ in range(draw(st.integers(0, 3))):
        edit(draw, holder)
    return old, holder[0]


def edit(draw: st.DrawFn, inside: Any) -> None:
    """Replace, remove or insert one part, somewhere inside."""
    places = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
    if not places:
        return
    place = draw(st.sampled_from(places))
    if isinstance(inside[place], (dict, list)) and inside[place] and draw(st.integers(0, 3)):
        return edit(draw, inside[place])
    what = draw(st.sampled_from(["replace", "remove", "insert"]))
    if what == "insert" and isinstance(inside, list):
        inside.insert(place, draw(documents))
    elif what == "remove" and len(inside) > 1:
        del inside[place]
    else:
        inside[place] = draw(documents)


def apply(document: Any, differences: Sequence[JsonDiff]) -> Any:
    """As the docstring of :func:`json_diff` says."""
    holder = [copy.deepcopy(document)]
    for difference in reversed(differences):
        if difference.new is ABSENT:
            inside, last = split(difference.path)
            del look_up(holder, inside)[last]
    for difference in differences:
        if difference.new is not ABSENT:
            inside, last = split(difference.path)
            container = look_up(holder, inside)
            if difference.old is ABSENT and isinstance(container, list):
                container.insert(last, difference.new)
            else:
                container[last] = difference.new
    return holder[0]


def split(path: Sequence[Any]) -> tuple[list[Any], Any]:
    *inside, last = (0, *path)
    return inside, last


def look_up(document: Any, path: Sequence[Any]) -> Any:
    for step in path:
        document = document[step]
    return document


def written(document: Any) -> str:
    return json.dumps(document, sort_keys=True)


@thorough
@given(two_documents())
def test_applying_the_differences_to_the_old_document_gives_the_new_one(pair: tuple[Any, Any]) -> None:
    old, new = pair
    before = written(old), written(new)
    differences = json_diff(old, new)
    assert written(apply(old, differences)) == written(new)
    assert (written(old), written(new)) == before
    assert json_diff(old, new) == differences or "NaN" in written([old, new])


@thorough
@given(two_documents())
def test_each_path_leads_to_the_value(pair: tuple[Any, Any]) -> None:
    old, new = pair
    differences = json_diff(old, new)
    for difference in differences:
        document, value = (old, difference.old) if difference.new is ABSENT else (new, difference.new)
        assert look_up(document, difference.path) is value or look_up(document, difference.path) == value
        assert not is_same(difference.old, difference.new)
        # As deep inside as it can be told.
        assert not (isinstance(difference.old, dict) and isinstance(difference.new, dict))
        assert not (isinstance(difference.old, list) and isinstance(difference.new, list))


@thorough
@given(two_documents())
def test_documents_are_the_same_if_they_are_written_the_same(pair: tuple[Any, Any]) -> None:
    old, new = pair
    assert is_same(old, new) == (written(old) == written(new))
    assert bool(json_diff(old, new)) == (written(old) != written(new))
    assert is_same(old, copy.deepcopy(old))


def test_differences_by_path() -> None:
    old = {"name": "Ada", "address": {"lines": ["1 Main St", "Flat 2"], "note": None}, "tags": ["x", "y"], "gone": {}}
    new = {
        "later": [],
        "name": "Ada",
        "address": {"lines": ["1 Main St", "Flat 3"], "note": ""},
        "tags": ["w", "x", "y"],
    }
    found = json_diff(old, new)
    assert [(format_path(each.path), each.kind, each.old, each.new) for each in found] == [
        ("address.lines[1]", "changed", "Flat 2", "Flat 3"),
        ("address.note", "set", None, ""),
        ("tags[0]", "added", ABSENT, "w"),
        ("gone", "removed", {}, ABSENT),
        ("later", "added", ABSENT, []),
    ]
    assert str(found[0]) == "address.lines[1] changed"


def test_elements_of_lists_that_stayed_are_not_differences() -> None:
    lines = [{"id": number, "price": number} for number in range(9)]
    without = [*lines[:2], *lines[3:5], {"id": 5, "price": 0}, *lines[6:], {"id": 9}]
    assert json_diff(lines, without) == (
        JsonDiff((2,), {"id": 2, "price": 2}, ABSENT),
        JsonDiff((4, "price"), 5, 0),
        JsonDiff((8,), ABSENT, {"id": 9}),
    )


def test_null_in_a_document_is_no_missing_key() -> None:
    assert json_diff({"a": None}, {}) == (JsonDiff(("a",), None, ABSENT),)
    assert json_diff({}, {"a": None}) == (JsonDiff(("a",), ABSENT, None),)
    assert [each.kind for each in json_diff({"a": None, "b": 1}, {"a": 0, "b": None})] == ["set", "cleared"]


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"k": inner}, lambda inner: [0, {"k": inner}]])
def test_a_document_may_be_nested_deeply(wrap: Any) -> None:
    old, new = ["old"], ["new"]
    for _ in range(5_000):
        old, new = wrap(old), wrap(new)
    [difference] = json_diff(old, new)
    assert (difference.old, difference.new) == ("old", "new")
    assert len(difference.path) >= 5_000
    assert len(format_path(difference.path)) >= 10_000
    assert not is_same(old, new)
    assert diff({"x": old}, {"x": new}).names == ("x",)


def test_the_same_part_at_two_places_differs_at_both() -> None:
    old_part, new_part = {"x": 1}, {"x": 2}
    assert [each.path for each in json_diff([old_part, old_part], [new_part, new_part])] == [(0, "x"), (1, "x")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ((), ""),
        ((0,), "[0]"),
        (("a",), "a"),
        (("address", "lines", 2, "odd key"), 'address.lines[2]["odd key"]'),
        ((3, "a", "b"), "[3].a.b"),
        (("", 'q"'), '[""]["q\\""]'),
        (("a.b", "2", "Größe"), '["a.b"]["2"].Größe'),
    ],
)
def test_format_path(path: tuple[str | int, ...], expected: str) -> None:
    assert format_path(path) == expected


steps = st.integers(0, 12) | st.text(alphabet='ab01.[]"\\ é', max_size=4)
paths = st.lists(steps, max_size=3).map(tuple)


@thorough
@given(st.lists(paths, unique=True, max_size=30))
def test_no_two_paths_are_written_alike(some: list[tuple[str | int, ...]]) -> None:
    assert len({format_path(path) for path in some}) == len(some)


# Alignment

letters = st.lists(st.sampled_from("abc"), max_size=12)


def longest(old: list[str], new: list[str]) -> int:
    row = [0] * (len(new) + 1)
    for element in old:
        above = row
        row = [0]
        for column, other in enumerate(new):
            row.append(above[column] + 1 if element == other else max(row[-1], above[column + 1]))
    return row[-1]


@thorough
@given(letters, letters, st.sampled_from([10**6, 20, 0]))
def test_runs_cover_both_sequences(old: list[str], new: list[str], budget: int) -> None:
    runs = Aligner(budget).align(old, new)
    assert [place for run in runs for place in run.old] == list(range(len(old)))
    assert [place for run in runs for place in run.new] == list(range(len(new)))
    same = [run for run in runs if run.same]
    for run in same:
        assert [old[place] for place in run.old] == [new[place] for place in run.new]
    if budget == 10**6:
        assert sum(len(run.old) for run in same) == longest(old, new)


def test_beyond_the_budget_what_occurs_once_is_aligned() -> None:
    old = ["x", "one", "-", "-", "two", "-", "three", "x"]
    new = ["y", "one", "-", "+", "three", "-", "two", "y"]
    kept = [old[place] for run in Aligner(0).align(old, new) if run.same for place in run.old]
    assert kept == ["one", "-", "two"] or kept == ["one", "-", "three"]


def test_many_sequences_are_no_more_work_than_one() -> None:
    aligner = Aligner(budget=16)
    kept = [sum(run.same for run in aligner.align("1aa2", "3aa4")) for _ in range(2)]
    assert kept == [2, 0]


# Words

characters = st.sampled_from(
    ["a", "b", "é", "1", " ", " ", "\n", ".", "\u0301", "\u200d", "中", "ก", "ั", "👩", "🏽", "🇩", "🇪"]
)
sentences = st.lists(characters | st.sampled_from(["word", "other", " the ", "\r\n"]), max_size=25).map("".join)
# So long that lines are compared, and words only between lines that stayed.
paragraphs = st.lists(
    st.sampled_from(["long " * 5_000, "lang " * 5_000, "short\n", "a b c\n", "a x c\n", "\n"]), max_size=25
).map("".join)


def joined(segments: tuple[Segment, ...], *wanted: str) -> str:
    return "".join(segment.text for segment in segments if segment.kind in wanted)


def check_words(old: str, new: str) -> None:
    segments = word_diff(old, new)
    assert joined(segments, "keep", "delete") == old
    assert joined(segments, "keep", "insert") == new
    assert all(segment.text for segment in segments)
    for one, other in pairwise(segments):
        assert (one.kind, other.kind) in {
            ("keep", "delete"),
            ("keep", "insert"),
            ("delete", "insert"),
            ("delete", "keep"),
            ("insert", "keep"),
        }


@thorough
@given(sentences, sentences)
@example("word", "wordy")
@example("a \u0301b", "a b")
@example("\u200d", " \u200d")
def test_words_joined_give_both_texts(old: str, new: str) -> None:
    check_words(old, new)
    check_words(f"{old} kept {new}", f"{new} kept {old}")
    assert word_diff(old, old) == ((Segment("keep", old),) if old else ())


@settings(thorough, max_examples=40)
@given(paragraphs, paragraphs)
def test_lines_joined_give_both_texts(old: str, new: str) -> None:
    check_words(old, new)


@thorough
@given(sentences)
def test_where_a_word_certainly_begins_one_begins(text: str) -> None:
    words = split_words(text)
    assert "".join(words) == text
    starts = {len("".join(words[:count])) for count in range(len(words) + 1)}
    assert {place for place in range(len(text) + 1) if is_start(text, place)} <= starts


@thorough
@given(sentences, sentences)
def test_no_word_is_cut(old: str, new: str) -> None:
    for kind, whole in (("delete", old), ("insert", new)):
        words = split_words(whole)
        starts = {len("".join(words[:count])) for count in range(len(words) + 1)}
        place = 0
        for segment in word_diff(old, new):
            if segment.kind in ("keep", kind):
                assert place in starts
                place += len(segment.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's 9.5 o_O", ["It", "'", "s", " ", "9", ".", "5", " ", "o", "_", "O"]),
        ("a  b\r\n", ["a", " ", " ", "b", "\r", "\n"]),
        ("cafe\u0301s", ["cafe\u0301s"]),
        ("हिन्दी भाषा", ["हिन्दी", " ", "भाषा"]),
        ("\u0645\u06cc\u200c\u062e\u0648", ["\u0645\u06cc\u200c\u062e\u0648"]),
        ("我喜歡Python3", ["我", "喜", "歡", "Python3"]),
        ("カタカナ", ["カ", "タ", "カ", "ナ"]),
        ("한국어 문장", ["한국어", " ", "문장"]),
        ("สวัสดี", ["ส", "วั", "ส", "ดี"]),
        ("👩‍👩‍👧👍🏽🇩🇪🇫🇷1️⃣", ["👩‍👩‍👧", "👍🏽", "🇩🇪", "🇫🇷", "1️⃣"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert split_words(text) == expected


def shown(old: str, new: str) -> str:
    marks = {"keep": "{}", "delete": "[-{}-]", "insert": "{{+{}+}}"}
    return "".join(marks[segment.kind].format(segment.text) for segment in word_diff(old, new))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("The car is fast.", "The bike is fast, really.", "The [-car-]{+bike+} is fast{+, really+}."),
        # A space between two words that were replaced did not stay on purpose.
        ("a red car here", "a blue bike here", "a [-red car-]{+blue bike+} here"),
        ("one\ntwo\nthree", "one\n2\n3", "one\n[-two-]{+2+}\n[-three-]{+3+}"),
        ("word", "words", "[-word-]{+words+}"),
        ("cafe", "cafe\u0301", "[-cafe-]{+cafe\u0301+}"),
        ("👍 ok", "👍🏽 ok", "[-👍-]{+👍🏽+} ok"),
        ("🇩🇪", "🇩🇰", "[-🇩🇪-]{+🇩🇰+}"),
        ("我喜歡紅色的車", "我喜歡藍色的車", "我喜歡[-紅-]{+藍+}色的車"),
        ("", "new", "{+new+}"),
        ("old", "", "[-old-]"),
        ("a b", "a  b", "a {+ +}b"),
    ],
)
def test_segments(old: str, new: str, expected: str) -> None:
    assert shown(old, new) == expected


# Limited work


def prose(seed: int, space: str = " ") -> str:
    """A megabyte of words; in lines, unless the space is another."""
    rng = random.Random(seed)
    vocabulary = ["".join(rng.choices("abcdefghij", k=rng.randint(1, 9))) for _ in range(5_000)]
    words = rng.choices(vocabulary, k=180_000)
    return space.join("\n" + word if space == " " and number % 12 == 0 else word for number, word in enumerate(words))


def seconds(old: str, new: str) -> tuple[float, tuple[Segment, ...]]:
    """Of this process, the first use of the patterns left out: other processes do not count."""
    split_words("")
    start = time.process_time()
    segments = word_diff(old, new)
    return time.process_time() - start, segments


@pytest.mark.parametrize("space", [" ", "_", "中"])
def test_a_small_change_of_a_megabyte_is_fast(space: str) -> None:
    old = prose(1, space)
    half = old.index("e" if space == "中" else space, len(old) // 2)
    took, segments = seconds(old, f"{old[:half]}!{old[half:]}")
    assert len(old) > MAX_LENGTH
    assert (took < 0.2, len(segments) <= 4) == (True, True), (took, len(segments))


def test_small_changes_at_both_ends_of_a_megabyte() -> None:
    old = prose(1)
    start, end = old.index(" ", 1_000), old.index(" ", len(old) - 1_000)
    took, segments = seconds(old, f"{old[:start]} one{old[start:end]} two{old[end:]}")
    assert [segment.text.strip() for segment in segments if segment.kind == "insert"] == ["one", "two"]
    assert joined(segments, "delete") == ""
    assert took < 1


@pytest.mark.parametrize("space", [" ", "_"])
def test_two_megabytes_that_have_nothing_in_common(space: str) -> None:
    old, new = prose(1, space), prose(2, space)
    took, segments = seconds(old, new)
    assert joined(segments, "keep", "delete") == old
    assert took < 1


@pytest.mark.parametrize("unlike", [False, True])
def test_long_lists_are_limited_work(unlike: bool) -> None:
    """With an element in front and one changed, nothing else differs; with nothing in common, it ends all the same."""
    old = [{"id": number} for number in range(20_000)]
    if unlike:
        new = [{"id": -number - 1} for number in range(20_000)]
        assert len(json_diff(old, new)) == 20_000
    else:
        new = [{"id": -1}, *old[:10_000], {"id": -2}, *old[10_001:]]
        assert json_diff(old, new) == (JsonDiff((0,), ABSENT, {"id": -1}), JsonDiff((10_001, "id"), 10_000, -2))
