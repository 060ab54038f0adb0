"""``flask audit log``, ``history`` and ``export``: what they print, every option, and how they fail."""

from __future__ import annotations

import csv
import errno
import json
import os
import pty
import re
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, Integer, LargeBinary, NullPool, Numeric, Table, Text, create_engine
from sqlalchemy.dialects.postgresql import JSONB

from flask_pg_audit import FlaskAudit, audited
from flask_pg_audit.history.export import export_rows
from flask_pg_audit.web.commands import audit_cli
from flask_pg_audit.web.commands.filter_options import read_instant
from flask_pg_audit.web.commands.terminal import WIDTH, fit, line, width, wrap
from tests.blog import Blog, blog, other_table
from tests.capture import run as run_sql
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def run(app: Flask, *args: str, **kwargs: Any) -> Result:
    result = app.test_cli_runner().invoke(args=["audit", *args], **kwargs)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def act(site: Blog, *statements: str, **who: str) -> None:
    """Each statement in a transaction of its own."""
    settings = "".join(f"SET LOCAL audit.{name} = '{value}'; " for name, value in who.items())
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
    run_sql(engine, *(settings + statement for statement in statements))


def audit(site: Blog, *columns: Column[Any], name: str = "item") -> None:
    """One more audited table."""
    Table(name, site.db.metadata, Column("id", Integer, primary_key=True), *columns, info=audited())
    with site.app.app_context():
        site.db.create_all()
    assert run(site.app, "install").exit_code == 0


def fails_with(result: Result, message: str, exit_code: int = 1) -> None:
    """One line, no traceback."""
    assert (result.output, result.exit_code) == (f"Error: {message}\n", exit_code)


def without_times(text: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "<time>", text)


def log(site: Blog, *args: str) -> str:
    result = run(site.app, "log", *args)
    assert result.exit_code == 0, result.output
    return without_times(result.stdout)


# log


def test_the_log_says_when_who_what_and_what_it_was_before(site: Blog) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/posts?title=x", headers={"X-Request-ID": "req-1"})
    act(site, "UPDATE post SET title = 'y' WHERE id = 2", "DELETE FROM post WHERE id = 2", "TRUNCATE post")
    [(role,)] = site.rows("SELECT current_user")
    who = f"({role})".ljust(12)
    request_id = site.rows("SELECT context ->> 'request_id' FROM audit_transaction ORDER BY id")[0][0]
    assert log(site).splitlines() == [
        f"<time>  {who}  truncate  post",
        "    every row was removed",
        f"<time>  {who}  delete    post 2",
        '    id 2, title "y"',
        f"<time>  {who}  update    post 2",
        '    title  "x" -> "y"',
        "<time>  alice         insert    post 2",
        "    POST /posts  request req-1",
        '    id 2, title "x"',
        "<time>  alice         insert    post 1",
        f"    POST /signup/alice  request {request_id}",
        '    id 1, title "hello"',
        f"<time>  {who}  insert    user 1",
        f"    POST /signup/alice  request {request_id}",
        '    id 1, username "alice"',
    ]


def test_the_time_is_utc(site: Blog) -> None:
    act(site, "SET LOCAL TimeZone = 'Asia/Kolkata'; INSERT INTO post VALUES (1, 'x')")
    [(at,)] = site.rows(
        "SELECT to_char(audit_operation_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM post_audit"
    )
    assert run(site.app, "log").output.startswith(f"{at}  ")


def test_a_reason_and_a_command(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="nightly", reason="prices of the year"):
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()
    assert 'reason "prices of the year"' in log(site)


def test_null_empty_and_absent_look_different(site: Blog) -> None:
    audit(site, Column("text", Text), Column("doc", JSONB))
    act(site, "INSERT INTO item VALUES (1, NULL, 'null'), (2, '', '{}'), (3, 'NULL', NULL)")
    act(site, "ALTER TABLE item ADD later text")
    site.db.metadata.tables["item"].append_column(Column("later", Text))
    run(site.app, "install")
    act(site, "UPDATE item SET later = 'absent' WHERE id = 1", "UPDATE item SET later = '' WHERE id = 1")
    assert [text for text in log(site).splitlines() if text[0] == " "] == [
        '    later  "absent" -> ""',
        '    later  absent -> "absent"',
        '    id 3, text "NULL", doc NULL',
        '    id 2, text "", doc {}',
        "    id 1, text NULL, doc null",
    ]


