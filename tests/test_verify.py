"""``flask audit verify``: what bypassed auditing is found, and on a healthy database nothing is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Computed,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    create_engine,
    event,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import AuditConfigError, AuditInstallError, install_audit_triggers, uninstall_audit_triggers
from flask_pg_audit.database.baseline import baseline
from flask_pg_audit.database.differences import ColumnDifference, Difference, Verified
from flask_pg_audit.database.verify import verify
from flask_pg_audit.declare.registry import set_audit_schema
from tests.capture import audited_table, column, execute, install, recorded, rewriting, rows, run
from tests.load import replayed, writers
from tests.server import Database, DatabaseServer


def thing(*columns: Column[Any], **options: Any) -> MetaData:
    metadata = MetaData()
    columns = columns or (column("name", Text),)
    audited_table(metadata, "thing", column("id", Integer, primary_key=True), *columns, options=options)
    return metadata


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    """Three rows, recorded by three transactions."""
    metadata = thing()
    install(engine, metadata)
    run(engine, *(f"INSERT INTO thing VALUES ({n}, 'a')" for n in (1, 2, 3)))
    return metadata


def unseen(engine: Engine, *statements: str) -> None:
    """Write with disabled triggers."""
    run(engine, "ALTER TABLE thing DISABLE TRIGGER USER", *statements, "ALTER TABLE thing ENABLE TRIGGER USER")


def as_replica(engine: Engine, *statements: str) -> None:
    """Write in a session that passes for the replay of a replication."""
    with engine.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        for statement in statements:
            execute(connection, statement)


def found(metadata: MetaData, engine: Engine, **options: Any) -> list[tuple[Any, ...]]:
    """Kind, table, key and differing columns of everything that is found."""
    results = verify(metadata, engine, **options)
    shown = [difference for result in results for difference in result.differences]
    assert sum(sum(result.counts.values()) for result in results) == len(shown)
    return [(d.kind, d.table, dict(d.key), *((c.name, c.recorded, c.live) for c in d.columns)) for d in shown]


def test_nothing_is_found_where_nothing_is_wrong(engine: Engine, metadata: MetaData) -> None:
    run(
        engine,
        "UPDATE thing SET name = 'b' WHERE id = 1",
        "UPDATE thing SET id = 9 WHERE id = 2",
        "DELETE FROM thing WHERE id = 3",
        "INSERT INTO thing VALUES (3, NULL)",
    )
    # What a savepoint undoes leaves nothing behind.
    with engine.begin() as connection, connection.begin_nested() as savepoint:
        execute(connection, "INSERT INTO thing VALUES (10, 'x')")
        savepoint.rollback()
    assert verify(metadata, engine) == (Verified("thing", 3, {}, ()), Verified("audit_transaction", None, {}, ()))


BYPASSES = {
    "INSERT INTO thing VALUES (4, 'x')": ("row-without-history", "thing", {"id": "4"}),
    "DELETE FROM thing WHERE id = 2": ("history-without-row", "thing", {"id": "2"}),
    "UPDATE thing SET name = 'x' WHERE id = 2": ("column-differs", "thing", {"id": "2"}, ("name", "a", "x")),
    "UPDATE thing SET name = NULL WHERE id = 2": ("column-differs", "thing", {"id": "2"}, ("name", "a", None)),
}


@pytest.mark.parametrize("write", [unseen, pytest.param(as_replica, marks=pytest.mark.superuser)])
@pytest.mark.parametrize("statement", BYPASSES)
def test_a_write_that_bypassed_auditing_is_found(
    engine: Engine, metadata: MetaData, write: Any, statement: str
) -> None:
    write(engine, statement)
    assert found(metadata, engine) == [BYPASSES[statement]]


def test_a_key_that_was_changed_unseen_is_two_differences(engine: Engine, metadata: MetaData) -> None:
    unseen(engine, "UPDATE thing SET id = 7 WHERE id = 2")
    assert found(metadata, engine) == [
        ("row-without-history", "thing", {"id": "7"}),
        ("history-without-row", "thing", {"id": "2"}),
    ]


def test_a_row_that_came_back_unseen(engine: Engine, metadata: MetaData) -> None:
    run(engine, "DELETE FROM thing WHERE id = 2")
    unseen(engine, "INSERT INTO thing VALUES (2, 'a')")
    assert found(metadata, engine) == [("row-without-history", "thing", {"id": "2"})]


# Deleted history


def test_a_last_image_that_was_deleted(engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:  # one transaction, of which something is left
        execute(connection, "UPDATE thing SET name = 'b' WHERE id = 1")
        execute(connection, "UPDATE thing SET name = 'b' WHERE id = 2")
    run(engine, rewriting("DELETE FROM thing_audit WHERE id = 2 AND name = 'b'"))
    assert found(metadata, engine) == [("column-differs", "thing", {"id": "2"}, ("name", "a", "b"))]


def test_the_only_change_of_a_transaction(engine: Engine, metadata: MetaData) -> None:
    """Even one in the middle of a row's history is missed, as long as its transaction made no other."""
    run(engine, "UPDATE thing SET name = 'b' WHERE id = 2", "UPDATE thing SET name = 'c' WHERE id = 2")
    [(transaction,)] = rows(engine, "SELECT audit_transaction_id FROM thing_audit WHERE name = 'b'")
    run(engine, rewriting("DELETE FROM thing_audit WHERE name = 'b'"))
    assert found(metadata, engine) == [("transaction-without-changes", "audit_transaction", {"id": str(transaction)})]


