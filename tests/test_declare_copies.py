"""Copies of a MetaData, as tenants' schemas and migrations make them, are audited like the original."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, Integer, MetaData

from flask_pg_audit import install_audit_triggers
from flask_pg_audit.declare.registry import audited_tables, transaction_table
from tests.capture import audited_table, column, rows, run


@pytest.fixture
def metadata() -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True))
    return metadata


@pytest.mark.parametrize("schema", [None, "tenant"])
def test_a_copy_keeps_what_belongs_together(metadata: MetaData, schema: Any) -> None:
    copied = MetaData()
    for table in metadata.sorted_tables:
        table.to_metadata(copied, schema=schema)
    [found] = audited_tables(copied)
    assert found.table.metadata is found.audit_table.metadata is copied
    assert found.table.schema == found.audit_table.schema == transaction_table(copied).schema == schema


@pytest.mark.parametrize("schema", [None, "tenant"])
@pytest.mark.parametrize("whole", [True, False], ids=["every table", "the source only"])
def test_a_copy_records(engine: Engine, metadata: MetaData, whole: bool, schema: Any) -> None:
    run(engine, "CREATE SCHEMA tenant")
    copied = MetaData()
    for table in metadata.sorted_tables if whole else [metadata.tables["person"]]:
        table.to_metadata(copied, schema=schema)
    copied.create_all(engine)
    install_audit_triggers(copied, engine)
    name = f"{schema or 'public'}.person"
    run(engine, f"INSERT INTO {name} VALUES (1)")
    assert rows(engine, f"SELECT audit_operation, id FROM {name}_audit") == [("I", 1)]
    assert install_audit_triggers(copied, engine).actions == ()


def test_one_metadata_may_hold_several_tenants(engine: Engine, metadata: MetaData) -> None:
    copied = MetaData()
    for tenant in ("a", "b"):
        run(engine, f"CREATE SCHEMA {tenant}")
        metadata.tables["person"].to_metadata(copied, schema=tenant)
    copied.create_all(engine)
    install_audit_triggers(copied, engine)
    run(engine, "INSERT INTO a.person VALUES (1)", "INSERT INTO b.person VALUES (2), (3)")
    assert rows(engine, "SELECT (SELECT count(*) FROM a.person_audit), (SELECT count(*) FROM b.person_audit)") == [
        (1, 2)
    ]