def test_pages(site: Blog) -> None:
    act(site, *(f"INSERT INTO post VALUES ({number}, 'x')" for number in range(5)))
    found: list[str] = []
    before: list[str] = []
    for _ in range(3):
        output = log(site, "--limit", "2", *before)
        found += re.findall(r"post (\d+)", output)
        last = output.splitlines()[-1]
        before = last.removeprefix("-- older changes: the same with ").split()
        if not last.startswith("-- older changes"):
            break
    assert found == ["4", "3", "2", "1", "0"]
    assert log(site, "--before", "0.0") == log(site, "--role", "nobody's") == "no changes\n"


ODD = ("x\x1b[31mred", "a\u202eb", "a\nb\x85c", "\u200b" * 3, "ö" * 500, "字" * 500)


@pytest.mark.parametrize("title", ODD, ids=range(len(ODD)))
def test_nothing_that_is_stored_disturbs_the_terminal(site: Blog, title: str) -> None:
    """Neither a value, nor a user's name, nor a role, a table or a context."""
    odd = 'od"d\x1b[2J\u202e字' + title[:3].replace("\n", "")
    audit(site, Column(odd, Text), name="tab\u202ele")
    with site.app.app_context(), site.audit.context(username=title, reason=title):
        site.db.session.add(site.Post(title=title))
        site.db.session.execute(site.db.metadata.tables["tab\u202ele"].insert().values({"id": 1, odd: title}))
        site.db.session.commit()
        post: Any = site.db.session.get(site.Post, 1)
        post.title = f"{title}2"
        site.db.session.commit()
    for arguments in (["log"], ["history", "post", "1"], ["history", "tab\u202ele", "1"]):
        output = run(site.app, *arguments).output
        assert output.isprintable() or set(filter(lambda c: not c.isprintable(), output)) <= {"\n"}
        for each in output.splitlines():
            assert width(each) <= WIDTH, each


def test_colours_are_for_a_terminal(site: Blog) -> None:
    act(site, "INSERT INTO post VALUES (1, 'x')", "UPDATE post SET title = 'y'")
    for arguments in (["log"], ["history", "post", "1"]):
        assert "\x1b" not in run(site.app, *arguments).output
        assert "\x1b[31m" in run(site.app, *arguments, color=True).output


def test_many_columns_are_counted_and_wide_lines_wrapped(site: Blog) -> None:
    audit(site, *(Column(f"column_{number}", Text) for number in range(300)))
    act(site, "INSERT INTO item (id) VALUES (1)")
    act(site, "UPDATE item SET " + ", ".join(f"column_{number} = 'x'" for number in range(100)))
    output = log(site)
    assert "    … and 92 more columns" in output.splitlines()
    assert re.search(r"… and 29\d more columns$", output, re.MULTILINE)
    assert len(output.splitlines()) < 20


def test_a_huge_value_does_not_leave_the_server(site: Blog) -> None:
    audit(site, Column("data", LargeBinary))
    act(site, "INSERT INTO item VALUES (1, decode(repeat('ab', 10000000), 'hex'))")
    act(site, "INSERT INTO post VALUES (1, repeat('x', 10000000))")
    log(site)
    tracemalloc.start()
    output = log(site)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert '    id 1, title "xxxxxxxxxxxxxxxxxxxxxx…' in output and '    id 1, data "\\\\xabab' in output
    assert peak < 2_000_000


def test_before_a_change_that_went_unrecorded(site: Blog) -> None:
    act(site, "ALTER TABLE post DISABLE TRIGGER USER", "INSERT INTO post VALUES (1, 'x')")
    act(site, "ALTER TABLE post ENABLE TRIGGER USER", "UPDATE post SET title = 'y'")
    assert log(site).splitlines()[1:] == ["    what it was before is not known", '    id 1, title "y"']
    assert "    what it was before is not known" in run(site.app, "history", "post", "1").output


