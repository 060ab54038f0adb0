"""Which statements are known to be harmless, and what is done about the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import DDL, Select, create_engine, exists, func, insert, literal_column, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import aliased
from sqlalchemy.schema import CreateTable

from flask_pg_audit.context.statements import (
    HARMLESS_FUNCTIONS,
    Autocommit,
    ends_settings,
    is_harmless_select,
    is_harmless_text,
    plan_autocommit,
)
from tests.blog import Blog, blog
from tests.capture import rows
from tests.server import Database

HARMLESS = [
    "SELECT a.b FROM a WHERE a.x IN (1, 2) AND lower(a.y) = %(p)s FOR UPDATE OF a",
    "SELECT x FROM a FOR NO KEY UPDATE SKIP LOCKED",
    "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) "
    "SELECT CAST(n AS NUMERIC(10, 2)), n::varchar(5) FROM t",
    "WITH t(a, b) AS NOT MATERIALIZED (SELECT 1, 2) SELECT * FROM t",
    "SELECT count(*) AS count_1, 'nextval(1)' FROM (SELECT 1) AS anon_1(a)",
    "SELECT pg_catalog.lower('a'), pg_catalog.pg_table_is_visible(c.oid) FROM pg_catalog.pg_class AS c",
    "SELECT 'it''s delete from (', \"delete\" FROM a",
    "SELECT max(x) FILTER (WHERE y) OVER (PARTITION BY z), ARRAY(SELECT 1), EXTRACT(year FROM d) "
    "FROM a JOIN LATERAL (SELECT 2) b ON (true)",
    "SELECT set_config('TimeZone', 'UTC', true) AS set_config_1, set_config('jit', 'off', true) AS set_config_2",
]
WRITING = [
    "SELECT nextval('x')",
    "SELECT public.lower('x')",
    "SELECT pg_catalog.nextval('x')",
    'SELECT "Lower"(1)',
    'SELECT "s"."lower"(1)',
    "SELECT pg_sleep(1)",
    "SELECT 1 INTO x",
    "WITH x AS (INSERT INTO a VALUES (1) RETURNING id) SELECT 1",
    "WITH x(id) AS (UPDATE a SET b = 1 RETURNING id) SELECT 1",
    "SELECT f(1) AS x, (SELECT 1)",
    "SELECT * FROM f(1) AS (a int)",
    "SELECT * FROM f(1) AS t (a)",
    "SELECT evil(1) AS y FROM (VALUES (1)) AS v (x)",
    "SELECT f\n(1)",
    "SELECT f(",
    "SELECT set_config('audit.username', 'mallory', true)",
    "SELECT set_config('jit' || x, 'off', true)",
    "SELECT set_config(%(name)s, 'UTC', true)",
    "SELECT public.set_config('jit', 'off', true)",
    "SELECT set_config(",
    "SELECT set_config('jit'",
]


@pytest.mark.parametrize("sql", HARMLESS)
def test_harmless(sql: str) -> None:
    assert is_harmless_select(sql)


@pytest.mark.parametrize("sql", WRITING)
def test_might_write(sql: str) -> None:
    assert not is_harmless_select(sql)


@pytest.mark.parametrize("function", ["set_config", "nextval", "setval", "pg_sleep", "dblink_exec", "lo_unlink"])
def test_functions_with_side_effects_are_not_in_the_table(function: str) -> None:
    assert function not in HARMLESS_FUNCTIONS


def test_the_functions_of_the_table_are_stable_or_known_to_only_look(database: Database) -> None:
    engine = create_engine(database.url())
    names = ", ".join(f"'{name}'" for name in HARMLESS_FUNCTIONS)
    volatile = f"SELECT DISTINCT proname FROM pg_proc WHERE proname IN ({names}) AND provolatile = 'v'"
    # Volatile because files and tables change meanwhile.
    assert {name for (name,) in rows(engine, volatile)} <= {"random", "pg_partition_tree", "pg_total_relation_size"}
    engine.dispose()


@pytest.mark.parametrize("text_", ["", ";", " select 1 ;", "SHOW transaction isolation level"])
def test_harmless_text_on_a_raw_connection(text_: str) -> None:
    assert is_harmless_text(text_)


@pytest.mark.parametrize(
    "text_", ["SELECT 2", "SELECT 1; DELETE FROM a", "SELECT now()", "EXPLAIN ANALYZE DELETE FROM a"]
)
def test_everything_else_on_a_raw_connection_might_write(text_: str) -> None:
    assert not is_harmless_text(text_)


@pytest.mark.parametrize(
    ("statement", "plan"),
    [
        ("INSERT INTO a VALUES (1)", Autocommit.TRANSACTION),
        ("-- a comment\n/* and another */ (SELECT f())", Autocommit.TRANSACTION),
        (b"COPY a FROM STDIN", Autocommit.TRANSACTION),
        ("EXPLAIN ANALYZE DELETE FROM a", Autocommit.TRANSACTION),
        (None, Autocommit.TRANSACTION),
        ("CALL p()", Autocommit.SESSION),
        ("do $$ begin end $$", Autocommit.SESSION),
        ("VACUUM a", Autocommit.LEAVE),
        ("create index concurrently i on a (b)", Autocommit.LEAVE),
        ("BEGIN", Autocommit.LEAVE),
    ],
)
def test_autocommit(statement: object, plan: Autocommit) -> None:
    assert plan_autocommit(statement) is plan


@pytest.mark.parametrize(
    ("statement", "ends"),
    [
        ("UPDATE a SET b = CASE WHEN c THEN 1 END", False),
        ("INSERT INTO a VALUES (1);", False),
        ("ROLLBACK TO SAVEPOINT s", True),
        ("INSERT INTO a VALUES (1); COMMIT; BEGIN", True),
        ("RESET ALL", True),
        (object(), True),
    ],
)
def test_what_might_take_the_settings_back(statement: object, ends: bool) -> None:
    assert ends_settings(statement) is ends


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def statements(site: Blog) -> dict[str, tuple[Any, bool]]:
    """Statements as SQLAlchemy makes them, and whether the user is looked up for them."""
    post = site.Post
    other = aliased(post)
    numbers = select(literal_column("1").label("n")).cte("numbers", recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 3))
    harmless: dict[str, Select[Any]] = {
        "entities": select(post).order_by(post.id).limit(3),
        "aggregate": select(func.count(), func.max(post.title)).group_by(post.id),
        "subquery": select(post).where(exists().where(other.id == post.id)),
        "recursive": select(numbers),
        "for update": select(post).with_for_update(),
    }
    writing = {
        "function": select(func.pg_advisory_xact_lock(1)),
        "another function": select(func.txid_current()),
        "text": text("SELECT 1 FROM post"),
        "text column": select(text("txid_current()")),
        "insert": insert(post).values(title="x"),
        "update": update(post).values(title="x"),
        "cte": select(insert(post).values(title="x").returning(post.id).cte("added")),
        "ddl text": DDL("SELECT 1"),
    }
    plain_ddl = {"ddl": CreateTable(site.db.Table("later", site.db.Column("id", site.db.Integer)))}
    return {
        **{name: (statement, False) for name, statement in {**harmless, **plain_ddl}.items()},
        **{name: (statement, True) for name, statement in writing.items()},
    }


def test_the_user_is_looked_up_for_what_might_write_only(site: Blog) -> None:
    asked: list[str] = []
    site.audit.actor_loader(lambda: asked.append("asked"))
    for name, (statement, expected) in statements(site).items():
        asked.clear()
        with site.app.test_request_context(), site.db.engine.begin() as connection:
            connection.execute(statement)
        assert bool(asked) is expected, name


def test_creating_what_is_there_already_looks_nobody_up(site: Blog) -> None:
    asked: list[str] = []
    site.audit.actor_loader(lambda: asked.append("asked"))
    with site.app.test_request_context():
        site.db.create_all()
    assert asked == []


def test_the_dialects_text_is_what_is_read() -> None:
    compiled = select(func.count()).compile(dialect=postgresql.dialect())
    assert is_harmless_select(compiled.string)
