"""Alembic: what autogenerate writes down, and that auditing works on what its revisions build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.operations.ops import UpgradeOps
from sqlalchemy import Column, Engine, Enum, ForeignKey, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from flask_pg_audit import audited, enable, install_audit_triggers, set_session_vars
from tests.capture import execute, recorded, rows, run

enable()


def shop(*columns: Column[str]) -> MetaData:
    metadata = MetaData(naming_convention={"pk": "pk_%(table_name)s", "ix": "ix_%(column_0_label)s"})
    settings = [Column("username", String, nullable=False), Column("app", UUID)]
    Table("owner", metadata, Column("id", Integer, primary_key=True), info={"mine": 1})
    Table(
        "item",
        metadata,
        Column("id", Integer, primary_key=True),
        Column("name", String(20), nullable=False, index=True, comment="what it's called"),
        Column("secret", Text),
        Column("state", Enum("new", "old", name="state")),
        Column("data", JSONB),
        Column("owner_id", ForeignKey("owner.id")),
        *columns,
        info=audited(exclude=["secret"], session_settings=settings),
    )
    Table("keyless", metadata, Column("a", Text), info={"mine": 2, **audited(level="row")})
    return metadata


def autogenerate(engine: Engine, metadata: MetaData, batch: bool = False) -> tuple[str, list[Any]]:
    """The body of ``upgrade()``, and what differs; index and type comparison included."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        script = produce_migrations(context, metadata)
        assert isinstance(script.upgrade_ops, UpgradeOps)
        code = render_python_code(script.upgrade_ops, migration_context=context, render_as_batch=batch)
        return code, compare_metadata(context, metadata)