def test_the_log_as_json(site: Blog) -> None:
    act(site, "INSERT INTO post VALUES (1, 'x')", "UPDATE post SET title = NULL", username="alice", actor_id="7")
    result = run(site.app, "log", "--json", "--limit", "1")
    [change] = json.loads(result.stdout)
    assert len(result.stdout.splitlines()) == 3, "one change a line"
    assert {name: change[name] for name in ("table", "operation", "key", "username", "actor_id", "changed")} == {
        "table": "post",
        "operation": "update",
        "key": {"id": 1},
        "username": "alice",
        "actor_id": "7",
        "changed": ["title"],
    }
    assert (change["old"], change["new"]) == ({"id": 1, "title": "x"}, {"id": 1, "title": None})
    assert run(site.app, "log", "--json", "--role", "x").stdout == "[]\n"
    assert json.loads(run(site.app, "log", "--json", "--before", change["position"]).stdout)[0]["operation"] == "insert"


# Filters

FILTERS: dict[str, tuple[list[str], str]] = {
    "table": (["--table", "other"], "o"),
    "two tables": (["--table", "other", "--table", "post"], "oDUI1"),
    "operation": (["--operation", "update"], "U"),
    "operations": (["--operation", "D", "--operation", "Update"], "DU"),
    "username": (["--username", "bob"], "U"),
    "nobody": (["--nobody"], "oD"),
    "actor id": (["--actor-id", "7"], "1"),
    "request id": (["--request-id", "r1"], "I"),
    "transaction": (["--transaction", "1"], "1"),
    "context": (["--context", "ticket=a=b"], "I"),
    "since": (["--since", "2h"], "oDUI1"),
    "until": (["--until", "2h"], ""),
    "today": (["--since", "yesterday", "--until", "9999-12-31T23:59:59Z"], "oDUI1"),
    "changed": (["--changed", "title"], "U"),
    "old": (["--old", "title=x=1"], "U"),
    "old null": (["--old", "title"], ""),
    "new": (["--new", "title="], "U"),
    "new null": (["--new", "title"], "1"),
    "new number": (["--new", "id=2", "--new", "title=x=1"], "I"),
    "all together": (["--table", "post", "--operation", "u", "--username", "bob", "--changed", "title"], "U"),
}


@pytest.fixture
def busy(site: Blog) -> Blog:
    other_table(site.db.metadata, "other")
    with site.app.app_context():
        site.db.create_all()
    run(site.app, "install")
    act(site, "INSERT INTO post VALUES (1, NULL)", username="alice", actor_id="7")
    act(site, "INSERT INTO post VALUES (2, 'x=1')", username="alice", context='{"request_id": "r1", "ticket": "a=b"}')
    act(site, "UPDATE post SET title = '' WHERE id = 2", username="bob")
    act(site, "DELETE FROM post WHERE id = 2", "INSERT INTO other VALUES (1)")
    return site


def test_filters_of_the_log_and_of_exports(busy: Blog) -> None:
    names = {
        "other insert 1": "o",
        "post delete 2": "D",
        "post update 2": "U",
        "post insert 2": "I",
        "post insert 1": "1",
    }
    told: dict[str, str] = {}
    for case, (arguments, expected) in FILTERS.items():
        shown = re.findall(r"^<time>  \S+\s+(\w+)\s+(\w+) (\d)$", log(busy, *arguments), re.MULTILINE)
        told[case] = "".join(names[f"{table} {what} {key}"] for what, table, key in shown)
        rows = json.loads(run(busy.app, "export", "--format", "json", *arguments).stdout)
        assert len(rows) == len(expected), case
    assert told == {case: expected for case, (_, expected) in FILTERS.items()}


def test_the_role_filter(busy: Blog) -> None:
    [(role,)] = busy.rows("SELECT current_user")
    assert log(busy, "--role", str(role)) == log(busy)


def test_every_filter_is_tested() -> None:
    commands = (audit_cli.commands["log"], audit_cli.commands["export"])
    parameters = {option for command in commands for parameter in command.params for option in parameter.opts}
    tested = {word for arguments, _ in FILTERS.values() for word in arguments if word.startswith("--")}
    elsewhere = {"--role", "--bind", "--json", "--limit", "--before", "--format", "--output"}
    assert parameters == tested | elsewhere


