"""What is recorded of inserts, updates, deletes and truncates, whoever makes them and however."""

from __future__ import annotations

import io
from contextlib import closing

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Numeric, String, Text, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from flask_pg_audit import audited
from tests.capture import audited_table, column, execute, install, recorded, rows, run
from tests.server import DatabaseServer


@pytest.fixture(params=["statement", "row"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def account(engine: Engine, level: str) -> Engine:
    """A database with the audited table ``account (id, name, balance)``."""
    metadata = MetaData()
    audited_table(
        metadata,
        "account",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("balance", Numeric(10, 2)),
        options={"level": level},
    )
    install(engine, metadata)
    return engine


def changes(engine: Engine) -> list[tuple[object, ...]]:
    return recorded(engine, "account", "id", "name")


def test_images_are_after_for_inserts_and_updates_and_before_for_deletes(account: Engine) -> None:
    run(
        account,
        "INSERT INTO account VALUES (1, 'a', 10)",
        "UPDATE account SET name = 'b'",
        "DELETE FROM account",
    )
    assert recorded(account, "account", "id", "name", "balance::text") == [
        ("I", 1, "a", "10.00"),
        ("U", 1, "b", "10.00"),
        ("D", 1, "b", "10.00"),
    ]


def test_truncate_is_one_row_without_an_image(account: Engine) -> None:
    run(account, "INSERT INTO account VALUES (1, 'a'), (2, 'b')", "TRUNCATE account")
    assert changes(account)[2:] == [("T", None, None)]


def test_many_rows_in_one_statement_share_its_time_and_transaction(account: Engine, level: str) -> None:
    run(account, "INSERT INTO account SELECT n, n::text FROM generate_series(1, 50) AS n")
    [(times, transactions, ids)] = rows(
        account,
        "SELECT count(DISTINCT audit_operation_timestamp), count(DISTINCT audit_transaction_id), "
        "count(DISTINCT audit_id) FROM account_audit",
    )
    assert (transactions, ids) == (1, 50)
    assert times == 1 or level == "row"


def test_the_time_is_the_statements_not_the_transactions(account: Engine) -> None:
    with account.begin() as connection:
        execute(connection, "INSERT INTO account VALUES (1)")
        execute(connection, "SELECT pg_sleep(0.01)")
        execute(connection, "INSERT INTO account VALUES (2)")
    assert rows(
        account,
        "SELECT bool_and(audit_operation_timestamp > t.issued_at), count(DISTINCT audit_operation_timestamp) "
        "FROM account_audit a JOIN audit_transaction t ON t.id = audit_transaction_id",
    ) == [(True, 2)]


def test_unchanged_updates_leave_no_row(account: Engine) -> None:
    run(account, "INSERT INTO account VALUES (1, 'a', 1), (2, 'b', 1)", "UPDATE account SET name = 'a'")
    assert changes(account)[2:] == [("U", 2, "a")]
    run(account, "UPDATE account SET name = name")
    assert len(changes(account)) == 3


def test_unchanged_updates_are_recorded_when_asked_for(engine: Engine, level: str) -> None:
    metadata = MetaData()
    options = {"level": level, "skip_unchanged": False}
    audited_table(metadata, "account", column("id", Integer, primary_key=True), column("name", Text), options=options)
    install(engine, metadata)
    run(engine, "INSERT INTO account VALUES (1, 'a')", "UPDATE account SET name = 'a'")
    assert changes(engine) == [("I", 1, "a"), ("U", 1, "a")]


def test_a_changed_key_is_a_delete_of_the_old_and_an_insert_of_the_new(account: Engine) -> None:
    run(account, "INSERT INTO account VALUES (1, 'a')", "UPDATE account SET id = 2")
    assert sorted(changes(account)[1:]) == [("D", 1, "a"), ("I", 2, "a")]


def alive(engine: Engine) -> list[tuple[object, ...]]:
    """The table as its history tells it: the last image of each key that is not deleted."""
    last = "SELECT DISTINCT ON (id) id, name, audit_operation AS op FROM account_audit ORDER BY id, audit_id DESC"
    return rows(engine, f"SELECT id, name FROM ({last}) AS last WHERE op <> 'D' ORDER BY id")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE account SET id = id + 1",
        "UPDATE account SET id = -id",
        "UPDATE account SET id = 4 - id",  # 1 and 3 change places
        "UPDATE account SET id = id % 3 + 1",  # round robin
        "UPDATE account SET id = id + 10, name = name || '!'",
    ],
)
def test_keys_that_change_in_one_statement_never_look_alive_or_dead_wrongly(
    engine: Engine, level: str, statement: str
) -> None:
    metadata = MetaData()
    audited_table(metadata, "account", column("id", Integer), column("name", Text), options={"level": level})
    install(engine, metadata)
    # Deferrable, so that keys may change places; and declared, so that the key is the key.
    metadata = MetaData()
    audited_table(
        metadata, "account", column("id", Integer, primary_key=True), column("name", Text), options={"level": level}
    )
    run(engine, "ALTER TABLE account ADD PRIMARY KEY (id) DEFERRABLE INITIALLY DEFERRED")
    install(engine, metadata)
    run(engine, "INSERT INTO account VALUES (1, 'a'), (2, 'b'), (3, 'c')", statement)
    assert alive(engine) == rows(engine, "SELECT id, name FROM account ORDER BY id")