def test_a_transaction_that_was_deleted(engine: Engine, metadata: MetaData) -> None:
    run(engine, rewriting("DELETE FROM audit_transaction WHERE id = 2"))
    assert found(metadata, engine) == [("change-without-transaction", "thing", {"audit_transaction_id": "2"})]


def test_all_of_a_history_at_once(engine: Engine, metadata: MetaData) -> None:
    run(engine, rewriting("DELETE FROM thing_audit"))
    kinds = [difference[0] for difference in found(metadata, engine, batch_size=2)]
    assert kinds == ["row-without-history"] * 3 + ["transaction-without-changes"] * 3


def test_transactions_of_all_audit_tables_in_the_database_count(engine: Engine, metadata: MetaData) -> None:
    """Those of another application, and those of tables that are audited no more."""
    other, former = MetaData(), MetaData()
    for models, name in ((other, "other"), (former, "former")):
        audited_table(models, name, column("id", Integer, primary_key=True))
        install(engine, models)
        run(engine, f"INSERT INTO {name} VALUES (1)")
    uninstall_audit_triggers(former, engine)
    install_audit_triggers(metadata, engine)
    assert found(metadata, engine) == []
    run(engine, rewriting("DELETE FROM audit_transaction WHERE id = 4"))
    assert found(metadata, engine) == [("change-without-transaction", "other", {"audit_transaction_id": "4"})]


def test_two_applications_that_number_on_their_own(engine: Engine, metadata: MetaData) -> None:
    """Each has an ``audit_transaction`` in a schema of its own; equal ids mean nothing."""
    run(engine, "CREATE SCHEMA elsewhere")
    other = MetaData()
    set_audit_schema(other, "elsewhere")
    audited_table(other, "other", column("id", Integer, primary_key=True))
    install(engine, other)
    run(
        engine,
        "INSERT INTO other SELECT generate_series(1, 3)",
        *(f"DELETE FROM other WHERE id={n}" for n in (1, 2, 3)),
    )
    assert found(metadata, engine) == found(other, engine) == []
    run(engine, rewriting("DELETE FROM thing_audit WHERE id = 3"), "DELETE FROM thing WHERE id = 3")
    assert [difference[:1] for difference in found(metadata, engine)] == [("transaction-without-changes",)]


def test_with_names_only_those_tables(engine: Engine, metadata: MetaData) -> None:
    audited_table(metadata, "other", column("id", Integer, primary_key=True))
    install(engine, metadata)
    run(engine, "INSERT INTO other VALUES (1)", rewriting("DELETE FROM other_audit"))
    unseen(engine, "DELETE FROM thing")
    assert found(metadata, engine, tables=["other"]) == [("row-without-history", "other", {"id": "1"})]
    with pytest.raises(AuditConfigError, match="no audited table is called 'nope'; there are: other, thing"):
        verify(metadata, engine, tables=["nope"])