NO_TIME = (
    "allowed is an ISO 8601 date or date and time (UTC unless it has a time zone), a time ago such as 30m, 2h, 3d or "
    "1w, today or yesterday"
)
OPERATIONS = "insert (I), update (U), delete (D), truncate (T), baseline (S)"
MISTAKES = {
    "table": (["--table", "nope"], "--table: the table 'nope' is not audited; audited are: post, user"),
    "operation": (["--operation", "x"], f"--operation: there is no operation 'x'; there are {OPERATIONS}"),
    "since": (["--since", "2024-13-01"], f"--since: '2024-13-01' is no time (month must be in 1..12); {NO_TIME}"),
    "until": (["--until", "soon"], f"--until: 'soon' is no time; {NO_TIME}"),
    "long ago": (
        ["--since", "999999999w"],
        f"--since: '999999999w' is no time (before the year 1); {NO_TIME}",
    ),
    "order": (
        ["--since", "2024-01-02", "--until", "2024-01-01"],
        "--until: 2024-01-01T00:00:00+00:00 is not after --since 2024-01-02T00:00:00+00:00",
    ),
    "transaction": (
        ["--transaction", "9223372036854775808"],
        "--transaction: '9223372036854775808' is no whole number from -9223372036854775808 to 9223372036854775807",
    ),
    "changed": (
        ["--table", "post", "--changed", "titel"],
        '--changed: no table has the columns titel; looked for in "post" (id, title)',
    ),
    "old": (["--old", "=x"], "--old: '=x' is not of the form COLUMN=VALUE, or COLUMN alone for NULL"),
    "new": (
        ["--table", "user", "--new", "title=x"],
        '--new: no table has the columns title; looked for in "user" (id, username)',
    ),
    "columns of two tables": (
        ["--old", "title=x", "--new", "username=y"],
        '--old and --new: no table has the columns title, username; looked for in "post" (id, title), '
        '"user" (id, username)',
    ),
    "twice": (["--old", "id=1", "--old", "id=2"], "--old: 'id' is given twice; a change would have to meet both"),
    "context": (["--context", "x"], "--context: 'x' is not of the form KEY=VALUE"),
    "who": (["--nobody", "--username", "a"], "--nobody: give it, or --username, not both"),
    "utf-8": (["--username", "a\udcff"], r"--username: 'a\udcff' is no text in UTF-8"),
    "zero": (["--request-id", "a\0"], r"--request-id: 'a\x00' has a zero byte, which no text in PostgreSQL can have"),
}


@pytest.mark.parametrize("command", ["log", "export"])
def test_mistakes_are_one_line_that_names_the_option(site: Blog, command: str) -> None:
    for arguments, message in MISTAKES.values():
        fails_with(run(site.app, command, *arguments), message, exit_code=2)


def test_what_is_not_installed(site: Blog) -> None:
    act(site, "ALTER TABLE post_audit RENAME TO moved")
    message = 'the database has no audit table "post_audit" for "post"; run: flask audit install'
    for arguments in (["log"], ["export"], ["history", "post", "1"]):
        fails_with(run(site.app, *arguments), message)


def test_mistakes_that_only_one_command_can_make(site: Blog) -> None:
    whole = "is no whole number from 1 to 10000"
    fails_with(run(site.app, "log", "--limit", "0"), f"--limit: '0' {whole}", 2)
    position = "is no position in the log; it has to look like 12.345"
    fails_with(run(site.app, "history", "post", "1", "--before", "x"), f"--before: 'x' {position}", 2)
    fails_with(run(site.app, "export", "--format", "xml"), "--format: 'xml' is none of csv, ndjson, json", 2)
    fails_with(run(site.app, "log", "--bind", "x"), "no bind 'x' with audited tables; there are: none")


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "2024-01-31": "2024-01-31T00:00:00+00:00",
        "2024-01-31T12:30": "2024-01-31T12:30:00+00:00",
        "2024-01-31 12:30:15.5": "2024-01-31T12:30:15.500000+00:00",
        "2024-01-31T12:30:15Z": "2024-01-31T12:30:15+00:00",
        "2024-01-31T12:30:15+05:30": "2024-01-31T12:30:15+05:30",
        "2024-01-31T12:30-08": "2024-01-31T12:30:00-08:00",
        "2024-01-31T12:30+0530": "2024-01-31T12:30:00+05:30",
    }.items(),
)
def test_times(text: str, expected: str) -> None:
    assert read_instant(text).isoformat() == expected


