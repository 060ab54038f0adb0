"""Roles: a plain owner installs, a clerk writes, and nobody else's functions are taken for ours or the other way."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import install_audit_triggers, uninstall_audit_triggers
from tests.capture import audited_table, column, install, recorded, role, rows, run


def item(**options: object) -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), options=options)
    return metadata


@pytest.mark.superuser
@pytest.mark.parametrize("level", ["statement", "row"])
def test_a_plain_owner_installs_and_a_clerk_writes(engine: Engine, level: str) -> None:
    with role(engine, "owner", "GRANT CREATE ON SCHEMA public TO {role}") as owner, role(engine, "clerk") as clerk:
        owners = create_engine(engine.url.set(username=owner))
        install(owners, item(level=level))
        run(owners, f"GRANT ALL ON item TO {clerk}")
        owners.dispose()
        clerks = create_engine(engine.url.set(username=clerk))
        run(
            clerks,
            "INSERT INTO item VALUES (1, 'a')",
            "UPDATE item SET name = 'b'",
            "UPDATE item SET id = 2",
            "DELETE FROM item",
            "TRUNCATE item",
        )
        clerks.dispose()
        changes = recorded(engine, "item", "audit_current_user")
        assert sorted(changes) == sorted((operation, clerk) for operation in "IUDIDT")


@pytest.mark.superuser
def test_nobody_hangs_our_function_on_a_table_of_his_own_to_forge_history(engine: Engine) -> None:
    """Cure: the right to call the functions is taken from everybody."""
    install(engine, item())
    with role(engine, "mallory", "GRANT CREATE ON SCHEMA public TO {role}") as mallory:
        forgers = create_engine(engine.url.set(username=mallory))
        run(forgers, "CREATE TABLE fake (id int, name text)")
        with pytest.raises(DBAPIError, match="permission denied for function public_item_audit"):
            run(
                forgers,
                "CREATE TRIGGER forge AFTER INSERT ON fake REFERENCING NEW TABLE AS new_rows "
                "FOR EACH STATEMENT EXECUTE FUNCTION public_item_audit()",
            )
        forgers.dispose()


@pytest.mark.parametrize("name", ["public_item_audit", "audit_refuse_change", "audit_begin_transaction"])
def test_a_users_function_of_the_same_name_with_other_arguments_is_left_alone(engine: Engine, name: str) -> None:
    run(engine, f"CREATE FUNCTION {name}(n int) RETURNS int LANGUAGE sql AS 'SELECT n'")
    install(engine, item())
    assert install_audit_triggers(item(), engine).actions == ()
    assert len(uninstall_audit_triggers(item(), engine).actions) == 16
    assert rows(engine, f"SELECT {name}(5)") == [(5,)]


@pytest.mark.parametrize("level", ["statement", "row"])
def test_a_users_trigger_that_mentions_this_package_is_left_alone(engine: Engine, level: str) -> None:
    """Only the header that we write, or our comment, makes a function ours; it would be dropped as an old one."""
    install(engine, item(level=level))
    run(
        engine,
        "CREATE FUNCTION notify() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN /* the rest is done by flask_pg_audit */ RETURN NULL; END'",
        "CREATE TRIGGER zz AFTER INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION notify()",
        "CREATE TABLE other (id int)",
        "CREATE TRIGGER zz AFTER INSERT ON other FOR EACH STATEMENT EXECUTE FUNCTION notify()",
    )
    assert install_audit_triggers(item(level=level), engine, prune=True).actions == ()
    assert rows(engine, "SELECT count(*) FROM pg_trigger WHERE tgname = 'zz'") == [(2,)]