# Truncates


def test_what_came_before_a_truncate_is_over(engine: Engine, metadata: MetaData) -> None:
    run(engine, "TRUNCATE thing", "INSERT INTO thing VALUES (2, 'new')")
    assert found(metadata, engine) == []
    unseen(engine, "TRUNCATE thing", "INSERT INTO thing VALUES (1, 'a')")
    assert found(metadata, engine) == [
        ("row-without-history", "thing", {"id": "1"}),
        ("history-without-row", "thing", {"id": "2"}),
    ]


def test_a_truncate_and_rows_in_one_transaction(engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:
        for statement in ("INSERT INTO thing VALUES (8, 'x')", "TRUNCATE thing", "INSERT INTO thing VALUES (9, 'x')"):
            execute(connection, statement)
    assert found(metadata, engine) == []


# Columns


def test_a_column_that_was_not_recorded_yet_says_nothing(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE thing ADD COLUMN colour text DEFAULT 'red'")
    wider = thing(column("name", Text), column("colour", Text))
    install_audit_triggers(wider, engine)
    [(last,)] = rows(engine, "SELECT max(audit_id) FROM thing_audit")
    absent = f"COMMENT ON COLUMN thing_audit.colour IS 'flask_pg_audit absent 0-{last + 1}'"
    run(engine, "COMMENT ON COLUMN thing_audit.colour IS NULL")
    assert found(wider, engine) == [
        ("column-differs", "thing", {"id": str(n)}, ("colour", None, "red")) for n in (1, 2, 3)
    ]
    run(engine, absent)
    assert found(wider, engine) == []
    # From then on it is recorded, and a null is a null.
    run(engine, "UPDATE thing SET colour = NULL WHERE id = 1", "UPDATE thing SET name = 'b' WHERE id = 2")
    unseen(engine, "UPDATE thing SET colour = 'blue' WHERE id IN (1, 2)", "UPDATE thing SET colour = 'x' WHERE id = 3")
    assert found(wider, engine) == [
        ("column-differs", "thing", {"id": "1"}, ("colour", None, "blue")),
        ("column-differs", "thing", {"id": "2"}, ("colour", "red", "blue")),
    ]


def test_a_value_in_a_range_in_which_a_column_was_absent_counts(engine: Engine, metadata: MetaData) -> None:
    run(engine, "COMMENT ON COLUMN thing_audit.name IS 'flask_pg_audit absent 0-2,3-'")
    unseen(engine, "UPDATE thing SET name = 'b'", rewriting("UPDATE thing_audit SET name = NULL WHERE id IN (2, 3)"))
    assert found(metadata, engine) == [
        ("column-differs", "thing", {"id": "1"}, ("name", "a", "b")),
        ("column-differs", "thing", {"id": "2"}, ("name", None, "b")),
    ]


def test_columns_that_are_not_recorded_are_not_compared(engine: Engine, server: DatabaseServer) -> None:
    columns = [
        column("name", Text),
        column("secret", Text),
        Column("twice", Integer, Computed("id * 2", persisted=True)),
    ]
    virtual = "VIRTUAL" if server.version >= 18 else "STORED"
    if server.version >= 18:
        columns.append(Column("thrice", Integer, Computed("id * 3")))
    metadata = thing(*columns, exclude=["secret"])
    run(
        engine,
        "CREATE TABLE thing (id int PRIMARY KEY, name text, secret text, undeclared text, "
        "twice int GENERATED ALWAYS AS (id * 2) STORED, "
        f"thrice int GENERATED ALWAYS AS (id * 3) {virtual})",
    )
    install(engine, metadata)
    run(engine, "INSERT INTO thing (id, name, secret, undeclared) VALUES (1, 'a', 'b', 'c')")
    unseen(engine, "UPDATE thing SET secret = 'x', undeclared = 'y'")
    assert found(metadata, engine) == []


TYPES = {
    # live type, type of the history, value, another value that is the same, one that is not
    "numeric": ("numeric(10,2)", "numeric(12,4)", "1.50", "1.5", "1.51"),
    "integer": ("bigint", "integer", "7", "7", "8"),
    "number": ("numeric(10,2)", "integer", "7.00", "7", "7.01"),
    "double": ("double precision", "real", "0.1", "0.1", "0.2"),
    "float": ("numeric", "real", "0.1", "0.10", "0.2"),
    "text": ("varchar(10)", "text", "'a'", "'a'", "'A'"),
    "char": ("char(5)", "varchar", "'a'", "'a   '", "'b'"),
    "json": ("json", "json", """'{"a": 1}'""", """'{"a": 1}'""", """'{"a":1}'"""),
    "jsonb": ("jsonb", "jsonb", """'{"a": 1}'""", """'{"a":1}'""", """'{"a": 2}'"""),
    "xml": ("xml", "xml", "'<a/>'", "'<a/>'", "'<b/>'"),
    "point": ("point", "point", "'1,2'", "'(1,2)'", "'1,3'"),
    "interval": ("interval", "interval", "'1 day'", "'1 day'", "'24 hours'"),
    "timestamptz": ("timestamptz", "timestamptz", "'2020-01-01 12:00+00'", "'2020-01-01 14:00+02'", "'2020-01-01'"),
    "timestamp": ("date", "timestamp", "'2020-01-01'", "'2020-01-01'", "'2020-01-02'"),
    "array": ("numeric(9,2)[]", "numeric(9,4)[]", "'{1.5}'", "'{1.50}'", "'{1.5,2}'"),
    "texts": ("text[]", "text[]", "'{a,NULL}'", "'{a,null}'", "'{a,\"NULL\"}'"),
    "bytes": ("bytea", "bytea", r"'\x00ff'", r"'\x00FF'", r"'\x00fe'"),
    "uuid": (
        "uuid",
        "text",
        "'6f1b2c3d-0000-4000-8000-000000000000'",
        "'6F1B2C3D-0000-4000-8000-000000000000'",
        "'00000000-0000-4000-8000-000000000000'",
    ),
    "bool": ("bool", "bool", "true", "'t'", "false"),
    "enum": ("mood", "mood", "'sad'", "'sad'", "'glad'"),
    "range": ("int4range", "int4range", "'[1,3)'", "'[1,2]'", "'[1,4)'"),
}


def skip_unless(engine: Engine, statement: str) -> None:
    """Servers are built with and without libxml, ICU and extensions."""
    try:
        run(engine, statement)
    except DBAPIError:
        pytest.skip(f"this server cannot do {statement}")


@pytest.mark.parametrize("kind", TYPES)
def test_values_are_compared_as_what_they_are(engine: Engine, metadata: MetaData, kind: str) -> None:
    live, kept, value, same, other = TYPES[kind]
    if kind == "xml":
        skip_unless(engine, "SELECT '<a/>'::xml")
    run(
        engine,
        "CREATE TYPE mood AS ENUM ('sad', 'glad')",
        "TRUNCATE thing",
        f"ALTER TABLE thing ALTER COLUMN name TYPE {live} USING NULL",
        f"ALTER TABLE thing_audit ALTER COLUMN name TYPE {kept} USING NULL",
        f"INSERT INTO thing VALUES (1, {value}), (2, {value}), (3, NULL), (4, {value})",
    )
    unseen(engine, f"UPDATE thing SET name = {same} WHERE id = 1", f"UPDATE thing SET name = {other} WHERE id = 2")
    unseen(engine, f"UPDATE thing SET name = {value} WHERE id = 3", "UPDATE thing SET name = NULL WHERE id = 4")
    assert [difference[2]["id"] for difference in found(metadata, engine)] == ["2", "3", "4"]


def test_a_collation_that_takes_texts_for_equal_hides_nothing(engine: Engine, metadata: MetaData) -> None:
    skip_unless(engine, "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
    run(engine, "ALTER TABLE thing ALTER COLUMN name TYPE text COLLATE ci")
    unseen(engine, "UPDATE thing SET name = 'A' WHERE id = 1")
    assert found(metadata, engine) == [("column-differs", "thing", {"id": "1"}, ("name", "a", "A"))]


def test_a_type_that_takes_texts_for_equal_hides_nothing(engine: Engine) -> None:
    skip_unless(engine, "CREATE EXTENSION citext")
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", CITEXT(), primary_key=True), column("name", CITEXT()))
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO thing VALUES ('a', 'a'), ('b', 'b'), ('c', 'c')",
        "UPDATE thing SET id = 'B' WHERE id = 'b'",
    )
    assert found(metadata, engine, batch_size=1) == []
    unseen(engine, "UPDATE thing SET name = 'A' WHERE id = 'a'", "UPDATE thing SET id = 'C' WHERE id = 'c'")
    assert found(metadata, engine, batch_size=1) == [
        ("row-without-history", "thing", {"id": "C"}),
        ("history-without-row", "thing", {"id": "c"}),
        ("column-differs", "thing", {"id": "a"}, ("name", "a", "A")),
    ]


def test_keys_whose_columns_are_sorted_differently(engine: Engine) -> None:
    """The table's collation is not the history's: what comes first in one is last in the other."""
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Text, primary_key=True), column("n", Integer))
    install(engine, metadata)
    skip_unless(engine, "CREATE COLLATION human (provider = icu, locale = 'und')")
    run(engine, "ALTER TABLE thing ALTER COLUMN id TYPE text COLLATE human")
    run(engine, "INSERT INTO thing SELECT chr(60 + n), n FROM generate_series(1, 50) AS n")
    for size in (1, 7, 1000):
        assert found(metadata, engine, batch_size=size) == []
    unseen(engine, "DELETE FROM thing WHERE id = 'a'", "INSERT INTO thing VALUES ('Zz', 1)")
    for size in (1, 7, 1000):
        assert [d[2]["id"] for d in found(metadata, engine, batch_size=size)] == ["Zz", "a"]


