"""Attacks on the database's side: planted objects, forged settings, replaced functions, swallowed records.

Who attacks is a role that may write the audited table, unless a test says otherwise; who installed is another.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from flask_pg_audit.declare.registry import declare_view_table
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run

pytestmark = pytest.mark.superuser


def item() -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text))
    declare_view_table(metadata)
    return metadata


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    metadata = item()
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    return metadata


@pytest.fixture
def mallory(engine: Engine, metadata: MetaData) -> Iterator[Engine]:
    """May write the audited table, make a schema of her own, and, by somebody's mistake, write and truncate history."""
    database = engine.url.database
    with role(
        engine,
        "mallory",
        "GRANT ALL ON item TO {role}",
        "GRANT ALL ON item_audit, audit_transaction, audit_maintenance, audit_view TO {role}",
        f'GRANT CREATE, TEMPORARY ON DATABASE "{database}" TO {{role}}',
    ) as name:
        engine_ = create_engine(engine.url.set(username=name))
        yield engine_
        engine_.dispose()
        run(engine, "DROP SCHEMA IF EXISTS evil CASCADE")


def attempt(mallory: Engine, *statements: str) -> None:
    """In one transaction, in which the last is refused by the guard."""
    with mallory.connect() as connection:
        with pytest.raises(DBAPIError, match="what flask_pg_audit recorded is not rewritten"):
            for statement in statements:
                execute(connection, statement)
        connection.rollback()


# Hijacks of the guard