def test_times_ago() -> None:
    three_days, week = read_instant("3d"), read_instant("1w")
    assert 3.9 < (three_days - week).total_seconds() / 86_400 < 4.1
    assert 59 < (read_instant("0m") - read_instant("60m")).total_seconds() / 60 < 61
    assert (read_instant("today") - read_instant("yesterday")).total_seconds() == 86_400
    assert read_instant("today").isoformat().endswith("T00:00:00+00:00")


# history


def test_a_timeline_shows_what_became_of_each_value(site: Blog) -> None:
    audit(site, Column("text", Text), Column("doc", JSONB), Column("price", Numeric))
    long = "The quick brown fox jumps over the lazy dog and sleeps for a very long time under the big old tree."
    act(
        site,
        f"""INSERT INTO item VALUES (1, '{long}', '{{"a": {{"b": [1, 2, 3]}}, "c": null}}', 1.50)""",
        """UPDATE item SET text = replace(text, 'brown', 'red'), price = 1.5,
           doc = '{"a": {"b": [1, 3]}, "c": 5, "d": "x"}'""",
        "UPDATE item SET text = '', price = NULL, doc = 'null'",
        "DELETE FROM item",
        username="alice",
    )
    result = run(site.app, "history", "item", "1")
    assert (
        without_times(result.output)
        == f"""\
<time>  alice         delete    4.4
    id  1
    text  ""
    doc  null
    price  NULL
<time>  alice         update    3.3
    text
      [-{long[:70].replace("brown", "red")}
      {long[71:]}-]
    doc  {{"a": {{"b": [1, 3]}}, "c": 5, "d": "x"}} -> null
    price  1.5 -> NULL
<time>  alice         update    2.2
    text
      The quick [-brown-]{{+red+}} fox jumps over the lazy dog and sleeps for a
      very long time under the big old tree.
    doc
      a.b[1]  removed: 2
      c  null -> 5
      d  added: "x"
    price  1.50 -> 1.5
<time>  alice         insert    1.1
    id  1
    text  "{long[:68]}…
    doc  {{"a": {{"b": [1, 2, 3]}}, "c": null}}
    price  1.50
"""
    )


def test_a_value_that_is_only_written_differently(site: Blog) -> None:
    from sqlalchemy import JSON

    audit(site, Column("doc", JSON))
    act(site, "INSERT INTO item VALUES (1, '{\"a\": 1}')", "UPDATE item SET doc = '{\"a\":  1}'")
    assert "    doc  is the same value, written differently" in run(site.app, "history", "item", "1").output


def test_documents_that_python_cannot_read_are_shown_as_they_are(site: Blog) -> None:
    audit(site, Column("doc", JSONB))
    act(site, "INSERT INTO item VALUES (1, CAST(repeat('[', 5000) || repeat(']', 5000) AS jsonb))")
    act(site, "UPDATE item SET doc = CAST(repeat('[', 900) || repeat(']', 900) AS jsonb)")
    act(site, f"UPDATE item SET doc = '{'9' * 5000}'")
    output = run(site.app, "history", "item", "1").output
    assert "doc  [[[[[" in output and "-> 99999" in output
    assert run(site.app, "log").exit_code == 0


def test_composite_keys(site: Blog) -> None:
    table = Table(
        "line",
        site.db.metadata,
        Column("order_id", Integer, primary_key=True),
        Column("sku", Text, primary_key=True),
        info=audited(),
    )
    with site.app.app_context():
        site.db.create_all()
        run(site.app, "install")
        with site.db.engine.begin() as connection:
            connection.execute(table.insert().values([{"order_id": 1, "sku": 'a,"b'}, {"order_id": 1, "sku": "c"}]))
    assert run(site.app, "history", "line", '1,"a,""b"').output.count("insert") == 1
    assert 'line 1,"a,""b"' in run(site.app, "log").output
    message = "['1'] is no key of \"line\", whose primary key is order_id, sku"
    fails_with(run(site.app, "history", "line", "1"), message)


def test_pages_of_a_timeline(site: Blog) -> None:
    act(site, "INSERT INTO post VALUES (-1, '0')", *(f"UPDATE post SET title = '{n}'" for n in range(1, 4)))
    first = run(site.app, "history", "--limit", "3", "--", "post", "-1").output
    assert re.findall(r'-> "(\d)"', first) == ["3", "2", "1"]
    older = first.splitlines()[-1]
    assert older == "-- older changes: the same with --before 2.2"
    second = run(site.app, "history", "--before", "2.2", "--", "post", "-1").output
    assert "insert" in second and "older" not in second
    assert run(site.app, "history", "--before", "1.1", "--", "post", "-1").output == "no changes\n"