def test_keys_of_types_without_an_equality_in_common(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Text, primary_key=True), column("n", Integer))
    install(engine, metadata)
    run(engine, "ALTER TABLE thing ALTER COLUMN id TYPE uuid USING id::uuid")
    run(engine, "INSERT INTO thing SELECT md5(n::text)::uuid, n FROM generate_series(1, 20) AS n")
    for size in (1, 7, 1000):
        assert found(metadata, engine, batch_size=size) == []
    unseen(engine, "UPDATE thing SET n = 0 WHERE n = 5")
    assert [difference[0] for difference in found(metadata, engine, batch_size=3)] == ["column-differs"]


# Batches


def test_the_size_of_batches_makes_no_difference(engine: Engine) -> None:
    """Rows with long histories, keys that are gone, and rows that nobody recorded, all over the range of keys."""
    metadata = MetaData()
    keys = (column("a", Integer, primary_key=True), column("b", Text, primary_key=True))
    audited_table(metadata, "thing", *keys, column("n", Integer))
    install(engine, metadata)
    dice = random.Random(8)
    for _ in range(80):
        a, b, n = dice.randint(-3, 3), dice.choice("xyZ'\\"), dice.randint(0, 9)
        b = b.replace("'", "''")
        statement = dice.choice(
            [
                f"INSERT INTO thing VALUES ({a}, '{b}', {n}) ON CONFLICT (a, b) DO UPDATE SET n = {n}",
                f"UPDATE thing SET n = {n} WHERE a = {a}",
                f"DELETE FROM thing WHERE a = {a} AND b = '{b}'",
            ]
        )
        (unseen if dice.random() < 0.3 else run)(engine, statement)
    unseen(engine, "INSERT INTO thing VALUES (0, 'new', 1), (5, 'new', 1)")
    expected = found(metadata, engine)
    assert {difference[0] for difference in expected} == {
        "row-without-history",
        "history-without-row",
        "column-differs",
    }
    for size in (1, 2, 3, 5, 8, 13):
        assert found(metadata, engine, batch_size=size) == expected


