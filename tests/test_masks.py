"""What the history keeps of masked columns, and what it does not."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    CHAR,
    Boolean,
    Column,
    Date,
    DateTime,
    Engine,
    Float,
    Integer,
    MetaData,
    Numeric,
    String,
    Text,
    select,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import AuditConfigError, AuditConflictError, audited, install_audit_triggers, mask
from flask_pg_audit.database.baseline import baseline
from flask_pg_audit.database.check import check
from flask_pg_audit.database.install import plan_installation
from flask_pg_audit.database.mask_key_rotation import rotate_mask_key
from flask_pg_audit.database.verify import verify
from flask_pg_audit.declare.registry import set_audit_schema
from flask_pg_audit.history import as_of
from flask_pg_audit.redaction import redact_unmasked
from flask_pg_audit.revert import restore, revert, undelete
from flask_pg_audit.seal import seal, verify_seals
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run
from tests.reverting import history, last

MASKS = {"email": mask.partial(keep_first=1, keep_last=4), "iban": mask.keyed(), "secret": "fixed", "salary": "fixed"}


def person(masks: object = None, **options: object) -> MetaData:
    metadata = MetaData()
    audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("email", String(100)),
        column("iban", String(34)),
        column("secret", Text),
        column("salary", Numeric(9, 2)),
        options={"mask": MASKS if masks is None else masks, **options},
    )
    return metadata


ANN = "INSERT INTO person VALUES (1, 'Ann', 'ann@example.org', 'DE00', 'hush', 100)"
BOB = "INSERT INTO person VALUES (2, 'Bob', NULL, 'DE00', NULL, NULL)"


def keyed(engine: Engine, text: str, key_id: str | None = None) -> str:
    """What Python's own HMAC makes of a value."""
    where = f"WHERE id = '{key_id}'" if key_id else ""
    [(id_, pad)] = rows(engine, f"SELECT id, inner_pad FROM audit_mask_key {where} ORDER BY created_at DESC LIMIT 1")
    key = bytes(byte ^ 0x36 for byte in bytes(pad))
    assert key[32:] == bytes(32)
    assert len(set(key[:32])) > 16
    return f"{id_}:{hmac.new(key, text.encode(), hashlib.sha256).hexdigest()}"


@pytest.mark.parametrize("level", ["statement", "row"])
def test_images_are_masked_whatever_the_operation(engine: Engine, level: str) -> None:
    install(engine, person(level=level))
    run(
        engine,
        f"{ANN}, (2, 'Bob', NULL, 'DE00', NULL, NULL)",
        "UPDATE person SET email = 'amy@example.com' WHERE id = 1",  # nothing but a masked column
        "UPDATE person SET secret = 'hash' WHERE id = 1",  # the same mask of another value
        "UPDATE person SET iban = 'DE01'",
        "UPDATE person SET iban = iban, secret = secret",
        "UPDATE person SET id = 3 WHERE id = 1",
        "DELETE FROM person WHERE id = 2",
    )
    old, new = keyed(engine, "DE00"), keyed(engine, "DE01")
    ann, amy = "a***.org", "a***.com"
    found = recorded(engine, "person", "id", "email", "iban", "secret", "salary")
    assert found[:4] == [
        ("I", 1, ann, old, "***", None),
        ("I", 2, None, old, None, None),
        ("U", 1, amy, old, "***", None),
        ("U", 1, amy, old, "***", None),
    ]
    assert sorted(found[4:6]) == [("U", 1, amy, new, "***", None), ("U", 2, None, new, None, None)]
    assert sorted(found[6:8]) == [("D", 1, amy, new, "***", None), ("I", 3, amy, new, "***", None)]
    assert found[8:] == [("D", 2, None, new, None, None)]


