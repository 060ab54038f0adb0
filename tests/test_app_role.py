"""Two roles: one owns tables and history, the application's reads history and does nothing else with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import AuditConfigError, AuditInstallError, install_audit_triggers
from flask_pg_audit.database.check import Finding, check
from flask_pg_audit.declare.registry import declare_view_table, set_audit_schema
from flask_pg_audit.errors import sqlstate
from flask_pg_audit.web.config import AuditConfig
from tests.blog import blog
from tests.capture import audited_table, column, recorded, role, rows, run
from tests.server import Database

pytestmark = pytest.mark.superuser

#: What the role may do with an audited table of which it was granted all; that is left to who granted it.
TRIGGERS = "create triggers on it, which run with the rights of who writes it"


@dataclass
class Site:
    """A database whose tables belong to one role and whose application is another; both as engines."""

    root: Engine
    owner: Engine
    app: Engine
    metadata: MetaData

    @property
    def app_role(self) -> str:
        return str(self.app.url.username)

    @property
    def owner_role(self) -> str:
        return str(self.owner.url.username)

    def install(self) -> list[str]:
        return [str(a) for a in install_audit_triggers(self.metadata, self.owner, app_roles=[self.app_role]).actions]

    def check(self) -> tuple[Finding, ...]:
        return check(self.metadata, self.app, app_roles=[self.app_role])

    def codes(self) -> list[str]:
        return sorted({finding.code for finding in self.check()})


def item() -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text))
    declare_view_table(metadata)
    return metadata


@contextmanager
def connected(engine: Engine, *names: str) -> Iterator[list[Engine]]:
    engines = [create_engine(engine.url.set(username=name)) for name in names]
    yield engines
    for each in engines:
        each.dispose()


@pytest.fixture
def site(engine: Engine) -> Iterator[Site]:
    run(engine, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with (
        role(engine, "owner", "GRANT CREATE ON SCHEMA public TO {role}") as owner,
        role(engine, "app") as app,
        connected(engine, owner, app) as (owners, apps),
    ):
        site = Site(engine, owners, apps, item())
        site.metadata.create_all(owners)
        site.install()
        run(owners, f"GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON item TO {app}")
        yield site


# What it may and may not


def test_it_works_with_its_tables_and_all_is_recorded_as_its_own(site: Site) -> None:
    run(site.app, "INSERT INTO item VALUES (1, 'a')", "UPDATE item SET name = 'b'", "DELETE FROM item", "TRUNCATE item")
    assert recorded(site.app, "item", "audit_current_user") == [(o, site.app_role) for o in "IUDT"]
    assert rows(site.app, "SELECT DISTINCT db_role FROM audit_transaction") == [(site.app_role,)]


@pytest.mark.parametrize(
    "attack",
    [
        *(
            f"{attack} {table}{rest}"
            for table in ("item_audit", "audit_transaction", "audit_maintenance", "audit_redaction")
            for attack, rest in (
                ("INSERT INTO", " DEFAULT VALUES"),
                ("UPDATE", " SET {0} = {0}"),
                ("DELETE FROM", ""),
                ("TRUNCATE", ""),
                ("ALTER TABLE", " DISABLE TRIGGER ALL"),
                ("ALTER TABLE", " DISABLE TRIGGER audit_refuse_rewriting"),
                ("DROP TABLE", ""),
                ("DROP TRIGGER audit_refuse_rewriting ON", ""),
                ("CREATE RULE r AS ON INSERT TO", " DO INSTEAD NOTHING"),
                ("ALTER TABLE", " OWNER TO CURRENT_USER"),
            )
        ),
        "UPDATE audit_view SET username = 'x'",
        "DELETE FROM audit_view",
        "TRUNCATE audit_view",
        "ALTER TABLE item DISABLE TRIGGER ALL",
        "ALTER TABLE item DISABLE TRIGGER public_item_audit_update",
        "DROP TRIGGER public_item_audit_update ON item",
        "ALTER TRIGGER public_item_audit_update ON item RENAME TO x",
        "CREATE TRIGGER t BEFORE UPDATE ON item FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON UPDATE TO item DO INSTEAD NOTHING",
        "CREATE OR REPLACE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE OR REPLACE FUNCTION audit_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
        "ALTER FUNCTION public_item_audit() SECURITY INVOKER",
        "DROP FUNCTION public_item_audit()",
        "DROP FUNCTION audit_refuse_rewriting() CASCADE",
        "SELECT audit_begin_maintenance('let me')",
        "SELECT audit_begin_transaction()",
        "SELECT audit_refuse_change('a', 'b')",
        "SELECT nextval('audit_id_seq')",
        "SELECT setval('audit_id_seq', 1)",
        "SELECT setval('audit_transaction_id_seq', 1)",
        "SELECT setval(pg_get_serial_sequence('audit_view', 'id'), 1)",
        "SET session_replication_role = replica",
        "CREATE TABLE other_audit (id int)",
        "DROP SCHEMA public CASCADE",
    ],
)
def test_it_may_not(site: Site, attack: str) -> None:
    run(site.app, "INSERT INTO item VALUES (1, 'a')")
    column = {"item_audit": "name", "audit_transaction": "username"}.get(attack.split()[1], "reason")
    with pytest.raises(DBAPIError) as raised:
        run(site.app, attack.format(column))
    assert sqlstate(raised.value) == "42501"  # insufficient_privilege
    assert recorded(site.app, "item", "name") == [("I", "a")]


def test_it_reads_history_and_adds_to_the_log_of_readers_without_a_right_on_its_numbers(site: Site) -> None:
    run(site.app, "INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')")
    for table in ("item_audit", "audit_transaction", "audit_maintenance", "audit_redaction", "audit_view"):
        assert rows(site.app, f"SELECT count(*) >= 0 FROM {table}") == [(True,)]


def test_nothing_is_found_then(site: Site) -> None:
    assert site.check() == ()


# Installing


def test_a_second_installation_does_nothing(site: Site) -> None:
    assert site.install() == []


def test_what_was_granted_by_custom_is_taken_back_and_what_the_tables_allow_is_not(site: Site) -> None:
    run(
        site.owner,
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {site.app_role}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {site.app_role}, PUBLIC",
        f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA public TO {site.app_role}, PUBLIC",
        "GRANT UPDATE (name), SELECT ON item_audit TO PUBLIC",
    )
    done = site.install()
    assert any(
        f"restrict {site.app_role} on table audit_transaction ({site.app_role} may DELETE" in line for line in done
    )
    assert [finding.what.partition(" may ")[2] for finding in site.check()] == [TRIGGERS] and site.install() == []
    assert rows(site.root, f"SELECT has_table_privilege('{site.app_role}', 'item', 'TRIGGER')") == [(True,)]
    assert rows(site.root, "SELECT has_any_column_privilege('pg_monitor', 'item_audit', 'SELECT, UPDATE')") == [
        (False,)
    ]


def test_default_privileges_give_nothing_on_what_is_created(engine: Engine) -> None:
    run(engine, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with (
        role(engine, "owner", "GRANT CREATE ON SCHEMA public TO {role}") as owner,
        role(engine, "app") as app,
        connected(engine, owner, app) as (owners, apps),
    ):
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            run(owners, f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO {app}, PUBLIC")
        site = Site(engine, owners, apps, item())
        run(owners, "CREATE TABLE item (id int PRIMARY KEY, name text)")
        site.install()
        assert [finding.what.partition(" may ")[2] for finding in site.check()] == [TRIGGERS] and site.install() == []
        run(owners, f"REVOKE TRIGGER ON item FROM {app}, PUBLIC")
        assert site.check() == ()


def test_the_sql_shows_and_does_it(engine: Engine) -> None:
    run(engine, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "CREATE TABLE item (id int PRIMARY KEY, name text)")
    with role(engine, "app", "GRANT INSERT ON item TO {role}") as app, connected(engine, app) as (apps,):
        run(engine, install_audit_triggers(item(), app_roles=[app]))
        site = Site(engine, engine, apps, item())
        assert site.install() == [] and site.check() == ()
        run(apps, "INSERT INTO item VALUES (1)")
        with pytest.raises(DBAPIError, match="permission denied"):
            run(apps, "DELETE FROM item_audit")


def test_odd_names_and_a_schema_of_its_own(engine: Engine) -> None:
    metadata = MetaData()
    set_audit_schema(metadata, 'au"dit 100%')
    audited_table(metadata, "we\"ird 50% :x '$", column("id", Integer, primary_key=True), schema="naïve")
    declare_view_table(metadata)
    run(engine, "REVOKE CREATE ON SCHEMA public FROM PUBLIC", 'CREATE SCHEMA "naïve"')
    metadata.tables["naïve.we\"ird 50% :x '$"].create(engine)
    name = f"A\"pp 10% :x '{engine.url.database}"
    quoted = '"' + name.replace('"', '""') + '"'
    run(engine, f"CREATE ROLE {quoted}")
    try:
        install_audit_triggers(metadata, engine, app_roles=[name])
        assert install_audit_triggers(metadata, engine, app_roles=[name]).actions == ()
        assert check(metadata, engine, app_roles=[name]) == ()
        run(engine, f'SET LOCAL ROLE {quoted}; SELECT count(*) FROM "au""dit 100%".audit_transaction')
    finally:
        run(engine, f"DROP OWNED BY {quoted}", f"DROP ROLE {quoted}")


def test_a_role_that_is_not_there_is_one_clear_error_and_nothing_is_changed(site: Site) -> None:
    with pytest.raises(AuditInstallError) as raised:
        install_audit_triggers(site.metadata, site.owner, app_roles=["nobody's"])
    assert str(raised.value) == (
        """there is no database role "nobody's"; CREATE ROLE "nobody's" LOGIN first, or correct the name"""
    )
    [finding] = check(site.metadata, site.app, app_roles=["nobody"])
    assert finding.code == "app-role-absent"


def test_the_role_that_installs_is_not_the_applications(site: Site) -> None:
    with pytest.raises(AuditInstallError, match="which would own the history; let a role of its own own"):
        install_audit_triggers(site.metadata, site.owner, app_roles=[site.owner_role])


def test_a_role_that_owns_history_is_not_locked_out_of_recording(site: Site) -> None:
    """What is revoked from the owner of a function, the function cannot do."""
    with pytest.raises(AuditInstallError, match="the application's role, owns audit_begin_maintenance"):
        install_audit_triggers(site.metadata, site.root, app_roles=[site.owner_role])
    run(site.app, "INSERT INTO item VALUES (1, 'a')")


def test_without_a_role_privileges_are_left_alone(site: Site) -> None:
    run(site.owner, f"GRANT INSERT ON item_audit TO {site.app_role}")
    assert install_audit_triggers(site.metadata, site.owner).actions == ()


# What check finds of it


def test_every_grant_to_the_role_and_to_everybody(site: Site) -> None:
    run(site.owner, f"GRANT INSERT ON item_audit TO {site.app_role}")
    [finding] = [finding for finding in site.check() if finding.code == "app-role-privileges"]
    assert str(finding) == (
        f"app-role-privileges: item: {site.app_role} on table item_audit: {site.app_role} may INSERT; the application "
        "is to read history, and to do nothing else with it; fix: flask audit install"
    )
    run(site.owner, f"REVOKE ALL ON item_audit FROM {site.app_role}")
    [finding] = site.check()
    assert f"{site.app_role} may not SELECT" in finding.what


def test_what_comes_with_a_group(site: Site) -> None:
    with role(site.root, "grp", f"GRANT {{role}} TO {site.app_role}") as group:
        run(site.owner, f"GRANT UPDATE (name) ON item_audit TO {group}", f"GRANT UPDATE ON audit_id_seq TO {group}")
        found = [finding for finding in site.check() if finding.code == "app-role-writes"]
        assert [(finding.table, finding.what) for finding in found] == [
            ("item", f"{site.app_role}, which may act as {group}, may UPDATE on item_audit"),
            ("", f"{site.app_role}, which may act as {group}, may UPDATE on audit_id_seq"),
        ]
        assert found[0].fix == f"REVOKE ALL ON TABLE public.item_audit FROM {group}"


def test_a_group_without_inheritance_is_a_set_role_away(site: Site) -> None:
    run(site.root, f"ALTER ROLE {site.app_role} NOINHERIT")
    with role(site.root, "grp", f"GRANT {{role}} TO {site.app_role}") as group:
        run(site.owner, f"GRANT DELETE ON audit_transaction TO {group}")
        assert "app-role-writes" in site.codes()


def test_a_membership_that_allows_nothing_is_no_finding(site: Site) -> None:
    """From PostgreSQL 16 on a membership may have neither INHERIT nor SET."""
    [(version,)] = rows(site.root, "SELECT current_setting('server_version_num')::int")
    if version < 160_000:
        pytest.skip("memberships have no such options before PostgreSQL 16")
    grant = f"GRANT {site.owner_role} TO {site.app_role} WITH INHERIT FALSE, SET {{}}, ADMIN {{}}"
    for set_, admin, codes in (
        ("FALSE", "FALSE", []),
        ("TRUE", "FALSE", ["app-role-creates", "app-role-owner"]),
        ("FALSE", "TRUE", ["app-role-creates", "app-role-owner"]),
    ):
        run(site.root, grant.format(set_, admin))
        assert site.codes() == codes
    run(site.root, f"REVOKE {site.owner_role} FROM {site.app_role}")


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("SUPERUSER", "is a superuser; the application could falsify what it did; fix: ALTER ROLE {} NOSUPERUSER"),
        ("REPLICATION", "has REPLICATION, and may copy the whole cluster and all that is written"),
    ],
)
def test_attributes(site: Site, attribute: str, expected: str) -> None:
    run(site.root, f"ALTER ROLE {site.app_role} {attribute}")
    [finding] = site.check()
    assert finding.code == "app-role-power" and expected.format(site.app_role) in str(finding)


def test_createrole_until_postgresql_16(site: Site) -> None:
    run(site.root, f"ALTER ROLE {site.app_role} CREATEROLE")
    [(version,)] = rows(site.root, "SELECT current_setting('server_version_num')::int")
    assert site.codes() == (["app-role-power"] if version < 160_000 else [])


@pytest.mark.parametrize("power", ["pg_write_all_data", "pg_execute_server_program", "pg_write_server_files"])
def test_predefined_roles(site: Site, power: str) -> None:
    run(site.root, f"GRANT {power} TO {site.app_role}")
    [finding] = [finding for finding in site.check() if finding.code.startswith("app-role")]
    assert (finding.code, finding.fix) == ("app-role-power", f"REVOKE {power} FROM {site.app_role}")
    run(site.root, f"REVOKE {power} FROM {site.app_role}")


def test_a_superuser_to_become(site: Site) -> None:
    root = site.root.url.username
    run(site.root, f"GRANT {root} TO {site.app_role}")
    [finding] = site.check()
    assert finding.what == f"{site.app_role}, which may act as {root}, is a superuser"
    run(site.root, f"REVOKE {root} FROM {site.app_role}")


def test_the_owners_role(site: Site) -> None:
    run(site.root, f"GRANT {site.owner_role} TO {site.app_role}")
    found = [finding for finding in site.check() if finding.code == "app-role-owner"]
    assert [finding.what for finding in found] == [
        f"{site.app_role}, which may act as {site.owner_role}, owns what is audited, or its history, "
        "and may do with it what it likes"
    ]
    run(site.root, f"REVOKE {site.owner_role} FROM {site.app_role}")


def test_an_audited_table_of_its_own(site: Site) -> None:
    """What a table's owner could still do."""
    run(site.root, f"ALTER TABLE item OWNER TO {site.app_role}")
    finding, other = sorted(site.check(), key=lambda finding: finding.code)
    assert (finding.code, finding.table, other.code) == ("app-role-owner", "item", "table-owner")
    assert finding.what == f"{site.app_role} owns the table, and may disable or drop the triggers that record it"
    assert finding.fix == "let the role that runs the migrations own it: ALTER TABLE public.item OWNER TO ..."
    run(site.app, "ALTER TABLE item DISABLE TRIGGER ALL", "INSERT INTO item VALUES (1)")
    assert "trigger-disabled" in site.codes()
    run(site.root, f"ALTER TABLE item OWNER TO {site.owner_role}")