def test_all_are_counted_and_the_first_are_shown(engine: Engine, metadata: MetaData) -> None:
    unseen(
        engine, "INSERT INTO thing SELECT n, 'x' FROM generate_series(10, 29) AS n", "DELETE FROM thing WHERE id < 3"
    )
    for size in (3, 1000):
        [result, _] = verify(metadata, engine, limit=2, batch_size=size)
        assert result.counts == {"row-without-history": 20, "history-without-row": 2}
        assert [d.key["id"] for d in result.differences] == ["10", "11", "1", "2"]
    [result, _] = verify(metadata, engine, limit=0)
    assert (result.counts["row-without-history"], result.differences) == (20, ())


def test_long_values_are_shortened(engine: Engine) -> None:
    metadata = thing(column("name", Text), column("raw", LargeBinary), column("data", JSON))
    install(engine, metadata)
    run(engine, "INSERT INTO thing VALUES (1, repeat('a', 80), 'x', '1')")
    unseen(engine, "UPDATE thing SET name = repeat('b', 81), raw = decode(repeat('00', 1000), 'hex')")
    [difference] = verify(metadata, engine)[0].differences
    assert difference.columns == (
        ColumnDifference("name", "a" * 80, "b" * 80 + "…"),
        ColumnDifference("raw", r"\x78", r"\x" + "0" * 78 + "…"),
    )