def test_values_that_need_text_are_text_in_the_history(engine: Engine) -> None:
    metadata = MetaData()
    born = datetime.date(1970, 1, 2)
    audited_table(
        metadata, "card",
        column("id", Integer, primary_key=True), column("pin", Integer), column("born", Date),
        column("seen", DateTime(timezone=True)), column("iban", String(34)), column("short", String(2)),
        options={
            "mask": {"pin": mask.partial(0, 2), **dict.fromkeys(["born", "seen", "iban"], "keyed"), "short": "fixed"},
        },
    )  # fmt: skip
    install(engine, metadata)
    for zone, style in (("UTC", "ISO"), ("Asia/Tokyo", "German")):
        with engine.begin() as connection:
            execute(connection, f"SET LOCAL TimeZone = '{zone}'")
            execute(connection, f"SET LOCAL DateStyle = '{style}'")
            execute(
                connection,
                "INSERT INTO card SELECT count(*), 123456, DATE '1970-01-02', TIMESTAMPTZ '2026-01-01 00:00:00+00', "
                "'DE', 'xy' FROM card",
            )
    expected = ("****56".replace("****", "***"), keyed(engine, born.isoformat()), keyed(engine, "2026-01-01T00:00:00"))
    assert recorded(engine, "card", "pin", "born", "seen", "short") == 2 * [("I", *expected, "***")]
    types = {
        name: repr(metadata.tables["card_audit"].c[name].type) for name in ("pin", "born", "seen", "iban", "short")
    }
    assert set(types.values()) == {"Text()"}
    assert not plan_installation(metadata, engine)[2].actions
    assert check(metadata, engine) == ()
    with engine.connect() as connection:
        past = as_of(metadata.tables["card"], datetime.datetime.now(datetime.timezone.utc))
        assert connection.execute(select(past.c.pin, past.c.born)).all() == 2 * [expected[:2]]
    change = last(engine, metadata.tables["card"])
    assert change.image["pin"] == "***56"
    assert change.masked == {"pin", "born", "seen", "iban", "short"}


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (
            {"nam": "fixed"},
            "table \"t\": \"audit.options\" key 'mask' names the unknown column 'nam'; the table has id",
        ),
        ({"id": "fixed"}, "names 'id', a column of the primary key"),
        ({"gone": "fixed"}, "names 'gone', which is excluded"),
        ({"name": "rot13"}, "has 'rot13' for the column 'name'; allowed are 'fixed', 'partial', 'keyed'"),
        ({"size": mask.keyed()}, "names 'size': Float() is not written the same in every session"),
        (["name"], "must be a dictionary of column names and masks"),
        ({1: "fixed"}, "must name columns, not 1"),
    ],
)
def test_a_wrong_mask_is_refused_at_declaration(masks: Any, message: str) -> None:
    columns = (
        Column("id", Integer, primary_key=True),
        Column("name", Text),
        Column("gone", Text),
        Column("size", Float),
    )
    with pytest.raises(AuditConfigError) as raised:
        audited_table(MetaData(), "t", *columns, options={"mask": masks, "exclude": ["gone"]})
    assert message in str(raised.value)


@pytest.mark.parametrize("make", [lambda: mask.partial(-1), lambda: mask.partial(0, 0), lambda: mask.fixed("a\0b")])
def test_a_mask_that_makes_no_sense_is_refused(make: Any) -> None:
    with pytest.raises(AuditConfigError, match=r"mask\."):
        make()


def test_audited_takes_masks() -> None:
    assert audited(mask={"name": "fixed"})["audit.options"]["mask"] == {"name": "fixed"}


# What masks make of any value


def _partial(text: str, first: int, last: int) -> str:
    if len(text) < 2 * (first + last):
        return "***"
    return f"{text[:first]}***{text[len(text) - last :]}"


@pytest.fixture
def texts(engine: Engine) -> Engine:
    metadata = MetaData()
    audited_table(
        metadata, "t",
        column("id", Integer, primary_key=True), column("a", Text), column("b", Text), column("c", Text),
        options={"mask": {"a": mask.partial(1), "b": mask.partial(2, 4), "c": mask.keyed()}},
    )  # fmt: skip
    install(engine, metadata)
    return engine


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=80))
def test_partial_and_keyed_masks_of_any_text(texts: Engine, text: str) -> None:
    with texts.begin() as connection:
        connection.exec_driver_sql("INSERT INTO t SELECT count(*), %s, %s, %s FROM t", (text, text, text))
    [found] = rows(texts, "SELECT a, b, c FROM t_audit ORDER BY audit_id DESC LIMIT 1")
    assert found == (_partial(text, 1, 0), _partial(text, 2, 4), keyed(texts, text))