@pytest.mark.parametrize(
    ("thing", "owned"),
    [
        ("TABLE item_audit", "item_audit, and may rewrite it"),
        ("TABLE audit_transaction", "audit_transaction, and may rewrite it"),
        ("FUNCTION public_item_audit()", "the function public_item_audit, and may replace it"),
        ("FUNCTION audit_refuse_rewriting()", "the function audit_refuse_rewriting, and may replace it"),
        ("SCHEMA public", "the schema public, and may drop what is in it"),
    ],
)
def test_history_functions_and_places_of_its_own(site: Site, thing: str, owned: str) -> None:
    [(before,)] = rows(site.root, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'public'")
    run(site.root, f"ALTER {thing} OWNER TO {site.app_role}")
    assert f"{site.app_role} owns {owned}" in [finding.what for finding in site.check()]
    run(site.root, f"ALTER {thing} OWNER TO {before if thing == 'SCHEMA public' else site.owner_role}")


def test_a_database_of_its_own(site: Site) -> None:
    database = site.root.url.database
    run(site.root, f'ALTER DATABASE "{database}" OWNER TO {site.app_role}')
    assert any(f"owns the database {database}" in finding.what for finding in site.check())
    run(site.root, f'ALTER DATABASE "{database}" OWNER TO {site.root.url.username}')


@pytest.mark.parametrize("grantee", ["PUBLIC", "app"])
def test_creating_where_history_is(site: Site, grantee: str) -> None:
    """What PostgreSQL before 15 allows everybody."""
    run(site.root, f"GRANT CREATE ON SCHEMA public TO {site.app_role if grantee == 'app' else grantee}")
    [finding] = site.check()
    assert finding.code == "app-role-creates"
    assert finding.fix == f"REVOKE CREATE ON SCHEMA public FROM PUBLIC, {site.app_role}"
    run(site.root, finding.fix)
    assert site.check() == ()


def test_triggers_on_what_is_audited(site: Site) -> None:
    """They run with the rights of who writes next, the owner say, who may open the guard."""
    run(site.owner, f"GRANT ALL ON item TO {site.app_role}")
    [finding] = site.check()
    assert (finding.code, finding.table) == ("app-role-writes", "item")
    assert finding.what == f"{site.app_role} may {TRIGGERS}"
    run(site.owner, finding.fix.partition(", or")[0])
    assert site.check() == ()


def test_a_view_through_which_history_can_be_written(site: Site) -> None:
    run(site.owner, "CREATE VIEW report AS SELECT * FROM item_audit", f"GRANT ALL ON report TO {site.app_role}")
    [finding] = site.check()
    assert (finding.code, finding.table) == ("app-role-writes", "item")
    assert finding.what == f"{site.app_role} may INSERT into item_audit through the view report"
    run(site.owner, finding.fix.partition(", or")[0])
    assert site.check() == ()


@pytest.mark.parametrize("always", [False, True])
@pytest.mark.parametrize("whose", ["ROLE {role} IN DATABASE {database}", "ROLE {role}", "DATABASE {database}"])
def test_sessions_that_begin_as_a_replicas(site: Site, whose: str, always: bool) -> None:
    whose = whose.format(role=site.app_role, database=site.root.url.database)
    run(site.root, f"ALTER {whose} SET session_replication_role = replica")
    metadata = site.metadata
    if always:
        metadata = MetaData()
        columns = column("id", Integer, primary_key=True), column("name", Text)
        audited_table(metadata, "item", *columns, options={"enable_always": True})
        declare_view_table(metadata)
        install_audit_triggers(metadata, site.owner)
    findings = check(metadata, site.app)
    assert [finding.code for finding in findings] == ([] if always else ["replica-setting"])
    for finding in findings:
        assert finding.fix == f"ALTER {whose} RESET session_replication_role, or set AUDIT_ENABLE_ALWAYS"
    run(site.root, f"ALTER {whose} RESET session_replication_role")
    assert check(metadata, site.app) == ()


def test_the_right_to_pass_for_a_replication(site: Site) -> None:
    [(version,)] = rows(site.root, "SELECT current_setting('server_version_num')::int")
    if version < 150_000:
        pytest.skip("no such right before PostgreSQL 15")
    run(site.root, f"GRANT SET ON PARAMETER session_replication_role TO {site.app_role}")
    run(site.app, "SET session_replication_role = replica; INSERT INTO item VALUES (1)")
    assert recorded(site.app, "item") == []
    [finding] = site.check()
    assert "may set session_replication_role" in finding.what
    run(site.root, f"REVOKE SET ON PARAMETER session_replication_role FROM {site.app_role}")
    run(site.root, f"GRANT ALTER SYSTEM ON PARAMETER session_replication_role TO {site.app_role}")
    assert site.check() == (finding,)
    run(site.root, f"GRANT SET ON PARAMETER session_replication_role TO {site.app_role}")
    # Nothing is won by it where the triggers fire always.
    always = MetaData()
    columns = column("id", Integer, primary_key=True), column("name", Text)
    audited_table(always, "item", *columns, options={"enable_always": True})
    declare_view_table(always)
    install_audit_triggers(always, site.owner)
    assert check(always, site.app, app_roles=[site.app_role]) == ()
    run(site.app, "SET session_replication_role = replica; INSERT INTO item VALUES (2)")
    assert recorded(site.app, "item", "id") == [("I", 2)]
    run(site.root, f"REVOKE ALL ON PARAMETER session_replication_role FROM {site.app_role}")


# Flask


def test_the_command_and_the_configuration(database: Database, engine: Engine) -> None:
    run(engine, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with ExitStack() as stack, role(engine, "app") as app, role(engine, "worker") as worker:
        runner = stack.enter_context(blog(database.url(), AUDIT_APP_ROLE=app)).app.test_cli_runner()
        assert (
            f"GRANT SELECT ON TABLE public.post_audit TO {app}"
            in runner.invoke(args=["audit", "install", "--sql"]).output
        )
        dry = runner.invoke(args=["audit", "install", "--dry-run", "--app-role", worker]).output
        assert f"would restrict {worker} on table post_audit" in dry
        assert runner.invoke(args=["audit", "install", "--app-role", worker]).exit_code == 0
        assert runner.invoke(args=["audit", "install", "--app-role", worker]).output == "nothing to do\n"
        for arguments in ([], ["--app-role", worker]):
            result = runner.invoke(args=["audit", "check", *arguments])
            assert result.output == "everything is recorded as declared\n"
        run(engine, f"ALTER TABLE post OWNER TO {worker}")
        assert runner.invoke(args=["audit", "check", "--ignore", "table-owner"]).exit_code == 0
        result = runner.invoke(args=["audit", "check", "--app-role", worker])
        assert result.exit_code == 1
        assert [line.partition(":")[0] for line in result.output.splitlines()] == ["table-owner", "app-role-owner"]
        absent = runner.invoke(args=["audit", "install", "--app-role", "nobody"])
        assert absent.exit_code == 1
        assert absent.output.splitlines()[-1] == (
            "Error: there is no database role 'nobody'; CREATE ROLE nobody LOGIN first, or correct the name"
        )
        empty = runner.invoke(args=["audit", "check", "--app-role", ""])
        assert empty.exit_code == 2 and "give the name of a database role" in empty.output


def test_roles_in_the_configuration() -> None:
    assert AuditConfig.of({}).app_roles == ()
    assert AuditConfig.of({"AUDIT_APP_ROLE": "app"}).app_roles == ("app",)
    assert AuditConfig.of({"AUDIT_APP_ROLE": ["app", "worker"]}).app_roles == ("app", "worker")
    for wrong in ("", 7, ["app", ""], [7]):
        with pytest.raises(AuditConfigError, match="AUDIT_APP_ROLE must be the name of a role, several, or None"):
            AuditConfig.of({"AUDIT_APP_ROLE": wrong})