def test_a_difference_is_a_line(engine: Engine) -> None:
    columns = (ColumnDifference("name", "a\nb", None), ColumnDifference("n", "1", "2"))
    assert str(Difference("column-differs", "thing", {"a": "1", "b": "x\ny"}, columns)) == (
        r"column-differs: thing (a=1, b=x y): name is null and was recorded as 'a\nb'; n is '2' and was recorded as '1'"
    )


def test_progress_is_told(engine: Engine, metadata: MetaData) -> None:
    told: list[tuple[int, int]] = []
    verify(metadata, engine, batch_size=2, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6) and told[0] == (2, 6)


def test_partitions(engine: Engine) -> None:
    metadata = MetaData()
    columns = (column("region", Text, primary_key=True), column("id", Integer, primary_key=True))
    audited_table(metadata, "thing", *columns, column("name", Text), postgresql_partition_by="LIST (region)")
    metadata.create_all(engine)
    run(engine, "CREATE TABLE n PARTITION OF thing FOR VALUES IN ('n')", "CREATE TABLE s PARTITION OF thing DEFAULT")
    install_audit_triggers(metadata, engine)
    run(
        engine,
        "INSERT INTO thing SELECT r, n, 'a' FROM generate_series(1, 10) AS n, unnest(ARRAY['n', 's']) AS r",
        "UPDATE thing SET region = 'x' WHERE id = 3 AND region = 'n'",
        "DELETE FROM s WHERE id = 5",
        "TRUNCATE n",
        "INSERT INTO n VALUES ('n', 1, 'again')",
    )
    assert found(metadata, engine, batch_size=3) == []
    as_replica(engine, "DELETE FROM s WHERE id = 7", "UPDATE n SET name = 'x'")
    expected = [
        ("history-without-row", "thing", {"region": "s", "id": "7"}),
        ("column-differs", "thing", {"region": "n", "id": "1"}, ("name", "again", "x")),
    ]
    assert found(metadata, engine, batch_size=3) == expected
    verify(metadata, engine, repair=True)
    assert found(metadata, engine) == []


def test_a_table_without_a_key_is_named(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "thing", column("name", Text))
    install(engine, metadata)
    run(engine, "INSERT INTO thing VALUES ('a')", rewriting("DELETE FROM audit_transaction"))
    [result, _] = verify(metadata, engine)
    assert result.skipped == "has no primary key, so that its rows cannot be told apart"
    assert (result.rows, result.counts) == (None, {"change-without-transaction": 1})


def test_rows_whose_key_has_a_null_are_left_out(engine: Engine) -> None:
    """Only where the database does not enforce the key; nothing could find their history."""
    metadata = thing()
    run(engine, "CREATE TABLE thing (id int, name text)")
    install(engine, metadata)
    run(engine, "INSERT INTO thing VALUES (1, 'a')", "INSERT INTO thing VALUES (NULL, 'a')")
    assert found(metadata, engine) == []
    run(engine, rewriting("DELETE FROM thing_audit"))
    assert baseline(metadata, engine)[0].rows == 1
    assert baseline(metadata, engine)[0].rows == 0
    assert [difference[0] for difference in found(metadata, engine)] == ["transaction-without-changes"] * 2