def test_composite_keys(engine: Engine, level: str) -> None:
    metadata = MetaData()
    audited_table(
        metadata,
        "seat",
        column("line", String(5), primary_key=True),
        column("number", Integer, primary_key=True),
        column("guest", Text),
        options={"level": level},
    )
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO seat VALUES ('a', 1, 'x'), ('a', 2, 'y')",
        "UPDATE seat SET guest = 'z' WHERE number = 2",
        "UPDATE seat SET line = 'b' WHERE number = 2",
    )
    assert recorded(engine, "seat", "line", "number", "guest")[2:3] == [("U", "a", 2, "z")]
    assert sorted(recorded(engine, "seat", "line", "number", "guest")[3:]) == [("D", "a", 2, "z"), ("I", "b", 2, "z")]


def test_tables_without_a_key(engine: Engine, level: str) -> None:
    metadata = MetaData()
    audited_table(metadata, "log", column("line", Text), column("n", Integer), options={"level": level})
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO log VALUES ('a', 1), ('a', 1), ('b', NULL)",
        "UPDATE log SET n = 1",
        "UPDATE log SET line = 'c' WHERE line = 'a'",
        "DELETE FROM log WHERE line = 'b'",
    )
    assert recorded(engine, "log", "line", "n") == [
        ("I", "a", 1),
        ("I", "a", 1),
        ("I", "b", None),
        ("U", "b", 1),
        ("U", "c", 1),
        ("U", "c", 1),
        ("D", "b", 1),
    ]


def test_excluded_columns_never_reach_the_history(engine: Engine, level: str) -> None:
    metadata = MetaData()
    audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("secret", Text),
        options={"level": level, "exclude": ["secret"]},
    )
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO person VALUES (1, 'a', 'hush')",
        "UPDATE person SET secret = 'hush hush'",
        "UPDATE person SET name = 'b', secret = 'hush'",
    )
    assert recorded(engine, "person", "id", "name") == [("I", 1, "a"), ("U", 1, "b")]
    assert "hush" not in str(rows(engine, "SELECT * FROM person_audit"))


def test_upserts_tell_inserts_from_updates(account: Engine) -> None:
    run(
        account,
        "INSERT INTO account VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO account VALUES (1, 'x'), (3, 'c') ON CONFLICT (id) DO UPDATE SET name = excluded.name",
        "INSERT INTO account VALUES (1, 'y'), (4, 'd') ON CONFLICT DO NOTHING",
    )
    assert sorted(changes(account)[2:4]) == [("I", 3, "c"), ("U", 1, "x")]
    assert changes(account)[4:] == [("I", 4, "d")]


def test_merge(account: Engine, server: DatabaseServer) -> None:
    if server.version < 15:
        pytest.skip("MERGE came with PostgreSQL 15")
    run(
        account,
        "INSERT INTO account VALUES (1, 'a'), (2, 'b')",
        "MERGE INTO account USING (VALUES (1), (2), (3)) AS s (id) ON account.id = s.id "
        "WHEN MATCHED AND s.id = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET name = 'merged' "
        "WHEN NOT MATCHED THEN INSERT VALUES (s.id, 'new')",
    )
    assert sorted(changes(account)[2:]) == [("D", 1, "a"), ("I", 3, "new"), ("U", 2, "merged")]


def test_data_modifying_ctes(account: Engine) -> None:
    run(
        account,
        "INSERT INTO account VALUES (1, 'a'), (2, 'b')",
        "WITH gone AS (DELETE FROM account WHERE id = 1 RETURNING *), "
        "added AS (INSERT INTO account SELECT id + 10, name FROM gone RETURNING *), "
        "again AS (INSERT INTO account VALUES (20, 'second') RETURNING *) "
        "UPDATE account SET name = (SELECT name FROM gone) WHERE id = 2",
    )
    assert sorted(changes(account)[2:]) == [("D", 1, "a"), ("I", 11, "a"), ("I", 20, "second"), ("U", 2, "a")]


