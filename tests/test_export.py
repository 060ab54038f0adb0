"""Exports: what was stored comes out of every format as it went in, in order, in little memory, and harmlessly."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Enum,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    create_engine,
    event,
)
from sqlalchemy.dialects.postgresql import ARRAY, DATERANGE, INTERVAL, JSON, JSONB, TIMESTAMP, UUID
from sqlalchemy.pool import NullPool

from flask_pg_audit import AuditConfigError, audited, enable, install_audit_triggers, set_session_vars
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history import export
from flask_pg_audit.history.export import ExportRow, export_rows, rows_at, select_written
from flask_pg_audit.history.export_formats import COLUMNS, FORMATS, render_csv, render_json, render_ndjson
from flask_pg_audit.history.feed import feed, read_places
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.recorded import read_recorded_tables
from flask_pg_audit.history.sketch import _columns, read_sketches
from flask_pg_audit.history.snapshot import settle_order, snapshot
from flask_pg_audit.history.written import WrittenChanges
from tests.blog import blog
from tests.capture import execute, run
from tests.server import Database

enable()

EXAMPLES = int(os.environ.get("AUDIT_TEST_EXAMPLES", "25"))


def note(*columns: Column[Any], name: str = "note", metadata: MetaData | None = None, **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    return Table(name, metadata or MetaData(), key, Column("text", Text), *columns, info=audited(**options))


def install(engine: Engine, table: Table) -> Table:
    table.metadata.create_all(engine)
    install_audit_triggers(table.metadata, engine)
    return table


def exported(engine: Engine, table: Table, **where: Any) -> list[ExportRow]:
    with snapshot(engine) as connection:
        return list(export_rows(connection, table.metadata, ChangeFilter(**where)))


# Reading the formats


def read_csv(data: bytes) -> list[dict[str, Any]]:
    """As the page says: an apostrophe in front of what would be a formula is taken away, JSON is read."""
    names, *lines = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    assert tuple(names) == COLUMNS
    return [dict(zip(COLUMNS, map(_cell, COLUMNS, line), strict=True)) for line in lines]


def _cell(name: str, text: str) -> Any:
    text = re.sub("^'('*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])", r"\1", text)
    return _json(text) if name in ("key", "context", "changed", "old", "new") and text else text or None


def read_ndjson(data: bytes) -> list[dict[str, Any]]:
    *lines, end = data.decode().split("\n")
    assert end == ""
    return [_json(line) for line in lines]


def _json(text: str) -> Any:
    """Numbers keep every digit."""
    return json.loads(text, parse_int=Digits, parse_float=Digits, parse_constant=pytest.fail)


class Digits(str):
    """A number as it is written."""


READERS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "csv": read_csv,
    "ndjson": read_ndjson,
    "json": lambda data: _json(data.decode()),
}


def dump(value: Any) -> str:
    """The inverse of :func:`_json`."""
    if isinstance(value, Digits):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dump(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(dump, value)) + "]"
    return json.dumps(value)


# Round trips

TYPES: dict[str, Any] = {
    "n": Numeric(),
    "f": Float(53),
    "t": Text(),
    "b": LargeBinary(),
    "at": TIMESTAMP(timezone=True),
    "span": INTERVAL(),
    "days": DATERANGE(),
    "u": UUID(),
    "doc": JSON(none_as_null=True),
    "docb": JSONB(none_as_null=True),
    "texts": ARRAY(Text),
    "numbers": ARRAY(Numeric),
    "letter": Enum("a", "b c", name="letter"),
}


def _text() -> st.SearchStrategy[str]:
    plain = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
    return plain | st.sampled_from(
        ["", "NULL", "null", "=1+1", "'=1", "''@x", "-5", "+a", '"', 'a,"b"\r\n', "\u2028", "\\"]
    )


def _numbers() -> st.SearchStrategy[str]:
    finite = st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: abs(d.adjusted()) < 1000).map(str)
    return finite | st.sampled_from(["NaN", "Infinity", "-Infinity", "1.50", "-0.0", "1e300", "9" * 400])


def _documents() -> st.SearchStrategy[str]:
    leaves = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | _text()
    inner = st.recursive(leaves, lambda part: st.lists(part, max_size=3) | st.dictionaries(_text(), part, max_size=3))
    # By themselves null is NULL on the way back, and PostgreSQL escapes a text anew.
    return inner.filter(lambda document: document is not None and not isinstance(document, str)).map(json.dumps)


def _array(elements: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def write(element: str | None) -> str:
        return "NULL" if element is None else '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return st.lists(st.none() | elements, max_size=3).map(lambda parts: "{" + ",".join(map(write, parts)) + "}")


#: Values of each column as text that PostgreSQL reads.
VALUES: dict[str, st.SearchStrategy[str]] = {
    "n": _numbers(),
    "f": st.floats().map(repr) | st.sampled_from(["-0", "5e-324"]),
    "t": _text(),
    "b": st.binary(max_size=8).map(lambda data: f"\\x{data.hex()}"),
    "at": st.sampled_from(
        ["infinity", "-infinity", "2024-02-29 12:00:00.000001+05:30", "0044-03-15 00:00Z BC", "12024-1-1 0:00Z"]
    ),
    "span": st.sampled_from(["1 mon -3 days 00:00:00.000001", "-1 year", "00:00:00"]),
    "days": st.sampled_from(["empty", "(,)", "[2024-01-01,2024-02-01)", "(,2024-01-01)"]),
    "u": st.uuids().map(str),
    "doc": _documents(),
    "docb": _documents().filter(lambda text: "\\u0000" not in text),
    "texts": _array(_text()),
    "numbers": _array(_numbers()),
    "letter": st.sampled_from(["a", "b c"]),
}
ROWS = st.fixed_dictionaries({name: st.none() | value for name, value in VALUES.items()})


@pytest.fixture
def typed(engine: Engine) -> Table:
    return install(engine, note(*(Column(name, type_) for name, type_ in TYPES.items())))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(row=ROWS, who=st.none() | _text(), data=st.data())
def test_every_value_survives_every_format(
    engine: Engine, typed: Table, row: dict[str, str | None], who: str | None, data: st.DataObject
) -> None:
    """Read back by PostgreSQL, the exported row is the live one, to the last digit."""
    name = data.draw(st.sampled_from(sorted(FORMATS)))
    assignments = ", ".join(f"{column} = CAST(%({column})s AS text)::{_sql_type(typed, column)}" for column in row)
    with engine.begin() as connection:
        execute(connection, "DELETE FROM note")
        set_session_vars(connection, username=who)
        connection.exec_driver_sql("INSERT INTO note (id, text) VALUES (1, %(t)s)", {"t": row["t"]})
        connection.exec_driver_sql(f"UPDATE note SET {assignments}", row)
    with snapshot(engine) as connection:
        last = execute(connection, "SELECT max(id) FROM audit_transaction").scalar_one()
        rows = export_rows(connection, typed.metadata, ChangeFilter(transaction_id=last))
        change = READERS[name](b"".join(FORMATS[name](rows)))[-1]
    with engine.connect() as connection:
        same, others = connection.exec_driver_sql(
            "SELECT back.image::text = live::text, concat_ws('; ', back.image::text, live::text)"
            " FROM note AS live, (SELECT json_populate_record(NULL::note, CAST(%(json)s AS json)) AS image) AS back",
            {"json": dump(change["new"])},
        ).one()
    assert same, others
    assert change["username"] == (who or None)
    if change["operation"] == "update":
        assert change["old"]["text"] == row["t"]


def _sql_type(table: Table, column: str) -> str:
    from sqlalchemy.dialects import postgresql

    return str(table.c[column].type.compile(postgresql.dialect()))


def test_null_empty_and_absent(engine: Engine) -> None:
    table = install(engine, note())
    run(engine, "INSERT INTO note VALUES (1, NULL), (2, '')", "ALTER TABLE note ADD later text")
    table = install(engine, note(Column("later", Text)))
    run(engine, "UPDATE note SET later = 'x' WHERE id = 1", "UPDATE note SET text = NULL WHERE id = 2")
    images = [(row.old, row.new, row.changed) for row in exported(engine, table)]
    assert images == [
        (None, '{"id": 1, "text": null}', "[]"),
        (None, '{"id": 2, "text": ""}', "[]"),
        ('{"id": 1, "text": null}', '{"id": 1, "text": null, "later": "x"}', '["later"]'),
        ('{"id": 2, "text": ""}', '{"id": 2, "text": null, "later": null}', '["text"]'),
    ]


def test_a_column_that_the_table_lost_is_exported(engine: Engine) -> None:
    install(engine, note(Column("gone", JSONB)))
    run(engine, "INSERT INTO note VALUES (1, 'a', '{}')", "ALTER TABLE note DROP gone")
    table = install(engine, note())
    run(engine, "UPDATE note SET text = 'b'")
    assert [row.new for row in exported(engine, table)] == [
        '{"id": 1, "text": "a", "gone": {}}',
        '{"id": 1, "text": "b"}',
    ]


def test_who_when_and_where(engine: Engine) -> None:
    table = install(engine, note(session_settings=[Column("username", String)]))
    with engine.begin() as connection:
        set_session_vars(connection, username="alice", actor_id=7)
        execute(connection, """SET LOCAL audit.context = '{"request_id": "r1", "n": 1.50}'""")
        execute(connection, "SET LOCAL application_name = 'shop'")
        execute(connection, "SET LOCAL TimeZone = 'Asia/Kolkata'")
        execute(connection, "INSERT INTO note VALUES (1, 'a')")
    [row] = exported(engine, table)
    with engine.connect() as connection:
        at, role = connection.exec_driver_sql(
            "SELECT to_char(audit_operation_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),"
            " current_user FROM note_audit"
        ).one()
    assert (row.at, row.role, row.username, row.actor_id, row.request_id) == (at, role, "alice", "7", "r1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", row.at)
    assert (row.application_name, row.context) == ("shop", '{"n": 1.50, "request_id": "r1"}')
    assert (row.table, row.operation, row.key, row.position) == ("note", "insert", '{"id": 1}', "1.1")


def test_a_column_that_is_called_like_ours_says_nothing_about_who(engine: Engine) -> None:
    table = install(engine, note(Column("audit_username", Text)))
    run(engine, "INSERT INTO note VALUES (1, 'a', 'somebody else')")
    [row] = exported(engine, table)
    assert row.username is None and '"audit_username": "somebody else"' in str(row.new)


def test_every_operation(engine: Engine) -> None:
    table = install(engine, note())
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'", "DELETE FROM note", "TRUNCATE note")
    one, two = '{"id": 1, "text": "a"}', '{"id": 1, "text": "b"}'
    assert [(row.operation, row.key, row.old, row.new) for row in exported(engine, table)] == [
        ("insert", '{"id": 1}', None, one),
        ("update", '{"id": 1}', one, two),
        ("delete", '{"id": 1}', two, None),
        ("truncate", "{}", None, None),
    ]


def test_all_tables_are_in_one_order_the_oldest_first(engine: Engine) -> None:
    metadata = MetaData()
    one, two = note(metadata=metadata, name="one"), note(metadata=metadata, name="two")
    install(engine, one)
    run(engine, *(f"INSERT INTO {table} VALUES ({n}, 'x')" for n, table in enumerate([one, two, two, one])))
    rows = exported(engine, one)
    assert [row.table for row in rows] == ["one", "two", "two", "one"]
    assert [row.position for row in rows] == [f"{n}.{n}" for n in range(1, 5)]
    assert [row.table for row in exported(engine, one, tables=["two"])] == ["two", "two"]
    with pytest.raises(AuditConfigError, match="the table 'three' is not audited"):
        exported(engine, one, tables=["three"])


def test_filters_on_who_and_on_values_at_once(engine: Engine) -> None:
    """They join what the export itself joins."""
    table = install(engine, note())
    for who in ("alice", "bob"):
        with engine.begin() as connection:
            set_session_vars(connection, username=who)
            execute(connection, f"INSERT INTO note VALUES ({len(who)}, 'a'); UPDATE note SET text = '{who}'")
    found = exported(engine, table, username="bob", changed=["text"], old={"text": "a"}, new={"text": "bob"})
    assert [(row.key, row.changed) for row in found] == [('{"id": 3}', '["text"]')]


NAMES = {
    "quotes": ("we\"i%rd 'tab:le'", ['q"uo%te:x', "%(name)s", "back\\slash", "new\nline"]),
    "our own": ("written", ["old", "new", "who", "was", "key", "stored", "audit_id_", "at"]),
    "63 bytes": ("ä" * 31, ["ö" * 31, "x" * 63]),
}


@pytest.mark.parametrize(("name", "columns"), NAMES.values(), ids=list(NAMES))
def test_hostile_names(engine: Engine, name: str, columns: list[str]) -> None:
    run(engine, 'CREATE SCHEMA "dot.ted Schema"')
    key = Column("the id", Integer, key="id", primary_key=True)
    rest = [Column(column, Text, key=f"key{number}") for number, column in enumerate(columns)]
    table = Table(name, MetaData(), key, *rest, info=audited(), schema="dot.ted Schema")
    install(engine, table)
    with engine.begin() as connection:
        connection.execute(table.insert().values(id=1, key0="before"))
        connection.execute(table.update().values(key0="after"))
    for format_name, read in READERS.items():
        change = read(b"".join(FORMATS[format_name](exported(engine, table))))[1]
        assert change["table"] == f"dot.ted Schema.{name}"
        assert (change["key"], change["changed"]) == ({"the id": "1"}, [columns[0]])
        assert (change["old"][columns[0]], change["new"][columns[0]]) == ("before", "after")
        assert list(change["new"]) == ["the id", *columns]


def test_a_table_of_very_many_columns(engine: Engine) -> None:
    table = install(engine, note(*(Column(f"c{number}", Text) for number in range(1500))))
    run(engine, "INSERT INTO note (id, c1499) VALUES (1, 'b')", "UPDATE note SET c1499 = 'c'")
    update = exported(engine, table)[1]
    assert (update.changed, len(json.loads(str(update.old)))) == ('["c1499"]', 1502)


def test_what_is_never_a_number_or_a_value_of_python(engine: Engine) -> None:
    """Infinite and ancient dates, and types that have no equality."""
    from sqlalchemy.types import UserDefinedType

    class Point(UserDefinedType[str]):
        cache_ok = True

        def get_col_spec(self, **kw: Any) -> str:
            return "point"

    table = install(engine, note(Column("at", TIMESTAMP(timezone=True)), Column("p", Point), Column("j", JSON)))
    run(
        engine,
        "INSERT INTO note VALUES (1, 'a', 'infinity', '(1,2)', '{\"a\":\n 1e400}')",
        "UPDATE note SET at = '0044-03-15 12:00Z BC', p = '(3,4)', j = '{\"a\":  1}'",
    )
    _, update = read_ndjson(b"".join(render_ndjson(exported(engine, table))))
    assert update["changed"] == ["at", "p", "j"]
    assert update["old"] == {"id": "1", "text": "a", "at": "infinity", "p": "(1,2)", "j": {"a": "1e400"}}
    assert update["new"]["at"] == "0044-03-15T12:00:00+00:00 BC"


def test_output_settings_of_the_role_change_nothing(engine: Engine) -> None:
    table = install(
        engine, note(Column("b", LargeBinary), Column("f", Float(53)), Column("at", TIMESTAMP(timezone=True)))
    )
    run(engine, "INSERT INTO note VALUES (1, NULL, '\\x00ff', 0.1, '2024-01-01 12:00Z')")
    database = engine.url.database
    for setting in (
        "bytea_output = escape",
        "extra_float_digits = -10",
        "TimeZone = 'Asia/Tokyo'",
        "DateStyle = German",
    ):
        run(engine, f"ALTER DATABASE {database} SET {setting}")
    other = create_engine(engine.url, poolclass=NullPool)
    [row] = exported(other, table)
    assert row.new == r'{"id": 1, "text": null, "b": "\\x00ff", "f": 0.1, "at": "2024-01-01T12:00:00+00:00"}'


# The formats


def row(**values: Any) -> ExportRow:
    known = {
        "position": "1.2",
        "table": "t",
        "operation": "insert",
        "role": "r",
        "at": "",
        "key": "{}",
        "changed": "[]",
    }
    return ExportRow(**{**dict.fromkeys(COLUMNS), **known, **values})


@pytest.mark.parametrize(
    "text", ["=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''+x", "-", '="a,b"\r\n']
)
def test_no_cell_is_a_formula(text: str) -> None:
    data = b"".join(render_csv([row(username=text, application_name=text, request_id=text)]))
    _, cells = csv.reader(io.StringIO(data.decode(), newline=""))
    assert cells[COLUMNS.index("username")] == f"'{text}"
    [change] = read_csv(data)
    assert (change["username"], change["application_name"], change["request_id"]) == (text,) * 3


@pytest.mark.parametrize("text", ["-5", "+5", "-1.50", "1e-7", "'t Hooft", "a=1", "'", " =", "-3.7"])
def test_anything_else_stays_as_it_is(text: str) -> None:
    [_, cells] = csv.reader(io.StringIO(b"".join(render_csv([row(username=text)])).decode(), newline=""))
    assert cells[COLUMNS.index("username")] == text


def test_csv_tells_null_from_empty() -> None:
    head, null, empty, _ = b"".join(render_csv([row(actor_id=None), row(actor_id="")])).decode().split("\r\n")
    assert head == ",".join(COLUMNS)
    assert null.split(",")[6:8] == ["", "r"] and empty.split(",")[6:8] == ['""', "r"]


def test_no_changes_are_a_valid_file() -> None:
    assert [b"".join(render([])) for render in (render_csv, render_ndjson, render_json)] == [
        ",".join(COLUMNS).encode() + b"\r\n",
        b"",
        b"[]\n",
    ]


# Streaming


def many(engine: Engine, rows: int, **options: Any) -> Table:
    table = install(engine, note(**options))
    run(engine, f"INSERT INTO note SELECT n, repeat('x', 100) FROM generate_series(1, {rows}) n")
    return table


def test_memory_does_not_grow_with_the_number_of_changes(engine: Engine) -> None:
    table = many(engine, 15_000)
    peaks = []
    for limit in (1_500, 15_000):
        tracemalloc.start()
        with snapshot(engine) as connection:
            rows = export_rows(connection, table.metadata, ChangeFilter(key={}))
            size = sum(len(chunk) for chunk, _ in zip(render_ndjson(rows), range(limit), strict=False))
            rows.close()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert size > 5_000_000
    assert peaks[1] < peaks[0] + 200_000 and peaks[1] < 3_000_000


def test_fewer_changes_are_held_at_once_the_longer_they_are(engine: Engine) -> None:
    table = install(engine, note())
    run(engine, "INSERT INTO note SELECT n, repeat('x', 1000000) FROM generate_series(1, 60) n")
    tracemalloc.start()
    with snapshot(engine) as connection:
        assert sum(1 for _ in export_rows(connection, table.metadata)) == 60
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60_000_000


@pytest.mark.parametrize("statistics", ["ANALYZE", "SELECT 1"], ids=["analyzed", "never analyzed"])
def test_nothing_sorts_the_history(engine: Engine, statistics: str) -> None:
    """Each table is read in the order of its primary key, and the tables are merged."""
    metadata = MetaData()
    for name in ("one", "two"):
        note(metadata=metadata, name=name)
    install(engine, metadata.tables["one"])
    for name in ("one", "two"):
        run(
            engine, f"INSERT INTO {name} SELECT n, 'x' FROM generate_series(1, 5000) n", f"UPDATE {name} SET text = 'y'"
        )
    run(engine, statistics)
    with engine.connect() as connection:
        settle_order(connection, keep=True)
        query = select_written(read_recorded_tables(connection, metadata), ChangeFilter())
        compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
        sql = compiled.string % () if engine.driver == "psycopg2" else compiled.string.replace("%%", "%")
        plan = "\n".join(execute(connection, f"EXPLAIN {sql}").scalars())
    assert "Merge Append" in plan and "_audit_pkey on one_audit" in plan and "_audit_pkey on two_audit" in plan, plan
    assert "Sort  (" not in plan and "Hash" not in plan, plan


def test_an_export_sees_one_moment_and_cannot_write(engine: Engine) -> None:
    table = many(engine, 2_000)
    with snapshot(engine) as connection:
        rows = export_rows(connection, table.metadata)
        next(rows)
        run(engine, "INSERT INTO note VALUES (0, 'later')")
        assert sum(1 for _ in rows) == 1_999
        assert sum(1 for _ in export_rows(connection, table.metadata)) == 2_000
        with pytest.raises(Exception, match="read-only transaction"):
            execute(connection, "DELETE FROM note")
    assert len(exported(engine, table)) == 2_001


def test_a_reader_who_stops_leaves_the_connection_usable(engine: Engine) -> None:
    table = many(engine, 2_000)
    with snapshot(engine) as connection:
        rows: Any = export_rows(connection, table.metadata)
        next(rows)
        rows.close()
        assert sum(1 for _ in export_rows(connection, table.metadata)) == 2_000


def test_an_engine_in_autocommit_mode(engine: Engine) -> None:
    table = many(engine, 3)
    assert len(exported(engine.execution_options(isolation_level="AUTOCOMMIT"), table)) == 3


def test_reading_is_known_to_be_harmless(engine: Engine) -> None:
    table = install(engine, note(Column("b", LargeBinary), session_settings=[Column("username", String)]))
    run(engine, "ALTER TABLE note ADD later text")
    table = install(engine, note(Column("b", LargeBinary), Column("later", Text)))
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    with snapshot(engine) as connection:
        tables = read_recorded_tables(connection, table.metadata)
        where = ChangeFilter(username="a", old={"text": "a"}, changed=["later"], context={"a": "b"}, request_id="r")
        list(export_rows(connection, table.metadata, where))
        places = read_places(connection, feed(table.metadata))
        rows_at(connection, tables, places)
        read_sketches(connection, tables, places)
        written = WrittenChanges(tables[0])
        sketches = written.select(ChangeFilter(), *_columns(written, 200))
        sent.append(str(sketches.compile(connection)))
    assert len(sent) > 5
    for statement in sent:
        assert is_harmless_select(statement), statement


def test_an_export_looks_nobody_up(database: Database) -> None:
    with blog(database.url()) as site:

        @site.app.get("/export")
        def view() -> bytes:
            with snapshot(site.db.engine) as connection:
                return b"".join(render_ndjson(export_rows(connection, site.db.metadata)))

        client = site.app.test_client()
        client.post("/signup/alice")
        client.post("/posts?title=x")
        site.user_lookups.clear()
        assert len(client.get("/export").text.splitlines()) == 3
        assert site.user_lookups == []


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few to begin with, more while they are short, one at a time when each is huge."""
    sizes: list[int] = []

    class Result:
        def __init__(self, length: int) -> None:
            self.left, self.length = 3_000, length

        def fetchmany(self, size: int) -> list[tuple[str]]:
            sizes.append(size)
            size = min(size, self.left)
            self.left -= size
            return [("x" * self.length,)] * size

    for length, expected in ((10, [20, 100, 500, 500]), (1_000_000, [20, 4, 4, 4])):
        sizes.clear()
        list(export._batches(Result(length)))  # type: ignore[arg-type]
        assert sizes[:4] == expected