# What stops it


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DROP TABLE thing_audit", "create table thing_audit (missing); run flask audit install first"),
        ("DROP TABLE audit_transaction", "create table audit_transaction (lost); run flask audit install first"),
        ("DROP TABLE thing", "thing: the table is declared but not in the database"),
        ("DROP INDEX ix_thing_audit_key", "CREATE INDEX CONCURRENTLY ix_thing_audit_key"),
    ],
)
def test_what_cannot_be_read_is_said(engine: Engine, metadata: MetaData, statement: str, words: str) -> None:
    run(engine, statement)
    with pytest.raises(AuditInstallError) as error:
        verify(metadata, engine)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_it_runs_without_triggers_and_repairs_with_them_only(engine: Engine, metadata: MetaData) -> None:
    uninstall_audit_triggers(metadata, engine)
    run(engine, "UPDATE thing SET name = 'b'")
    assert len(found(metadata, engine)) == 3
    with pytest.raises(AuditInstallError, match="run flask audit install first"):
        verify(metadata, engine, repair=True)


def test_another_isolation_level_and_autocommit_make_no_difference(
    engine: Engine, metadata: MetaData, database: Database
) -> None:
    unseen(engine, "UPDATE thing SET name = 'b' WHERE id = 1", "INSERT INTO thing VALUES (8, 'x')")
    for level in ("SERIALIZABLE", "AUTOCOMMIT"):
        other = create_engine(database.url(), isolation_level=level)
        assert len(found(metadata, other)) == 2
        other.dispose()


# Repairing


@pytest.fixture
def bypassed(engine: Engine, metadata: MetaData) -> MetaData:
    unseen(
        engine,
        "UPDATE thing SET name = 'b' WHERE id = 1",
        "DELETE FROM thing WHERE id = 2",
        "INSERT INTO thing VALUES (4, 'x')",
    )
    return metadata


def test_what_bypassed_auditing_is_written_into_the_history(
    engine: Engine, bypassed: MetaData, database: Database
) -> None:
    settings = """-c audit.username=ann -c audit.context='{"reason":"drift"}'""".replace("'", "")
    acting = create_engine(database.url(), connect_args={"options": settings})
    [result, _] = verify(bypassed, acting, repair=True)
    acting.dispose()
    assert (sum(result.counts.values()), result.repaired, result.left(repair=True)) == (3, 3, 0)
    assert recorded(engine, "thing", "id", "name")[3:] == [("S", 1, "b"), ("S", 4, "x"), ("D", 2, "a")]
    marked = "SELECT username, context FROM audit_transaction WHERE id > 3"
    assert rows(engine, marked) == [("ann", {"reason": "drift", "repair": "verify"})]
    assert found(bypassed, engine) == []
    assert replayed(engine, "thing", "id", "name") == rows(engine, "SELECT id, name FROM thing ORDER BY id")


def test_each_batch_that_is_repaired_is_a_transaction_and_no_other(engine: Engine, bypassed: MetaData) -> None:
    verify(bypassed, engine, repair=True, batch_size=1)
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(6,)]


def test_what_was_deleted_from_the_history_cannot_be_repaired(engine: Engine, metadata: MetaData) -> None:
    run(
        engine,
        rewriting("DELETE FROM thing_audit WHERE id = 2"),
        rewriting("DELETE FROM audit_transaction WHERE id = 3"),
    )
    results = verify(metadata, engine, repair=True)
    assert [result.left(repair=True) for result in results] == [1, 1]
    assert [difference[0] for difference in found(metadata, engine)] == [
        "change-without-transaction",
        "transaction-without-changes",
    ]