def test_a_timeline_as_json(site: Blog) -> None:
    act(
        site, "INSERT INTO post VALUES (1, 'x'), (2, 'y')", "UPDATE post SET title = NULL WHERE id = 1", "TRUNCATE post"
    )
    changes = json.loads(run(site.app, "history", "post", "1", "--json").stdout)
    assert [(change["operation"], change["old"], change["new"]) for change in changes] == [
        ("truncate", None, None),
        ("update", {"id": 1, "title": "x"}, {"id": 1, "title": None}),
        ("insert", None, {"id": 1, "title": "x"}),
    ]


def test_what_has_no_history(site: Blog) -> None:
    fails_with(run(site.app, "history", "post", "7"), "post 7 has no history")
    fails_with(run(site.app, "history", "post", "7", "--json"), "post 7 has no history")
    fails_with(run(site.app, "history", "pots", "7"), "the table 'pots' is not audited; audited are: post, user")
    fails_with(run(site.app, "history", "post", "x"), "'x' is no int, as post.id is")
    site.db.Table("keyless", Column("x", Text), info=audited())
    message = 'the table "keyless" has no primary key, so its history knows no single record'
    with site.app.app_context():
        site.db.create_all()
    fails_with(run(site.app, "history", "keyless", "1"), message)


# export


def test_formats(site: Blog, tmp_path: Path) -> None:
    act(site, "INSERT INTO post VALUES (1, '=1+1')", "UPDATE post SET title = NULL", username="=cmd")
    read: dict[str, Any] = {
        "csv": lambda text: list(csv.DictReader(text.splitlines())),
        "ndjson": lambda text: [json.loads(each) for each in text.splitlines()],
        "json": json.loads,
    }
    for name, reader in read.items():
        rows = reader(run(site.app, "export", "--format", name).stdout)
        assert [(row["operation"], row["username"]) for row in rows] == [
            (operation, "'=cmd" if name == "csv" else "=cmd") for operation in ("insert", "update")
        ]
        file = tmp_path / f"export.{name}"
        assert run(site.app, "export", "--output", str(file)).output == ""
        assert file.read_bytes() == run(site.app, "export", "--format", name).stdout_bytes
    assert run(site.app, "export", "--output", "-").stdout_bytes == (tmp_path / "export.csv").read_bytes()


def test_an_empty_export(site: Blog) -> None:
    assert run(site.app, "export", "--format", "json").stdout == "[]\n"
    assert run(site.app, "export", "--format", "ndjson").stdout == ""
    assert run(site.app, "export").stdout.startswith("position,at,table,operation,key,username,")


def test_a_file_is_there_when_it_is_whole(site: Blog, tmp_path: Path) -> None:
    """A broken export leaves what was there, and nothing beside it."""
    act(site, "INSERT INTO post SELECT n, repeat('x', 1000) FROM generate_series(1, 2000) n")
    file = tmp_path / "ö.csv"
    file.write_text("the last one")
    read = export_rows

    def broken(*arguments: Any) -> Iterator[Any]:
        for count, row in enumerate(read(*arguments)):
            if count == 1000:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield row

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("flask_pg_audit.web.commands.history.export_rows", broken)
        result = run(site.app, "export", "--output", str(file))
    fails_with(result, f"--output: cannot write {file}: No space left on device")
    assert (file.read_text(), list(tmp_path.iterdir())) == ("the last one", [file])
    assert run(site.app, "export", "--output", str(file)).exit_code == 0
    assert len(file.read_text().splitlines()) == 2001
    assert stat.S_IMODE(file.stat().st_mode) == 0o600, "history is not for everybody"
    assert list(tmp_path.iterdir()) == [file]