#: What is looked up by name in it, if anything were; each planted object says that maintenance is open.
OPEN = "CREATE SCHEMA evil; SET LOCAL search_path = evil, pg_catalog, public"
EQUALITY = (
    "CREATE FUNCTION evil.yes({0}, {0}) RETURNS boolean LANGUAGE sql AS 'SELECT true'; "
    "CREATE OPERATOR evil.= (LEFTARG = {0}, RIGHTARG = {0}, FUNCTION = evil.yes)"
)
PLANTED = {
    "a table of records in a temporary schema": (
        "CREATE TEMPORARY TABLE audit_maintenance AS SELECT transaction_timestamp() AS began_at, "
        "pg_current_xact_id()::text AS xact, 'why'::text AS reason"
    ),
    "a table of records first in the search_path": (
        f"{OPEN}; CREATE TABLE evil.audit_maintenance AS SELECT transaction_timestamp() AS began_at, "
        "pg_current_xact_id()::text AS xact, 'why'::text AS reason"
    ),
    "an operator for texts": f"{OPEN}; {EQUALITY.format('text')}",
    "an operator for times": f"{OPEN}; {EQUALITY.format('timestamptz')}",
    "an operator for the numbers of tables": f"{OPEN}; {EQUALITY.replace('evil.=', 'evil.<>').format('oid')}",
    "the function that tells the transaction": (
        f"{OPEN}; CREATE FUNCTION evil.pg_current_xact_id_if_assigned() RETURNS xid8 LANGUAGE sql AS "
        "$$SELECT '1'::xid8$$"
    ),
    "the function that tells its time": (
        f"{OPEN}; CREATE FUNCTION evil.transaction_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        "'SELECT NULL::timestamptz'"
    ),
    "a type that the numbers of tables are cast to": f"{OPEN}; CREATE DOMAIN evil.regclass AS text",
    "the function that opens it": (
        f"{OPEN}; CREATE FUNCTION evil.audit_begin_maintenance(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; "
        "SELECT audit_begin_maintenance('let me')"
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
@pytest.mark.parametrize("attack", ["UPDATE public.item_audit SET name = 'x'", "TRUNCATE public.item_audit"])
def test_nothing_planted_opens_the_guard(engine: Engine, mallory: Engine, planted: str, attack: str) -> None:
    attempt(mallory, *PLANTED[planted].split("; "), attack)
    assert recorded(engine, "item", "name") == [("I", "a")]


def test_no_code_of_hers_runs_with_the_owners_rights(engine: Engine, mallory: Engine) -> None:
    """Whatever name the guard could look up: a spy behind it would tell as whom it was called."""
    spies = [
        "CREATE SCHEMA evil",
        "CREATE TABLE evil.seen (who text)",
        "GRANT ALL ON SCHEMA evil TO PUBLIC",
        "GRANT ALL ON evil.seen TO PUBLIC",
    ]
    for type_ in ("text", "timestamptz", "oid", "anyelement"):
        for sign in ("=", "<>"):
            name = f"spy_{type_}_{'eq' if sign == '=' else 'ne'}"
            spies.append(
                f"CREATE FUNCTION evil.{name}({type_}, {type_}) RETURNS boolean LANGUAGE plpgsql AS "
                "$$BEGIN INSERT INTO evil.seen VALUES (current_user); RETURN true; END$$"
            )
            spies.append(f"CREATE OPERATOR evil.{sign} (LEFTARG = {type_}, RIGHTARG = {type_}, FUNCTION = evil.{name})")
    run(mallory, *spies)
    attempt(mallory, "SET LOCAL search_path = evil, pg_catalog, public, pg_temp", "DELETE FROM public.item_audit")
    with mallory.begin() as connection:
        execute(connection, "SET LOCAL search_path = evil, pg_catalog, public, pg_temp")
        execute(connection, "INSERT INTO public.item VALUES (2, 'b')")
    assert rows(engine, "SELECT * FROM evil.seen") == []


def test_opening_it_runs_no_code_of_hers_either(engine: Engine, mallory: Engine) -> None:
    """The owner opens it, with her schema first in his search_path."""
    run(
        mallory,
        "CREATE SCHEMA evil",
        "CREATE TABLE evil.seen (who text)",
        "CREATE TABLE evil.audit_maintenance (id serial, began_at timestamptz, xact text, db_role text, reason text, "
        "transaction_id bigint)",
        "CREATE FUNCTION evil.spy(int, int) RETURNS boolean LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO evil.seen VALUES (current_user); RETURN true; END$$",
        "CREATE OPERATOR evil.> (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.spy)",
        "CREATE FUNCTION evil.length(text) RETURNS int LANGUAGE sql AS $$SELECT 7$$",
        "GRANT ALL ON SCHEMA evil TO PUBLIC",
    )
    with engine.begin() as connection:
        execute(connection, "SET LOCAL search_path = evil, pg_catalog, public")
        execute(connection, "SELECT public.audit_begin_maintenance('a repair')")
    assert rows(engine, "SELECT reason FROM public.audit_maintenance") == [("a repair",)]
    assert rows(engine, "SELECT count(*) FROM evil.seen, evil.audit_maintenance") == [(0,)]


def test_the_guard_hung_on_a_table_of_ones_own_tells_nothing(mallory: Engine) -> None:
    run(mallory, "CREATE SCHEMA evil", "CREATE TABLE evil.mine (id int)")
    with pytest.raises(DBAPIError, match=r"permission denied for function (public\.)?audit_refuse_rewriting"):
        run(
            mallory,
            "CREATE TRIGGER t BEFORE DELETE ON evil.mine EXECUTE FUNCTION public.audit_refuse_rewriting()",
        )


# Functions and triggers


@pytest.mark.parametrize(
    "attack",
    [
        "CREATE OR REPLACE FUNCTION public.audit_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION public.public_item_audit() RETURNS trigger LANGUAGE plpgsql "
        "AS 'BEGIN RETURN NULL; END'",
        "ALTER FUNCTION public.audit_refuse_rewriting() RENAME TO gone",
        "ALTER FUNCTION public.audit_refuse_rewriting() SET search_path = evil",
        "DROP FUNCTION public.audit_refuse_rewriting() CASCADE",
        "ALTER TABLE item DISABLE TRIGGER USER",
        "ALTER TABLE item_audit DISABLE TRIGGER USER",
        "DROP TRIGGER audit_refuse_rewriting ON item_audit",
        "ALTER TRIGGER audit_refuse_rewriting ON item_audit RENAME TO gone",
        "SET session_replication_role = replica",
        "ALTER TABLE item_audit ADD COLUMN c int",
        "ALTER TABLE item_audit RENAME TO gone",
        "CREATE RULE r AS ON INSERT TO item_audit DO INSTEAD NOTHING",
        "CREATE POLICY p ON item_audit USING (false)",
    ],
)
def test_what_takes_the_owner_even_where_history_was_granted(engine: Engine, mallory: Engine, attack: str) -> None:
    with pytest.raises(DBAPIError, match=r"must be owner|permission denied"):
        run(mallory, attack)
    run(mallory, "UPDATE item SET name = 'b'")
    assert recorded(engine, "item", "name") == [("I", "a"), ("U", "b")]


# What swallows records, hung there by an owner, or by whoever has TRIGGER

SWALLOWED = {
    "CREATE TRIGGER swallow BEFORE INSERT ON item_audit FOR EACH ROW EXECUTE FUNCTION swallow()": (
        "history-trigger",
        "item",
        "item_audit has the trigger swallow, which is not ours",
        "DROP TRIGGER swallow ON public.item_audit",
    ),
    "CREATE RULE swallow AS ON INSERT TO item_audit DO INSTEAD NOTHING": (
        "history-rule",
        "item",
        "item_audit has the rule swallow",
        "DROP RULE swallow ON public.item_audit",
    ),
    "CREATE RULE swallow AS ON UPDATE TO audit_transaction DO ALSO NOTHING": (
        "history-rule",
        "",
        "audit_transaction has the rule swallow",
        "DROP RULE swallow ON public.audit_transaction",
    ),
    "CREATE POLICY hide ON item_audit USING (name <> 'b'); ALTER TABLE item_audit ENABLE ROW LEVEL SECURITY": (
        "history-policy",
        "item",
        "item_audit has row-level security; policies: hide",
        "ALTER TABLE public.item_audit DISABLE ROW LEVEL SECURITY",
    ),
    "ALTER TABLE item_audit ENABLE ROW LEVEL SECURITY": (
        "history-policy",
        "item",
        "item_audit has row-level security; policies: none, so that only its owner sees anything",
        "ALTER TABLE public.item_audit DISABLE ROW LEVEL SECURITY",
    ),
    "ALTER TABLE item_audit SET UNLOGGED": (
        "history-unlogged",
        "item",
        "item_audit is unlogged",
        "ALTER TABLE public.item_audit SET LOGGED",
    ),
    "ALTER SEQUENCE audit_id_seq CACHE 50": (
        "sequence-altered",
        "",
        "audit_id_seq has a cache, a cycle or another increment",
        "ALTER SEQUENCE public.audit_id_seq INCREMENT 1 CACHE 1 NO CYCLE",
    ),
    "ALTER SEQUENCE audit_transaction_id_seq INCREMENT -1 CYCLE": (
        "sequence-altered",
        "",
        "audit_transaction_id_seq has a cache, a cycle or another increment",
        "ALTER SEQUENCE public.audit_transaction_id_seq INCREMENT 1 CACHE 1 NO CYCLE",
    ),
    "CREATE RULE instead AS ON UPDATE TO item DO INSTEAD NOTHING": (
        "table-rule",
        "item",
        "has the rule instead, by which something else is done instead of a statement",
        "DROP RULE instead ON public.item",
    ),
}


@pytest.mark.parametrize("damage", SWALLOWED)
def test_what_may_swallow_or_alter_records_is_found_and_the_fix_is_one(
    engine: Engine, metadata: MetaData, damage: str
) -> None:
    run(engine, "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'", damage)
    [finding] = check(metadata, engine)
    assert (finding.code, finding.table, finding.what, finding.fix) == SWALLOWED[damage]
    run(engine, finding.fix)
    assert check(metadata, engine) == ()


def test_a_swallowed_record_fails_nothing_which_is_why_it_is_a_finding(engine: Engine, metadata: MetaData) -> None:
    run(
        engine,
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER swallow BEFORE INSERT ON item_audit FOR EACH ROW EXECUTE FUNCTION swallow()",
        "UPDATE item SET name = 'unseen'",
    )
    assert recorded(engine, "item", "name") == [("I", "a")]
    assert [finding.code for finding in check(metadata, engine)] == ["history-trigger"]
    [result, *_] = verify(metadata, engine)
    assert result.counts == {"column-differs": 1}


def test_a_rule_that_only_adds_something_on_an_audited_table_is_nobodys_concern(
    engine: Engine, metadata: MetaData
) -> None:
    run(engine, "CREATE RULE note AS ON INSERT TO item DO ALSO NOTHING")
    assert check(metadata, engine) == ()


# Forged settings


def test_whoever_sends_sql_names_himself_and_the_role_is_the_one_that_acts(engine: Engine, mallory: Engine) -> None:
    """``audit.username`` is the application's word for its users; the database's own is beside it."""
    with mallory.begin() as connection:
        execute(connection, "SELECT set_config('audit.username', 'the boss', true)")
        execute(connection, "UPDATE item SET name = 'b'")
    newest = (
        "SELECT t.username, t.db_role, a.audit_current_user FROM item_audit AS a "
        "JOIN audit_transaction AS t ON t.id = a.audit_transaction_id ORDER BY a.audit_id DESC LIMIT 1"
    )
    assert rows(engine, newest) == [("the boss", mallory.url.username, mallory.url.username)]


def forge(transaction_id: str) -> str:
    """The two settings by which a transaction knows its row again."""
    key = "pg_current_xact_id()::text || '/0/0/'"  # nobody is logged in, and nothing is said of the request
    return (
        f"SELECT set_config('audit.transaction_id', '{transaction_id}', true), "
        f"set_config('audit.transaction_key', {key}, true)"
    )


#: Changes by another role than the transaction that they claim to be of: forged, or after SET ROLE in its middle.
OF_ANOTHER_ROLE = (
    "SELECT a.audit_id, a.audit_current_user, t.db_role FROM item_audit AS a "
    "JOIN audit_transaction AS t ON t.id = a.audit_transaction_id WHERE a.audit_current_user <> t.db_role"
)


def test_a_change_can_be_put_into_another_transaction_and_still_has_its_own_role(
    engine: Engine, mallory: Engine
) -> None:
    """The two settings are read by every change; to check them against a table would cost every change a look-up.

    The role is written with each change by what no setting reaches, so the pair does not match.
    """
    assert rows(engine, OF_ANOTHER_ROLE) == []
    with mallory.begin() as connection:
        execute(connection, forge("1"))
        execute(connection, "UPDATE item SET name = 'b'")
    assert rows(engine, OF_ANOTHER_ROLE) == [(2, mallory.url.username, engine.url.username)]
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(1,)]


def test_of_the_same_role_it_cannot_be_told_but_neither_row_nor_change_is_lost(
    engine: Engine, metadata: MetaData
) -> None:
    with engine.begin() as connection:
        execute(connection, forge("1"))
        execute(connection, "UPDATE item SET name = 'b'")
    assert rows(engine, "SELECT audit_transaction_id, name FROM item_audit ORDER BY audit_id") == [(1, "a"), (1, "b")]
    assert rows(engine, OF_ANOTHER_ROLE) == []


def test_what_was_left_behind_in_a_session_is_no_forgery(engine: Engine, metadata: MetaData) -> None:
    """A key is of one transaction: set for the session, it is worthless in the next."""
    with engine.connect() as connection:
        execute(connection, forge("1").replace(", true)", ", false)"))
        connection.commit()
        execute(connection, "UPDATE item SET name = 'b'")
        connection.commit()
    assert rows(engine, "SELECT audit_transaction_id FROM item_audit ORDER BY audit_id") == [(1,), (2,)]


def test_one_that_is_not_there_is_found_as_well(engine: Engine, metadata: MetaData, mallory: Engine) -> None:
    with mallory.begin() as connection:
        execute(connection, forge("12345"))
        execute(connection, "UPDATE item SET name = 'b'")
    counts = [result.counts for result in verify(metadata, engine)]
    assert {"change-without-transaction": 1} in counts


def test_a_transaction_that_cannot_be_one_fails_the_change(engine: Engine, mallory: Engine) -> None:
    with mallory.connect() as connection:
        execute(connection, forge("x"))
        with pytest.raises(DBAPIError, match="invalid input syntax for type bigint"):
            execute(connection, "UPDATE item SET name = 'b'")
        connection.rollback()
    assert recorded(engine, "item", "name") == [("I", "a")]