# The clear value is nowhere


def test_the_clear_value_is_in_nothing_that_the_audit_table_writes(engine: Engine) -> None:
    """Of the audited table nothing is written ahead, so that whatever is, is of the history."""
    metadata = MetaData()
    audited_table(
        metadata, "hidden",
        column("id", Integer, primary_key=True), column("word", Text), column("fixed", Text), column("part", Text),
        column("seen", Text),
        options={"mask": {"word": "keyed", "fixed": "fixed", "part": mask.partial(1)}}, prefixes=["UNLOGGED"],
    )  # fmt: skip
    install(engine, metadata)
    values = ", ".join(f"'{name}-%s'" for name in ("Kwordzq", "Kfixedzq", "Kpartzq", "Kseenzq"))
    [(before,)] = rows(engine, "SELECT pg_current_wal_insert_lsn()")
    with engine.begin() as connection:
        for number in range(20):
            execute(connection, f"INSERT INTO hidden VALUES ({number}, {values.replace('%s', str(number))})")
        execute(
            connection,
            "UPDATE hidden SET word = word || 'x', part = part || 'x', fixed = fixed || 'x', seen = seen || 'x'",
        )
        execute(connection, "DELETE FROM hidden WHERE id < 10")
    log = _written_ahead(engine, str(before))
    assert b"Kseenzq-19" in log  # what is not masked is found there
    assert b"K***" in log
    for clear in (b"Kwordzq", b"Kfixedzq", b"Kpartzq", b"artzq", b"ordzq"):
        assert clear not in log
    [(pad,)] = rows(engine, "SELECT inner_pad FROM audit_mask_key")
    assert bytes(pad)[:32] not in log
    functions = rows(engine, "SELECT string_agg(prosrc, '') FROM pg_proc")[0][0]
    assert bytes(pad).hex() not in functions
    dumped = "".join(str(row) for row in rows(engine, "SELECT t::text FROM hidden_audit AS t"))
    assert "Kseenzq-19" in dumped
    assert "Kwordzq" not in dumped
    assert "Kpartzq" not in dumped
    assert "Kfixedzq" not in dumped


def _written_ahead(engine: Engine, since: str) -> bytes:
    """The write-ahead log from there on, as bytes."""
    run(engine, "CHECKPOINT")
    files = rows(
        engine,
        "SELECT name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' "
        f"AND name BETWEEN pg_walfile_name('{since}') AND pg_walfile_name(pg_current_wal_insert_lsn()) ORDER BY name",
    )
    assert rows(engine, "SHOW wal_compression") == [("off",)]
    return b"".join(bytes(rows(engine, f"SELECT pg_read_binary_file('pg_wal/{name}')")[0][0]) for (name,) in files)