def upgrade(engine: Engine, code: str) -> None:
    """Run the revision as Alembic would."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql

    with engine.begin() as connection:
        names = {"op": Operations(MigrationContext.configure(connection)), "sa": sa, "postgresql": postgresql}
        exec(compile(f"def upgrade():\n    {code}", "revision.py", "exec"), names)
        names["upgrade"]()  # type: ignore[operator]


def test_a_revision_is_python_and_carries_no_audit_options(engine: Engine) -> None:
    code, _ = autogenerate(engine, shop())
    assert "audit.options" not in code
    assert "audit.is_" not in code
    assert "audit.target_table" not in code
    compile(f"def upgrade():\n    {code}", "revision.py", "exec")
    for name in ("item", "item_audit", "keyless", "keyless_audit", "audit_transaction", "owner"):
        assert f"op.create_table('{name}'" in code


def test_the_users_own_info_stays_in_the_revision(engine: Engine) -> None:
    code, _ = autogenerate(engine, shop())
    assert "info={'mine': 1}" in code
    assert "info={'mine': 2}" in code


def test_rendering_a_revision_leaves_the_models_as_they_were(engine: Engine) -> None:
    metadata = shop()
    before = {name: dict(table.info) for name, table in metadata.tables.items()}
    autogenerate(engine, metadata)
    assert {name: dict(table.info) for name, table in metadata.tables.items()} == before


def test_what_a_revision_builds_is_what_create_all_builds_and_records(engine: Engine) -> None:
    metadata = shop()
    code, _ = autogenerate(engine, metadata)
    upgrade(engine, code)
    install_audit_triggers(metadata, engine)
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item (id, name, secret, state) VALUES (1, 'a', 'x', 'new')")
        execute(connection, "UPDATE item SET secret = 'y'")
        execute(connection, "UPDATE item SET name = 'b'")
        execute(connection, "INSERT INTO keyless VALUES ('k')")
    assert recorded(engine, "item", "audit_username", "name", "state") == [
        ("I", "alice", "a", "new"),
        ("U", "alice", "b", "new"),
    ]
    assert recorded(engine, "keyless", "a") == [("I", "k")]


def test_the_second_revision_is_empty(engine: Engine) -> None:
    metadata = shop()
    code, _ = autogenerate(engine, metadata)
    upgrade(engine, code)
    assert autogenerate(engine, metadata)[1] == []
    install_audit_triggers(metadata, engine)
    assert autogenerate(engine, metadata)[1] == []


@pytest.mark.parametrize("created", [True, False], ids=["create_all", "install creates"])
def test_what_an_installation_makes_is_no_difference_to_alembic(engine: Engine, created: bool) -> None:
    metadata = shop()
    if created:
        metadata.create_all(engine)
    else:
        metadata.create_all(engine, tables=[metadata.tables[name] for name in ("owner", "item", "keyless")])
    install_audit_triggers(metadata, engine)
    assert autogenerate(engine, metadata)[1] == []


def test_a_new_column_comes_to_both_tables_in_one_revision(engine: Engine) -> None:
    code, _ = autogenerate(engine, shop())
    upgrade(engine, code)
    install_audit_triggers(shop(), engine)
    grown = shop(Column("colour", String(9), nullable=False, server_default="red"))
    code, differences = autogenerate(engine, grown)
    assert [difference[0] for difference in differences] == ["add_column", "add_column", "audit_ddl", "audit_ddl"]
    upgrade(engine, code)
    install_audit_triggers(grown, engine)
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item (id, name) VALUES (1, 'a')")
    assert recorded(engine, "item", "colour") == [("I", "red")]
    assert autogenerate(engine, grown)[1] == []


@pytest.mark.parametrize("batch", [False, True], ids=["plain", "as Flask-Migrate writes it"])
def test_a_column_whose_history_a_downgrade_left_comes_back(engine: Engine, batch: bool) -> None:
    metadata = shop()
    metadata.create_all(engine)
    install_audit_triggers(metadata, engine)
    grown = shop(Column("colour", String(9)))
    code, _ = autogenerate(engine, grown, batch)
    upgrade(engine, code)
    run(engine, "ALTER TABLE item DROP COLUMN colour")
    upgrade(engine, code)
    assert install_audit_triggers(grown, engine).actions == ()


def test_a_wider_type_comes_to_both_tables_in_one_revision(engine: Engine) -> None:
    code, _ = autogenerate(engine, shop(Column("colour", String(3))))
    upgrade(engine, code)
    wider = shop(Column("colour", String(30)))
    install_audit_triggers(wider, engine)
    code, _ = autogenerate(engine, wider)
    upgrade(engine, code)
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item (id, name, colour) VALUES (1, 'a', 'ultramarine')")
    assert recorded(engine, "item", "colour") == [("I", "ultramarine")]
    assert install_audit_triggers(wider, engine).actions == ()


ENV = """
from alembic import context
from tests.test_alembic import shop

target_metadata = shop()
with context.config.attributes["engine"].connect() as connection:
    context.configure(connection=connection, target_metadata=target_metadata)
    with context.begin_transaction():
        context.run_migrations()
"""


@pytest.fixture
def environment(tmp_path: Path, engine: Engine) -> Iterator[Config]:
    """A migrations folder as ``alembic init`` leaves it, with our models in ``env.py``."""
    config = Config()
    config.set_main_option("script_location", str(tmp_path / "migrations"))
    config.set_main_option("path_separator", "os")
    config.config_file_name = str(tmp_path / "alembic.ini")
    command.init(config, str(tmp_path / "migrations"))
    (tmp_path / "migrations" / "env.py").write_text(ENV)
    config.config_file_name = None
    config.attributes["engine"] = engine
    yield config


def test_revision_upgrade_install_downgrade(environment: Config, engine: Engine) -> None:
    command.revision(environment, "initial", autogenerate=True)
    command.upgrade(environment, "head")
    command.check(environment)
    install_audit_triggers(shop(), engine)
    command.check(environment)
    run(engine, "INSERT INTO keyless VALUES ('k')")
    assert recorded(engine, "keyless", "a") == [("I", "k")]
    command.downgrade(environment, "base")
    # History stays.
    assert rows(engine, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1") == [
        ("alembic_version",),
        ("audit_maintenance",),
        ("audit_redaction",),
        ("audit_seal",),
        ("audit_seal_leaves",),
        ("audit_transaction",),
        ("item_audit",),
        ("keyless_audit",),
    ]
    assert rows(engine, "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%'") == [(0,)]