def test_copy(account: Engine) -> None:
    with closing(account.raw_connection()) as connection:
        with closing(connection.cursor()) as cursor:
            if account.dialect.driver == "psycopg2":
                cursor.copy_expert("COPY account (id, name) FROM STDIN", io.StringIO("1\ta\n2\tb\n"))
            else:
                with cursor.copy("COPY account (id, name) FROM STDIN") as copy:
                    copy.write("1\ta\n2\tb\n")
        connection.commit()
    assert changes(account) == [("I", 1, "a"), ("I", 2, "b")]


def test_core_and_executemany(account: Engine) -> None:
    metadata = MetaData()
    metadata.reflect(account)
    table = metadata.tables["account"]
    with account.begin() as connection:
        connection.execute(insert(table), [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}])
        connection.execute(insert(table).returning(table.c.id), [{"id": 3, "name": "c"}, {"id": 4, "name": "d"}])
        connection.execute(table.update().values(name="z").where(table.c.id == 1))
        connection.execute(table.delete().where(table.c.id == 2))
    assert changes(account) == [
        ("I", 1, "a"),
        ("I", 2, "b"),
        ("I", 3, "c"),
        ("I", 4, "d"),
        ("U", 1, "z"),
        ("D", 2, "b"),
    ]


@pytest.mark.parametrize("on_delete", ["CASCADE", "SET NULL"])
def test_foreign_key_cascades(engine: Engine, level: str, on_delete: str) -> None:
    metadata = MetaData()
    options = {"level": level}
    audited_table(metadata, "parent", column("id", Integer, primary_key=True), options=options)
    audited_table(
        metadata,
        "child",
        column("id", Integer, primary_key=True),
        column("parent_id", Integer),
        options=options,
    )
    install(engine, metadata)
    run(
        engine,
        f"ALTER TABLE child ADD FOREIGN KEY (parent_id) REFERENCES parent ON DELETE {on_delete} ON UPDATE CASCADE",
        "INSERT INTO parent VALUES (1), (2)",
        "INSERT INTO child VALUES (10, 1), (11, 1), (12, 2)",
        "UPDATE parent SET id = 5 WHERE id = 2",
        "DELETE FROM parent WHERE id = 1",
    )
    assert recorded(engine, "child", "id", "parent_id")[3:4] == [("U", 12, 5)]
    gone = [("D", 10, 1), ("D", 11, 1)] if on_delete == "CASCADE" else [("U", 10, None), ("U", 11, None)]
    assert sorted(recorded(engine, "child", "id", "parent_id")[4:]) == gone


def test_truncate_cascade_is_recorded_on_both_tables(engine: Engine, level: str) -> None:
    metadata = MetaData()
    options = {"level": level}
    audited_table(metadata, "parent", column("id", Integer, primary_key=True), options=options)
    audited_table(metadata, "child", Column("parent_id", ForeignKey("parent.id"), primary_key=True), options=options)
    install(engine, metadata)
    run(engine, "TRUNCATE parent CASCADE")
    assert recorded(engine, "parent") == recorded(engine, "child") == [("T",)]


def test_orm_with_joined_and_single_table_inheritance(engine: Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Vehicle(Base):
        __tablename__ = "vehicle"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]

    class Truck(Vehicle):
        __tablename__ = "truck"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        __mapper_args__ = {"polymorphic_identity": "truck"}  # noqa: RUF012
        id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
        load: Mapped[int]

    class Bicycle(Vehicle):
        __mapper_args__ = {"polymorphic_identity": "bicycle"}  # noqa: RUF012
        gears: Mapped[int | None]

    install(engine, Base.metadata)
    with Session(engine) as session, session.begin():
        session.add_all([Truck(load=5), Bicycle(gears=21)])
    with Session(engine) as session, session.begin():
        session.scalars(select(Truck)).one().load = 6
        session.scalars(select(Bicycle)).one().gears = 1
    assert recorded(engine, "vehicle", "kind", "gears") == [
        ("I", "truck", None),
        ("I", "bicycle", 21),
        ("U", "bicycle", 1),
    ]
    assert recorded(engine, "truck", "load") == [("I", 5), ("U", 6)]


def test_one_sequence_orders_the_changes_of_all_tables(engine: Engine) -> None:
    metadata = MetaData()
    for name in ("a", "b"):
        audited_table(metadata, name, column("id", Integer, primary_key=True))
    install(engine, metadata)
    run(engine, "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)", "INSERT INTO a VALUES (2)")
    assert rows(engine, "SELECT audit_id FROM a_audit UNION ALL SELECT audit_id FROM b_audit ORDER BY 1") == [
        (1,),
        (2,),
        (3,),
    ]