def test_only_the_owner_may_read_the_keys(engine: Engine) -> None:
    with role(engine, "app") as app, role(engine, "nosy") as nosy:
        run(engine, f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {nosy}")
        metadata = person()
        metadata.create_all(engine)
        install_audit_triggers(metadata, engine, app_roles=[app])
        run(engine, f"GRANT INSERT, SELECT ON person TO {app}")
        try:
            for who in (app, nosy):
                with engine.connect() as connection, pytest.raises(DBAPIError, match="permission denied"):
                    execute(connection, f"SET LOCAL ROLE {who}")
                    execute(connection, "SELECT * FROM audit_mask_key")
                for function in ("audit_current_mask_key", "audit_create_mask_key"):
                    with engine.connect() as connection, pytest.raises(DBAPIError, match="permission denied"):
                        execute(connection, f"SET LOCAL ROLE {who}")
                        execute(connection, f"SELECT {function}()")
            with engine.begin() as connection:
                execute(connection, f"SET LOCAL ROLE {app}")
                execute(connection, BOB)
            assert recorded(engine, "person", "iban") == [("I", keyed(engine, "DE00"))]
            run(engine, f"GRANT SELECT ON audit_mask_key TO {nosy}")
            assert [finding.code for finding in check(metadata, engine)] == ["mask-key-readable"]
            install_audit_triggers(metadata, engine)
            assert check(metadata, engine) == ()
        finally:
            run(engine, f"ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM {nosy}")


def test_keys_rotate(engine: Engine) -> None:
    metadata = person()
    install(engine, metadata)
    run(engine, ANN)
    first = keyed(engine, "DE00")
    new = rotate_mask_key(metadata, engine)
    run(engine, BOB)
    second = keyed(engine, "DE00", new)
    assert second.startswith(f"{new}:")
    assert recorded(engine, "person", "iban") == [("I", first), ("I", second)]
    assert first.split(":")[1] != second.split(":")[1]
    newest = rotate_mask_key(metadata, engine, forget=True)
    assert rows(engine, "SELECT id FROM audit_mask_key") == [(newest,)]


def test_lost_keys_are_replaced(engine: Engine) -> None:
    """A crash empties an unlogged table."""
    install(engine, person())
    assert rows(engine, "SELECT relpersistence::text FROM pg_class WHERE relname = 'audit_mask_key'") == [("u",)]
    run(engine, ANN, "TRUNCATE audit_mask_key", BOB)
    [(_, before), (_, after)] = recorded(engine, "person", "iban")
    assert before.split(":")[0] != after.split(":")[0]
    assert after == keyed(engine, "DE00")


def test_without_keyed_masks_there_are_no_keys(engine: Engine) -> None:
    metadata = person({"secret": "fixed"})
    install(engine, metadata)
    assert rows(engine, "SELECT to_regclass('audit_mask_key'), to_regproc('audit_current_mask_key')") == [(None, None)]
    with pytest.raises(AuditConfigError, match="no column is masked with a key"):
        rotate_mask_key(metadata, engine)


def test_keys_move_with_the_schema(engine: Engine) -> None:
    install(engine, person())
    run(engine, ANN)
    before = keyed(engine, "DE00")
    moved = MetaData()
    set_audit_schema(moved, "auditing")
    audited_table(
        moved, "person",
        column("id", Integer, primary_key=True), column("name", Text), column("email", String(100)),
        column("iban", String(34)), column("secret", Text), column("salary", Numeric(9, 2)), options={"mask": MASKS},
    )  # fmt: skip
    install_audit_triggers(moved, engine)
    run(engine, BOB)
    assert rows(engine, "SELECT iban FROM person_audit") == [(before,), (before,)]
    assert check(moved, engine) == ()


# Masks that come and go


def test_a_mask_that_comes_later(engine: Engine) -> None:
    metadata = person({})
    install(engine, metadata)
    run(engine, ANN)
    masked = person({"name": "keyed", "salary": mask.partial(1, 1), "iban": "fixed"})
    install_audit_triggers(masked, engine)
    run(engine, "UPDATE person SET name = 'Amy', salary = 2000")
    assert recorded(engine, "person", "name", "salary", "iban") == [
        ("I", "Ann", "100.00", "DE00"),
        ("U", keyed(engine, "Amy"), "2***0", "***"),
    ]
    findings = check(masked, engine)
    assert {finding.code for finding in findings} == {"mask-incomplete"}
    assert len(findings) == 3
    assert "flask audit redact person --unmasked" in str(findings[0])
    table = masked.tables["person"]
    first, second = history(engine, table)
    assert first.masked == frozenset()
    assert second.masked == {"name", "salary", "iban"}
    install_audit_triggers(metadata, engine)
    run(engine, "UPDATE person SET name = 'Eve', salary = 3000")
    assert recorded(engine, "person", "name", "salary", "iban")[2:] == [("U", "Eve", "3000.00", "DE00")]
    third = last(engine, table)
    assert third.new is not None
    assert third.new["name"] == "Eve"
    assert check(metadata, engine) == ()
    install_audit_triggers(masked, engine)
    assert plan_installation(masked, engine)[2].actions == ()


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Boolean(), "true"),
        (CHAR(5), "'ab'"),
        (Date(), "'2026-02-03'"),
        (DateTime(timezone=True), "'2026-02-03 12:00+03'"),
        (INET(), "'10.0.0.1'"),
    ],
    ids=str,
)
def test_what_becomes_text_for_a_mask_is_what_was_sealed(engine: Engine, type_: Any, value: str) -> None:
    """Whatever the session is set to, and it stays set to that."""
    clear, masked = MetaData(), MetaData()
    audited_table(clear, "person", column("id", Integer, primary_key=True), column("a", type_))
    key, options = column("id", Integer, primary_key=True), {"mask": {"a": "keyed"}}
    audited_table(masked, "person", key, column("a", type_), options=options)
    install(engine, clear)
    run(engine, f"INSERT INTO person VALUES (1, {value}), (2, NULL)")
    seal(clear, engine)
    with engine.begin() as connection:
        execute(connection, "SET LOCAL timezone = 'Asia/Tokyo'; SET LOCAL datestyle = 'German'")
        install_audit_triggers(masked, connection)
        assert execute(connection, "SHOW timezone").scalar() == "Asia/Tokyo"
        assert execute(connection, "SHOW datestyle").scalar() == "German, DMY"
    assert verify_seals(masked, engine).counts == {}
    assert redact_unmasked(masked, engine, "person").changes == 1
    verified = verify_seals(masked, engine)
    assert (verified.counts, verified.redacted) == ({}, 1)


