"""Removing a person's data from history: gone everywhere, and everything still works."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import UserDefinedType

from flask_pg_audit import (
    AuditConfigError,
    AuditConflictError,
    AuditError,
    AuditInstallError,
    install_audit_triggers,
    mask,
)
from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from flask_pg_audit.declare.registry import declare_view_table
from flask_pg_audit.history import as_of
from flask_pg_audit.history.excerpts import read_excerpts
from flask_pg_audit.history.export import export_rows
from flask_pg_audit.history.recorded import read_recorded_tables
from flask_pg_audit.history.sketch import read_sketches
from flask_pg_audit.redaction import redact, redact_unmasked, redact_views
from flask_pg_audit.revert import revert, undelete
from flask_pg_audit.seal import seal, verify_seals
from tests.capture import audited_table, column, execute, install, recorded, rewriting, role, rows, run
from tests.load import writers
from tests.reverting import history, last
from tests.server import Database
from tests.tamper import tamper


def person(**options: Any) -> Table:
    metadata = MetaData()
    declare_view_table(metadata)
    return audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("email", Text),
        column("data", JSONB),
        options=options,
    )


SETUP = (
    "INSERT INTO person VALUES (1, 'Ann', 'ann@example.org', '{\"phone\": 1}'), (2, 'Bob', 'bob@example.org', NULL)",
    "UPDATE person SET email = 'amy@example.org' WHERE id = 1",
    "UPDATE person SET name = 'Amy' WHERE id = 1",
    "DELETE FROM person WHERE id = 1",
)


@pytest.fixture
def table(engine: Engine) -> Table:
    table = person()
    install(engine, table.metadata)
    run(engine, *SETUP)
    return table


def test_the_values_are_gone_everywhere_and_it_is_written_down(engine: Engine, table: Table) -> None:
    done = redact(table.metadata, engine, "person", 1, ["email", "data"], reason="request 17")
    assert (done.changes, dict(done.columns), dict(done.key or {})) == (4, {"email": 4, "data": 4}, {"id": "1"})
    assert recorded(engine, "person", "id", "name", "email", "data") == [
        ("I", 1, "Ann", None, None),
        ("I", 2, "Bob", "bob@example.org", None),
        ("U", 1, "Ann", None, None),
        ("U", 1, "Amy", None, None),
        ("D", 1, "Amy", None, None),
    ]
    assert "example.org" not in str(rows(engine, "SELECT t::text FROM person_audit AS t WHERE id = 1"))
    written = rows(
        engine,
        "SELECT r.reason, r.db_role, r.table_name, r.key, r.columns, m.reason, m.xact IS NOT NULL, h.audit_operation "
        "FROM audit_redaction r JOIN audit_maintenance m ON m.id = r.maintenance_id "
        "JOIN person_audit h USING (audit_transaction_id, audit_id) ORDER BY r.audit_id",
    )
    common = ("request 17", "postgres", "person", {"id": "1"}, ["email", "data"], "request 17", True)
    assert written == [(*common, operation) for operation in "IUUD"]
    assert check(table.metadata, engine) == ()


def test_timelines_tell_what_was_removed_from_what_was_null(engine: Engine, table: Table) -> None:
    run(engine, "INSERT INTO person VALUES (1, 'Eve', NULL, NULL)")
    redact(table.metadata, engine, "person", 1, ["email"])
    changes = [change for change in history(engine, table) if change.key == {"id": 1}]
    assert [change.redacted for change in changes] == [*([frozenset({"email"})] * 4), frozenset()]
    assert [change.image.get("email", "left out") for change in changes] == [*(["left out"] * 4), None]
    assert changes[2].changed == ("name",)
    assert changes[2].old is not None
    assert "email" not in changes[2].old
    (bob,) = (change for change in history(engine, table) if change.key == {"id": 2})
    assert (bob.redacted, bob.image["email"]) == (frozenset(), "bob@example.org")
    with engine.connect() as connection:
        past = as_of(table, changes[1].position)
        assert connection.execute(past.select().order_by("id")).all() == [
            (1, "Ann", None, {"phone": 1}),
            (2, "Bob", "bob@example.org", None),
        ]


def test_every_way_of_reading_says_redacted(engine: Engine, table: Table) -> None:
    redact(table.metadata, engine, "person", 1, ["email"])
    place = ("person", history(engine, table)[2].position)
    with engine.begin() as connection:
        tables = read_recorded_tables(connection, table.metadata)
        [excerpt] = read_excerpts(connection, tables, [place])
        [sketch] = read_sketches(connection, tables, [place])
        exported = [row for row in export_rows(connection, table.metadata) if json.loads(row.key) == {"id": 1}]
    email = next(field for field in excerpt.fields if field.name == "email")
    assert email.value is not None
    assert email.old is not None
    assert (email.value.is_redacted, email.old.is_redacted, email.changed) == (True, True, False)
    assert sketch.redacted == ("email",)
    assert sketch.new is not None
    assert "email" not in sketch.new
    assert {row.redacted for row in exported} == {'["email"]'}
    assert all("email" not in (row.new or "") + (row.old or "") for row in exported)


def test_a_dry_run_removes_nothing(engine: Engine, table: Table) -> None:
    before = rows(engine, "SELECT * FROM person_audit ORDER BY audit_id")
    assert redact(table.metadata, engine, "person", 1, ["email"], dry_run=True).changes == 4
    assert rows(engine, "SELECT * FROM person_audit ORDER BY audit_id") == before
    assert rows(engine, "SELECT * FROM audit_redaction") == rows(engine, "SELECT * FROM audit_maintenance") == []


@pytest.mark.parametrize(
    ("key", "columns", "error", "message"),
    [
        (9, ["email"], AuditError, "person 9 has no history, so there is nothing to redact"),
        (1, ["mail"], AuditConfigError, "the history of \"person\" has no column 'mail'; it has id, name, email, data"),
        (1, ["id"], AuditConfigError, "'id' is of the primary key of 'person'"),
        (1, [], AuditConfigError, "say which columns"),
        ((1, 2), ["email"], AuditConfigError, '(1, 2) is no key of "person", whose primary key is id'),
    ],
)
def test_what_cannot_be_redacted_is_said_in_one_line(
    engine: Engine, table: Table, key: object, columns: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        redact(table.metadata, engine, "person", key, columns)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    with pytest.raises(AuditConfigError, match="no audited table is called 'people'; there are: person"):
        redact(table.metadata, engine, "people", 1, ["email"])


def test_redacting_twice_does_nothing_the_second_time(engine: Engine, table: Table) -> None:
    redact(table.metadata, engine, "person", 1, ["email"])
    assert redact(table.metadata, engine, "person", 1, ["email"]).changes == 0
    assert len(rows(engine, "SELECT FROM audit_redaction")) == 4
    more = redact(table.metadata, engine, "person", 1, ["email", "name"])
    assert (more.changes, dict(more.columns)) == (4, {"email": 0, "name": 4})
    assert {change.redacted for change in history(engine, table)} == {frozenset(), frozenset({"email", "name"})}


def test_a_row_that_still_has_the_value_is_said(engine: Engine, table: Table) -> None:
    with pytest.raises(AuditError) as raised:
        redact(table.metadata, engine, "person", 2, ["email", "data"])
    assert str(raised.value) == (
        "the row of person still has what is to be removed in email, and its next change would record it again: "
        "change or delete the row first, or say --keep-live (keep_live=True)"
    )
    assert recorded(engine, "person", "email")[1] == ("I", "bob@example.org")
    run(engine, "UPDATE person SET email = 'gone' WHERE id = 2")
    with pytest.raises(AuditError, match="still has"):  # the new value is recorded as well
        redact(table.metadata, engine, "person", 2, ["email"])
    assert redact(table.metadata, engine, "person", 2, ["email"], keep_live=True).changes == 2
    assert rows(engine, "SELECT email FROM person") == [("gone",)]


def test_verify_and_revert_with_redacted_rows(engine: Engine, table: Table) -> None:
    metadata = table.metadata
    run(engine, "UPDATE person SET name = 'Rob', email = 'rob@example.org' WHERE id = 2")
    run(engine, "UPDATE person SET name = 'Tom', email = NULL WHERE id = 2")
    redact(metadata, engine, "person", 1, ["email"])
    redact(metadata, engine, "person", 2, ["email"])
    assert not any(found.counts for found in verify(metadata, engine))
    with engine.begin() as connection:
        assert [w.columns for w in revert(connection, metadata, last(engine, table)).writes] == [("name",)]
    assert rows(engine, "SELECT name, email FROM person") == [("Rob", None)]
    with engine.begin() as connection:
        undelete(connection, table, 1)
    assert rows(engine, "SELECT name, email, data FROM person WHERE id = 1") == [("Amy", None, {"phone": 1})]


def test_what_was_redacted_of_the_last_image_is_no_difference(engine: Engine, table: Table) -> None:
    redact(table.metadata, engine, "person", 2, ["email"], keep_live=True)
    assert not any(found.counts for found in verify(table.metadata, engine))
    with engine.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        execute(connection, "UPDATE person SET name = 'Rob'")
    [found, *_] = verify(table.metadata, engine, tables=["person"])
    assert [[column.name for column in difference.columns] for difference in found.differences] == [["name"]]


def test_a_row_that_must_have_a_value_comes_back_with_what_is_supplied(engine: Engine) -> None:
    metadata = MetaData()
    table = audited_table(metadata, "t", column("id", Integer, primary_key=True), column("name", Text, nullable=False))
    install(engine, metadata)
    run(engine, "INSERT INTO t VALUES (1, 'Ann')", "DELETE FROM t")
    redact(metadata, engine, "t", 1, ["name"])
    with engine.begin() as connection, pytest.raises(AuditConflictError, match="NOT NULL"):
        undelete(connection, table, 1)
    with engine.begin() as connection:
        undelete(connection, table, 1, values={"name": "nobody"})
    assert rows(engine, "SELECT * FROM t") == [(1, "nobody")]


def test_seals_say_redacted(engine: Engine, table: Table) -> None:
    metadata = table.metadata
    run(engine, "INSERT INTO audit_view (action, page, query) VALUES ('search', 'p', '{\"q\": \"ann@example.org\"}')")
    seal(metadata, engine)
    redact(metadata, engine, "person", 1, ["email"])
    redact(metadata, engine, "person", 1, ["email", "name"])
    redact_views(metadata, engine, "Ann@")
    verified = verify_seals(metadata, engine)
    assert (verified.findings, verified.redacted) == ((), 5)
    seal(metadata, engine)
    run(engine, rewriting("UPDATE person_audit SET data = NULL WHERE id = 1 AND audit_operation = 'I'"))
    assert [finding.kind for finding in verify_seals(metadata, engine).findings] == ["row-changed"]


@pytest.mark.parametrize("name", ["person", "human"])
def test_a_history_of_which_all_was_redacted_is_known_again_where_it_moved(engine: Engine, name: str) -> None:
    """Also under another name of the column: what was redacted before is what it was then."""
    install(engine, flat("person", "name"))
    run(engine, "INSERT INTO person SELECT n, 'Ann' FROM generate_series(1, 30) AS n")
    seal(flat("person", "name"), engine)
    install(engine, flat("person", "name", mask={"name": "fixed"}))
    assert redact_unmasked(flat("person", "name", mask={"name": "fixed"}), engine, "person").changes == 30
    run(engine, f"ALTER TABLE person RENAME TO {name}" if name != "person" else "SELECT")
    moved = flat(name, "name", mask={"name": "fixed"}, schema_name="history")
    install_audit_triggers(moved, engine)
    assert seal(moved, engine)
    verified = verify_seals(moved, engine)
    assert (verified.counts, verified.redacted) == ({}, 30)


def test_seals_know_a_renamed_column_beside_redacted_rows(engine: Engine) -> None:
    install(engine, flat("person", "name", "email"))
    run(
        engine,
        "INSERT INTO person SELECT n, 'Ann', 'x' FROM generate_series(1, 30) AS n",
        "UPDATE person SET name = ''",
    )
    seal(flat("person", "name", "email"), engine)
    redact(flat("person", "name", "email"), engine, "person", 1, ["name"], keep_live=True)
    run(engine, *(f"ALTER TABLE {table} RENAME email TO address" for table in ("person", "person_audit")))
    renamed = flat("person", "name", "address")
    install_audit_triggers(renamed, engine)
    verified = verify_seals(renamed, engine)
    assert (verified.counts, verified.redacted) == ({}, 2)
    redact(renamed, engine, "person", 2, ["name"], keep_live=True)  # under the new name, so it looks changed
    assert verify_seals(renamed, engine).counts == {"row-changed": 2}


def test_what_was_redacted_before_its_column_was_renamed_is_never_written_back(engine: Engine) -> None:
    old = flat("person", "name", "email")
    install(engine, old)
    run(engine, "INSERT INTO person VALUES (1, 'Ann', 'x')", "UPDATE person SET email = 'y'")
    redact(old, engine, "person", 1, ["name"], keep_live=True)
    run(engine, *(f"ALTER TABLE {table} RENAME name TO title" for table in ("person", "person_audit")))
    renamed = flat("person", "title", "email")
    install_audit_triggers(renamed, engine)
    assert not any(found.counts for found in verify(renamed, engine))
    run(engine, "UPDATE person SET title = 'Sir', email = 'z'")
    table = renamed.tables["person"]
    assert [change.redacted for change in history(engine, table)] == [{"title"}] * 3
    with engine.begin() as connection:
        revert(connection, renamed, last(engine, table))
    assert rows(engine, "SELECT title, email FROM person") == [("Sir", "y")]


def flat(name: str, *columns: str, **options: Any) -> MetaData:
    metadata = MetaData()
    texts = (column(each, Text) for each in columns)
    audited_table(metadata, name, column("id", Integer, primary_key=True), *texts, options=options)
    return metadata


def test_under_load_nothing_else_is_lost(engine: Engine, table: Table, database: Database) -> None:
    """Others go on to write the same record, with what is removed left out by now."""
    metadata = table.metadata
    run(
        engine,
        "INSERT INTO person SELECT n, 'a', 'ann@example.org' FROM generate_series(11, 15) AS n",
        *(f"UPDATE person SET email = 'ann@example.{number}' WHERE id > 10" for number in range(20)),
        "UPDATE person SET email = NULL WHERE id > 10",
    )
    counted = "SELECT count(*), count(email) FILTER (WHERE id < 10) FROM person_audit"
    [(before, others)] = rows(engine, counted)
    assert seal(metadata, engine) is not None

    def write(connection: Connection, dice: random.Random) -> None:
        execute(connection, f"UPDATE person SET name = md5(random()::text) WHERE id = {dice.randint(11, 15)}")

    with writers(database, write) as committed:
        counts = [redact(metadata, engine, "person", key, ["email"]).changes for key in range(11, 16)]
        goal = committed() + 20
        while committed() < goal:
            time.sleep(0.01)
    assert counts == [21] * 5
    assert rows(engine, "SELECT count(*), count(email) FROM person_audit") == [(before + committed(), others)]
    assert not any(one.counts for one in verify(metadata, engine))
    verified = verify_seals(metadata, engine)
    assert (verified.findings, verified.redacted) == ((), 105)


def test_a_forged_redaction_is_found(engine: Engine, table: Table) -> None:
    """What was written down is sealed in its turn."""
    metadata = table.metadata
    redact(metadata, engine, "person", 1, ["email"])
    seal(metadata, engine)
    with pytest.raises(DBAPIError, match="never opened"):
        run(engine, rewriting("UPDATE audit_redaction SET reason = 'another'"))
    tamper(engine, "UPDATE audit_redaction SET reason = 'another'")
    assert {(f.kind, f.table) for f in verify_seals(metadata, engine).findings} == {("row-changed", "audit_redaction")}


def test_nobody_but_the_owner_redacts(engine: Engine, table: Table) -> None:
    with role(engine, "app", "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}") as app:
        app_engine = engine.execution_options()
        with app_engine.connect() as connection:
            execute(connection, f"SET ROLE {app}")
            connection.commit()
            with pytest.raises(Exception, match=r"not rewritten|permission denied"):
                execute(connection, "UPDATE person_audit SET email = NULL")
            connection.rollback()
            execute(connection, "RESET ROLE")
            connection.commit()


def test_searches_are_redacted_too(engine: Engine, table: Table) -> None:
    run(
        engine,
        "INSERT INTO audit_view (action, page, query, username) VALUES "
        "('search', 'p', '{\"q\": \"say \\\"Ann\\\"\"}', 'eve'), ('search', 'p', '{\"q\": \"bob\"}', 'eve')",
    )
    assert redact_views(table.metadata, engine, 'SAY "ann').changes == 1
    assert rows(engine, "SELECT username, query FROM audit_view ORDER BY id") == [
        ("eve", {"redacted": True}),
        ("eve", {"q": "bob"}),
    ]
    assert rows(engine, "SELECT table_name, columns FROM audit_redaction") == [("audit_view", ["query"])]
    with pytest.raises(AuditConfigError, match="say which text"):
        redact_views(table.metadata, engine, "")


def test_what_was_recorded_before_a_mask(engine: Engine, table: Table) -> None:
    masked = person(mask={"email": mask.partial(1), "data": "fixed"})
    install_audit_triggers(masked.metadata, engine)
    run(engine, "INSERT INTO person VALUES (3, 'Cy', 'cy@example.org', NULL)")
    assert [finding.code for finding in check(masked.metadata, engine)] == ["mask-incomplete", "mask-incomplete"]
    assert redact_unmasked(masked.metadata, engine, "person", dry_run=True).changes == 5
    done = redact_unmasked(masked.metadata, engine, "person", batch_size=2)
    assert (done.changes, dict(done.columns)) == (5, {"email": 5, "data": 4})
    assert {email for _, email in recorded(engine, "person", "email")} == {None, "c***"}
    assert check(masked.metadata, engine) == ()
    assert redact_unmasked(masked.metadata, engine, "person").changes == 0
    first, *_, newest = history(engine, masked)
    assert first.redacted == newest.masked == {"email", "data"}
    assert newest.redacted == frozenset()
    install_audit_triggers(table.metadata, engine)
    with pytest.raises(AuditConfigError, match="no column of person is masked"):
        redact_unmasked(table.metadata, engine, "person")


def test_exotic_names_and_types(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata, 'Or"der %s:x', column("na:me %", Text, primary_key=True), column('we"ird %s', Text),
        column("user", JSONB), column("c", Integer, key="other"),
    )  # fmt: skip
    install(engine, metadata)
    run(engine, """INSERT INTO "Or""der %s:x" VALUES ('a,b', 'x', '{}', 3)""", """DELETE FROM "Or""der %s:x\"""")
    done = redact(metadata, engine, 'Or"der %s:x', "a,b", ['we"ird %s', "user", "c"])
    assert done.changes == 2
    assert rows(engine, 'SELECT "we""ird %s", "user", c FROM "Or""der %s:x_audit"') == 2 * [(None, None, None)]
    assert history(engine, metadata.tables['Or"der %s:x'])[0].redacted == {'we"ird %s', "user", "c"}


class Address(UserDefinedType[Any]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "address"


def test_a_composite_value_with_a_null_in_it_is_a_value(engine: Engine) -> None:
    run(engine, "CREATE TYPE address AS (street text, number int)")
    metadata, masked = MetaData(), MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True), column("a", Address()))
    audited_table(
        masked, "person", column("id", Integer, primary_key=True), column("a", Address()),
        options={"mask": {"a": "fixed"}},
    )  # fmt: skip
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1, '(\"Main Street\",)'), (2, '(Side,)'), (3, '(,)')")
    with pytest.raises(AuditError, match="still has what is to be removed in a"):
        redact(metadata, engine, "person", 1, ["a"])
    run(engine, "DELETE FROM person WHERE id = 1")
    assert redact(metadata, engine, "person", 1, ["a"]).changes == 2
    install_audit_triggers(masked, engine)
    assert redact_unmasked(masked, engine, "person").changes == 2
    assert {text for _, text in recorded(engine, "person", "a::text")} == {None}


def test_it_needs_an_installation(engine: Engine, table: Table) -> None:
    run(engine, "DROP TABLE audit_redaction")
    with pytest.raises(AuditInstallError, match="run flask audit install first"):
        redact(table.metadata, engine, "person", 1, ["email"])