def test_where_an_export_cannot_go(site: Blog, tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "x.csv"
    message = f"--output: cannot write {missing}: No such file or directory"
    fails_with(run(site.app, "export", "--output", str(missing)), message)
    message = f"--output: cannot write {tmp_path}: Is a directory"
    fails_with(run(site.app, "export", "--output", str(tmp_path)), message)


def test_links_and_devices(site: Blog, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    link.symlink_to(real)
    assert run(site.app, "export", "--output", str(link)).exit_code == 0
    assert link.is_symlink() and real.read_text() == "[]\n"
    assert run(site.app, "export", "--output", os.devnull).exit_code == 0
    assert not stat.S_ISREG(os.stat(os.devnull).st_mode)


PROGRAM = """
import os
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from flask_pg_audit import FlaskAudit, audited

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
db = SQLAlchemy(app)
audit = FlaskAudit(app, db)
db.Table("post", db.Column("id", db.Integer, primary_key=True), db.Column("title", db.String), info=audited())
"""


def start(site: Blog, folder: Path, *arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    """The command as a process."""
    (folder / "app.py").write_text(PROGRAM)
    url = site.app.config["SQLALCHEMY_DATABASE_URI"].render_as_string(hide_password=False)
    command = [sys.executable, "-m", "flask", "audit", *arguments]
    return subprocess.Popen(command, cwd=folder, env={**os.environ, "DATABASE_URL": url}, **streams)


@pytest.mark.parametrize("command", ["export", "log"])
def test_a_closed_pipe_ends_it_quietly(site: Blog, tmp_path: Path, command: str) -> None:
    act(site, "INSERT INTO post SELECT n, repeat('x', 1000) FROM generate_series(1, 5000) n")
    arguments = [command] if command == "export" else [command, "--limit", "10000"]
    with start(site, tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_progress_is_shown_on_a_terminal_and_only_there(site: Blog, tmp_path: Path) -> None:
    act(site, "INSERT INTO post SELECT n, 'x' FROM generate_series(1, 3000) n")
    terminal, other_end = pty.openpty()
    with start(site, tmp_path, "export", stdout=subprocess.PIPE, stderr=other_end) as process:
        os.close(other_end)
        assert process.stdout is not None
        assert len(process.stdout.read().splitlines()) == 3001
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "exporting" in shown and "100%" in shown
    file = tmp_path / "x.csv"
    with start(
        site, tmp_path, "export", "--output", str(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as quiet:
        assert quiet.communicate() == (b"", b"")


def test_an_export_to_the_terminal_has_no_progress_bar_in_it(site: Blog, tmp_path: Path) -> None:
    act(site, "INSERT INTO post VALUES (1, 'x')")
    terminal, other_end = pty.openpty()
    with start(site, tmp_path, "export", stdout=other_end, stderr=other_end) as process:
        os.close(other_end)
        process.wait()
    shown = os.read(terminal, 100_000).decode()
    os.close(terminal)
    assert "exporting" not in shown and "insert" in shown


def test_binds(database: Database) -> None:
    """Positions are those of one database, so one bind is shown, and the others are named."""
    db = SQLAlchemy()
    for key, name in ((None, "here"), ("reporting", "there")):
        db.Table(name, db.Column("id", Integer, primary_key=True), bind_key=key, info=audited())
    app = Flask(__name__)
    url = database.url()
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_BINDS={"reporting": url})
    db.init_app(app)
    FlaskAudit(app, db)
    with app.app_context():
        db.create_all()
        run(app, "install")
        run_sql(db.engine, "INSERT INTO here VALUES (1)", "INSERT INTO there VALUES (1)")
    for command in (["log"], ["export"]):
        result = run(app, *command)
        assert "here" in result.stdout and "there" not in result.stdout
        assert result.stderr == "this is the default bind; there are also, with --bind: reporting\n"
        result = run(app, *command, "--bind", "reporting")
        assert "there" in result.stdout and result.stderr == ""
    assert "insert" in run(app, "history", "there", "1", "--bind", "reporting").output
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


# Text in a terminal


@given(st.text(), st.integers(1, 40))
def test_text_fits(text: str, columns: int) -> None:
    shown = fit(line(text), columns)
    assert width(shown) <= columns and "\n" not in shown


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Cn", "Co", "Zl", "Zp"]))))
def test_wrapping_loses_no_word(texts: list[str]) -> None:
    lines = list(wrap([(text, str) for text in texts], "    "))
    assert all(width(each) <= WIDTH for each in lines)
    assert "".join("".join(lines).split()) == "".join("".join(texts).split())