def test_baselines_are_masked(engine: Engine) -> None:
    metadata = person()
    metadata.create_all(engine)
    run(engine, ANN, BOB)
    install_audit_triggers(metadata, engine)
    baseline(metadata, engine)
    key = keyed(engine, "DE00")
    assert recorded(engine, "person", "id", "email", "iban", "secret") == [
        ("S", 1, "a***.org", key, "***"),
        ("S", 2, None, key, None),
    ]


def test_verify_leaves_masks_alone_and_repairs_masked(engine: Engine) -> None:
    metadata = person()
    install(engine, metadata)
    run(engine, ANN, BOB)
    assert not any(table.counts for table in verify(metadata, engine))
    with engine.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        execute(connection, "UPDATE person SET name = 'Amy', email = 'amy@example.com' WHERE id = 1")
        execute(connection, "DELETE FROM person WHERE id = 2")
    [found, *_] = verify(metadata, engine, tables=["person"], repair=True)
    assert [str(difference) for difference in found.differences] == [
        "history-without-row: person (id=2)",
        "column-differs: person (id=1): name is 'Amy' and was recorded as 'Ann'",
    ]
    key = keyed(engine, "DE00")
    assert recorded(engine, "person", "id", "name", "email", "iban", "secret")[2:] == [
        ("S", 1, "Amy", "a***.com", key, "***"),
        ("D", 2, "Bob", None, key, None),
    ]


def test_a_repair_does_not_record_again_what_was_clear(engine: Engine) -> None:
    install(engine, person({}))
    run(engine, ANN)
    masked = person({"name": "keyed"})
    install_audit_triggers(masked, engine)
    with engine.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        execute(connection, "DELETE FROM person")
    verify(masked, engine, tables=["person"], repair=True)
    assert recorded(engine, "person", "name") == [("I", "Ann"), ("D", None)]


def test_partitions_are_masked_when_they_are_truncated(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata, "event",
        column("id", Integer, primary_key=True), column("who", Text),
        options={"mask": {"who": mask.partial(1)}}, postgresql_partition_by="RANGE (id)",
    )  # fmt: skip
    metadata.create_all(engine)
    run(engine, "CREATE TABLE event_1 PARTITION OF event FOR VALUES FROM (0) TO (10)")
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO event VALUES (1, 'someone')", "TRUNCATE event_1")
    assert recorded(engine, "event", "who") == [("I", "s***"), ("D", "s***")]