def test_what_somebody_mended_meanwhile_is_not_contradicted(
    engine: Engine, bypassed: MetaData, database: Database
) -> None:
    """It is compared once more under the lock."""
    other = create_engine(database.url())

    @event.listens_for(engine, "before_cursor_execute")
    def mend(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("LOCK TABLE"):
            run(other, "UPDATE thing SET name = 'c' WHERE id = 1", "INSERT INTO thing VALUES (2, 'back')")

    [result, _] = verify(bypassed, engine, repair=True)
    other.dispose()
    assert (sum(result.counts.values()), result.repaired) == (3, 1)
    assert recorded(engine, "thing", "id", "name")[3:] == [("U", 1, "c"), ("I", 2, "back"), ("S", 4, "x")]


def test_a_repair_that_gets_no_lock_says_so(engine: Engine, bypassed: MetaData, database: Database) -> None:
    other = create_engine(database.url())
    with other.connect() as connection:
        execute(connection, "UPDATE thing SET name = 'z' WHERE id = 3")
        with pytest.raises(AuditInstallError, match="a transaction holds the table or a row of it"):
            verify(bypassed, engine, repair=True, lock_timeout=0.05, tries=2)
        connection.rollback()
    other.dispose()
    assert len(found(bypassed, engine)) == 3


# While others write


def change(connection: Connection, dice: random.Random) -> None:
    """Some rows, in one of many ways."""
    for _ in range(dice.randint(1, 3)):
        low = dice.randint(1, 400)
        statement = dice.choice(
            [
                f"UPDATE thing SET name = '{dice.random()}' WHERE id BETWEEN {low} AND {low + dice.choice([0, 0, 9])}",
                f"DELETE FROM thing WHERE id BETWEEN {low} AND {low + 5}",
                f"INSERT INTO thing SELECT n, 'new' FROM generate_series({low}, {low + 9}) AS n ON CONFLICT DO NOTHING",
                f"INSERT INTO thing VALUES ({low}, 'new') ON CONFLICT (id) DO UPDATE SET name = 'again'",
                f"UPDATE thing SET id = {dice.randint(401, 100000)} WHERE id = {low} "
                f"AND NOT EXISTS (SELECT FROM thing WHERE id > 400)",
                *(["TRUNCATE thing"] if dice.random() < 0.1 else []),
            ]
        )
        execute(connection, "SAVEPOINT s")
        try:
            # Two of them may want the same rows in another order; that is their business.
            execute(connection, "SET LOCAL lock_timeout = '50ms'")
            execute(connection, statement)
        except Exception:
            execute(connection, "ROLLBACK TO SAVEPOINT s")


@pytest.fixture
def busy(engine: Engine, metadata: MetaData, database: Database) -> Iterator[Any]:
    with writers(database, change) as done:
        yield done


def test_nothing_is_found_under_load(engine: Engine, metadata: MetaData, busy: Any) -> None:
    rounds, before = 0, busy()
    while rounds < 5 or busy() < before + 50:
        assert found(metadata, engine, batch_size=200) == []
        rounds += 1


def test_repairs_under_load_contradict_nothing(engine: Engine, metadata: MetaData, database: Database) -> None:
    def bypass(connection: Connection, dice: random.Random) -> None:
        if dice.random() < 0.5:
            execute(connection, "SET LOCAL session_replication_role = replica")
        change(connection, dice)

    with writers(database, bypass) as done:
        repaired, before = 0, done()
        while repaired < 30 or done() < before + 50:
            repaired += verify(metadata, engine, repair=True, batch_size=100, lock_timeout=0)[0].repaired
    verify(metadata, engine, repair=True)
    assert found(metadata, engine) == []
    assert replayed(engine, "thing", "id", "name") == rows(engine, "SELECT id, name FROM thing ORDER BY id")


def test_many_rows_are_read_along_the_indexes(engine: Engine, metadata: MetaData) -> None:
    """Whatever the planner's statistics say; reading a whole table for each batch would be quadratic."""
    unseen(engine, "INSERT INTO thing SELECT n, 'a' FROM generate_series(10, 20000) AS n")
    baseline(metadata, engine)
    plans: list[str] = []

    @event.listens_for(engine, "before_cursor_execute")
    def explain(connection: Connection, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(("WITH differing", "SELECT ARRAY[ends", "SELECT examined", "WITH batch")):
            cursor.execute(f"EXPLAIN {statement}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))

    verify(metadata, engine)
    baseline(metadata, engine)
    assert len(plans) > 12
    for plan in plans:
        assert "Seq Scan" not in plan, plan
