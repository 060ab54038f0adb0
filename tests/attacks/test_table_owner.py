"""Whoever owns the audited table, and not the history: what is prevented, and what ``check`` or ``verify`` tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from tests.capture import audited_table, column, install, recorded, role, rows, run
from tests.server import Database, DatabaseServer

pytestmark = pytest.mark.superuser


def declare() -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text))
    key = column("id", Integer, primary_key=True)
    audited_table(metadata, "parted", key, column("name", Text), postgresql_partition_by="RANGE (id)")
    return metadata


@dataclass
class Site:
    auditor: Engine
    mallory: Engine
    metadata: MetaData

    def codes(self) -> set[str]:
        return {finding.code for finding in check(self.metadata, self.auditor)} - {"table-owner"}

    def differences(self) -> set[str]:
        return {kind for result in verify(self.metadata, self.auditor) for kind in result.counts}


@pytest.fixture
def site(server: DatabaseServer, template: str) -> Iterator[Site]:
    with server.database(template) as database:
        yield from _site(database)


def _site(database: Database) -> Iterator[Site]:
    root, metadata = create_engine(database.url()), declare()
    with role(root, "mallory", "GRANT CREATE ON SCHEMA public TO {role}") as name:
        mallory = create_engine(root.url.set(username=name))
        run(
            mallory,
            "CREATE TABLE item (id int PRIMARY KEY, name text)",
            "CREATE TABLE parted (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)",
            "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100)",
        )
        install(root, metadata)
        run(root, "CREATE TABLE seen (who text)", "GRANT ALL ON seen TO PUBLIC")
        run(
            mallory,
            "CREATE FUNCTION spy(v anyelement) RETURNS boolean LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO public.seen VALUES (CURRENT_USER); RETURN true; END$$",
            "CREATE FUNCTION spy_trigger() RETURNS trigger LANGUAGE plpgsql AS "
            "$$BEGIN INSERT INTO public.seen VALUES (CURRENT_USER); RETURN coalesce(NEW, OLD); END$$",
            "INSERT INTO item VALUES (1, 'a')",
            "INSERT INTO parted VALUES (1, 'a')",
        )
        yield Site(root, mallory, metadata)
        mallory.dispose()
        run(root, "DROP TABLE IF EXISTS item_moved, parted, part CASCADE")
        run(root, f"DROP OWNED BY {name} CASCADE")
    root.dispose()


#: Code of hers that runs when her table is written: as herself, whoever records it.
HER_CODE = {
    "a row trigger before": (
        "CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION spy_trigger()"
    ),
    "a row trigger after": (
        "CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION spy_trigger()"
    ),
    "a statement trigger": "CREATE TRIGGER zz AFTER INSERT OR UPDATE OR DELETE ON item EXECUTE FUNCTION spy_trigger()",
    "a rule": "CREATE RULE r AS ON INSERT TO item DO ALSO INSERT INTO seen VALUES (CURRENT_USER)",
    "a check constraint": "ALTER TABLE item ADD CHECK (spy(name))",
    "a default": "ALTER TABLE item ALTER COLUMN name SET DEFAULT spy(1)::text",
    "an index on an expression": (
        "CREATE FUNCTION calm(v text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT "
        "public.spy(v)';; CREATE INDEX ON item (calm(name))"
    ),
    "a partial index": (
        "CREATE FUNCTION calm(v text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT "
        "public.spy(v)';; CREATE INDEX ON item (id) WHERE calm(name)"
    ),
    "a generated column": (
        "CREATE FUNCTION calm(v text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "RETURN public.spy(v); END';; ALTER TABLE item ADD COLUMN g boolean GENERATED ALWAYS "
        "AS (calm(name)) STORED"
    ),
    "a domain with a function": (
        "CREATE DOMAIN sly AS text CHECK (spy(VALUE));; ALTER TABLE item ALTER COLUMN name TYPE sly"
    ),
    "a policy": (
        "CREATE POLICY p ON item USING (spy(name)) WITH CHECK (spy(name));; ALTER TABLE item "
        "ENABLE ROW LEVEL SECURITY;; ALTER TABLE item FORCE ROW LEVEL SECURITY"
    ),
    "an extended statistic": (
        "CREATE FUNCTION calm(v text) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN "
        "RETURN public.spy(v); END';; CREATE STATISTICS s ON calm(name), id FROM item;; "
        "ANALYZE item"
    ),
}


@pytest.mark.parametrize("code", HER_CODE)
def test_code_of_hers_runs_as_herself(site: Site, code: str) -> None:
    run(site.mallory, *HER_CODE[code].split(";; "), "TRUNCATE seen")
    run(
        site.mallory,
        "INSERT INTO item VALUES (2, 'b')",
        "UPDATE item SET name = 'c'",
        "UPDATE item SET id = id + 10",
        "DELETE FROM item",
    )
    assert {who for (who,) in rows(site.auditor, "SELECT who FROM seen")} <= {site.mallory.url.username}
    assert {operation for operation, *_ in recorded(site.auditor, "item")} == {"I", "U", "D"}


@pytest.mark.parametrize("context", ["ASSIGNMENT", "IMPLICIT"])
def test_a_cast_of_hers_runs_as_the_functions_owner_which_is_a_finding(site: Site, context: str) -> None:
    """The one way in: a type of her own in a column whose history has another. Told before she does it."""
    [before] = {finding.fix for finding in check(site.metadata, site.auditor) if finding.table == "item"}
    run(
        site.mallory,
        "CREATE TYPE sly AS (v text)",
        "CREATE FUNCTION to_text(sly) RETURNS text LANGUAGE plpgsql AS "
        "$$BEGIN INSERT INTO public.seen VALUES (CURRENT_USER); RETURN 'x'; END$$",
        f"CREATE CAST (sly AS text) WITH FUNCTION to_text(sly) AS {context}",
        "ALTER TABLE item ALTER COLUMN name TYPE sly USING ROW(name)::sly",
        "INSERT INTO item VALUES (2, ROW('x'))",
    )
    assert rows(site.auditor, "SELECT who FROM seen") == [(site.auditor.url.username,)]
    assert site.codes() == {"column-type"}
    assert before == f"ALTER TABLE public.item OWNER TO {site.auditor.url.username}"
    run(site.auditor, before)
    with pytest.raises(DBAPIError, match="must be owner"):
        run(site.mallory, "ALTER TABLE item ALTER COLUMN name TYPE text")


#: What she may do to her table, and what tells of it. Findings come from ``check``, differences from ``verify``.
HER_TABLE = {
    "ALTER TABLE item DISABLE TRIGGER USER": {"trigger-disabled"},
    "ALTER TABLE item DISABLE TRIGGER ALL; UPDATE item SET name = 'x'; ALTER TABLE item ENABLE TRIGGER ALL": {
        "column-differs"
    },
    "ALTER TABLE item DISABLE TRIGGER public_item_audit_update": {"trigger-disabled"},
    "ALTER TABLE item ENABLE REPLICA TRIGGER public_item_audit_update": {"trigger-replica"},
    "ALTER TABLE item ENABLE ALWAYS TRIGGER public_item_audit_update": {"trigger-always"},
    "DROP TRIGGER public_item_audit_insert ON item": {"trigger-missing"},
    "DROP TRIGGER public_item_audit_insert ON item; INSERT INTO item VALUES (5, 'x')": {
        "trigger-missing",
        "row-without-history",
    },
    "ALTER TRIGGER public_item_audit_insert ON item RENAME TO gone": {"trigger-renamed"},
    "CREATE OR REPLACE TRIGGER public_item_audit_insert AFTER INSERT ON item EXECUTE FUNCTION spy_trigger()": {
        "name-taken"
    },
    "CREATE RULE r AS ON UPDATE TO item DO INSTEAD NOTHING": {"table-rule"},
    "ALTER TABLE item RENAME TO item_moved": {"table-absent"},
    "ALTER TABLE item RENAME COLUMN name TO title": {"column-absent", "column-undeclared"},
    "ALTER TABLE item ADD COLUMN hidden text": {"column-undeclared"},
    "ALTER TABLE item ALTER COLUMN name TYPE bytea USING name::bytea": {"column-type"},
    "DROP TABLE item; CREATE TABLE item (id int PRIMARY KEY, name text)": {"trigger-missing", "history-without-row"},
    "DROP TABLE item; CREATE VIEW item AS SELECT 1 AS id, 'a'::text AS name": {"table-absent"},
    "CREATE TABLE child () INHERITS (item)": {"child-unrecorded"},
    "ALTER TABLE parted DETACH PARTITION part": {"history-without-row"},
    (
        "CREATE TABLE later (id int NOT NULL, name text); INSERT INTO later VALUES (200, "
        "'x'); ALTER TABLE parted ATTACH PARTITION later FOR VALUES FROM (100) TO (300)"
    ): {
        "partition-unrecorded",
        "row-without-history",
    },
    "ALTER TABLE part DISABLE TRIGGER USER": {"trigger-disabled"},
    (
        "ALTER TABLE parted DETACH PARTITION part; UPDATE part SET name = 'x'; ALTER TABLE "
        "parted ATTACH PARTITION part FOR VALUES FROM (0) TO (100)"
    ): set(),  # recorded meanwhile
    "CREATE TRIGGER a BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION spy_trigger()": set(),
    "CREATE TRIGGER a AFTER UPDATE ON item FOR EACH ROW EXECUTE FUNCTION spy_trigger()": {"row-trigger"},
    "ALTER TABLE item ALTER COLUMN id TYPE bigint": {"column-type"},
    "CREATE SCHEMA AUTHORIZATION CURRENT_USER": None,
    "ALTER TABLE item_audit DISABLE TRIGGER ALL": None,
    "ALTER TABLE item INHERIT item_audit": None,
    "ALTER TABLE item_audit INHERIT item": None,
    "ALTER TRIGGER public_item_audit_insert ON item DEPENDS ON EXTENSION plpgsql": set(),
    "DELETE FROM item_audit": None,
    "CREATE VIEW v AS SELECT * FROM item_audit; DELETE FROM v": None,
    "CREATE RULE r AS ON UPDATE TO item DO ALSO DELETE FROM item_audit; UPDATE item SET name = 'z'": None,
    "CREATE TRIGGER t AFTER INSERT ON item EXECUTE FUNCTION audit_refuse_rewriting()": None,
    (
        "ALTER TABLE item ADD b bigint, ADD FOREIGN KEY (b, id) REFERENCES item_audit (audit_transaction_id, audit_id)"
    ): None,
    "ALTER FUNCTION public_item_audit() OWNER TO CURRENT_USER": None,
    "DROP FUNCTION public_item_audit() CASCADE": None,
    "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION spy_trigger()": None,
}


@pytest.mark.parametrize("attack", HER_TABLE, ids=lambda attack: attack[:60])
def test_what_she_does_to_her_table_is_refused_or_found(site: Site, attack: str) -> None:
    """The history that is there already stays as it is."""
    before = recorded(site.auditor, "item", "id", "name")
    expected = HER_TABLE[attack]
    if expected is None:
        with pytest.raises(DBAPIError, match=r"permission denied|must be owner"):
            run(site.mallory, *attack.split("; "))
        assert site.codes() <= {"table-rule"}
    else:
        run(site.mallory, *attack.split("; "))
        found = site.codes()
        if not found & {"table-absent", "column-absent", "name-taken"}:
            found |= site.differences()
        assert found == expected or (expected and expected <= found), found
    assert recorded(site.auditor, "item", "id", "name")[: len(before)] == before