def test_exotic_names_and_constants(engine: Engine) -> None:
    metadata = MetaData()
    names = ['we"ird', "per%cent", "co:lon", "user", "mask_key"]
    audited_table(
        metadata, 'Or"der %s', column("id", Integer, primary_key=True),
        *(Column(name, Text, key=f"k{n}") for n, name in enumerate(names)),
        options={"mask": {**dict.fromkeys([*names[:3], "mask_key"], "keyed"), "user": mask.fixed("it's \\ %s :x")}},
    )  # fmt: skip
    install(engine, metadata)
    run(engine, """INSERT INTO "Or""der %s" VALUES (1, 'a', 'a', 'a', 'a', 'a')""")
    key = keyed(engine, "a")
    [found] = rows(engine, 'SELECT "we""ird", "per%cent", "co:lon", "user", mask_key FROM "Or""der %s_audit"')
    assert found == (key, key, key, "it's \\ %s :x", key)


# What is masked is never written back


def conflicts(raised: pytest.ExceptionInfo[AuditConflictError]) -> list[tuple[str | None, str]]:
    return [(conflict.column, conflict.reason) for conflict in raised.value.conflicts]


MASKED = "the history has it masked, so that its value is not known: choose other columns, or supply values"


def test_a_revert_of_a_masked_column_is_a_conflict(engine: Engine) -> None:
    metadata = person({"email": "fixed", "iban": "keyed", "salary": mask.partial(1, 1)})
    install(engine, metadata)
    table = metadata.tables["person"]
    run(engine, ANN, "UPDATE person SET name = 'Amy', iban = 'DE01', salary = 2000, email = 'x'")
    change = last(engine, table)
    assert change.masked == {"email", "iban", "salary"}
    with engine.begin() as connection, pytest.raises(AuditConflictError) as raised:
        revert(connection, metadata, change)
    assert conflicts(raised) == [("iban", MASKED), ("salary", MASKED)]  # the mask of email is the same
    with engine.begin() as connection, pytest.raises(AuditConflictError) as raised:
        revert(connection, metadata, change, force=True)
    assert conflicts(raised) == [("iban", MASKED), ("salary", MASKED)]
    with engine.begin() as connection:
        revert(connection, metadata, change, columns=["name"])
    assert rows(engine, "SELECT name, iban, salary FROM person") == [("Ann", "DE01", 2000)]


def test_a_deleted_row_comes_back_with_what_is_supplied_for_masks(engine: Engine) -> None:
    metadata = person({"email": "fixed", "salary": "fixed", "secret": "fixed"})
    install(engine, metadata)
    table = metadata.tables["person"]
    run(engine, "INSERT INTO person VALUES (1, 'Ann', 'a', 'DE', NULL, 7)", "DELETE FROM person")
    with engine.begin() as connection, pytest.raises(AuditConflictError) as raised:
        undelete(connection, table, 1)
    # Of a text, NULL says that there was none; of a number it is the mask.
    assert conflicts(raised) == [("email", MASKED), ("salary", MASKED)]
    with engine.begin() as connection:
        undelete(connection, table, 1, values={"email": "b", "salary": 8})
    assert rows(engine, "SELECT * FROM person") == [(1, "Ann", "b", "DE", None, 8)]


def test_a_restore_leaves_masked_columns_to_the_caller(engine: Engine) -> None:
    metadata = person({"email": "fixed"})
    install(engine, metadata)
    table = metadata.tables["person"]
    run(engine, ANN, "UPDATE person SET name = 'Amy', email = 'x'")
    first = history(engine, table)[0].position
    with engine.begin() as connection, pytest.raises(AuditConflictError) as raised:
        restore(connection, table, 1, to=first)
    assert conflicts(raised) == [("email", MASKED)]
    with engine.begin() as connection:
        restore(connection, table, 1, to=first, columns=["name"])
    assert rows(engine, "SELECT name, email FROM person") == [("Ann", "x")]
