"""``seal`` and ``verify_seals``: what is settled is sealed once, and whatever is done to it afterwards is found."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Engine, Integer, MetaData, Numeric, Text, create_engine
from sqlalchemy.dialects.postgresql import JSON, JSONB

from flask_pg_audit import AuditConfigError, AuditError, AuditInstallError, AuditSealError, install_audit_triggers
from flask_pg_audit.database.name import QualifiedName
from flask_pg_audit.declare.registry import declare_view_table
from flask_pg_audit.seal import Seal, SealFinding, VerifiedSeals, read_leaf, seal, verify_seals
from tests.capture import audited_table, execute, install, rows, run
from tests.server import Database
from tests.tamper import tamper


def shop(*columns: Column[Any], **options: Any) -> MetaData:
    metadata = MetaData()
    key = Column("id", Integer, primary_key=True)
    own = columns or (Column("name", Text), Column("price", Numeric), Column("data", JSON))
    audited_table(metadata, "item", key, *own, options=options)
    audited_table(metadata, "place", Column("id", Integer, primary_key=True), Column("name", Text))
    declare_view_table(metadata)
    return metadata


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    """Two items and a place, in two transactions; and somebody read the log."""
    metadata = shop()
    install(engine, metadata)
    run(
        engine,
        """INSERT INTO item VALUES (1, 'pen', 1.50, '{"a": 1}'), (2, NULL, NULL, NULL); INSERT INTO place VALUES (1, 'x')""",
        "UPDATE item SET name = 'ink' WHERE id = 1",
        "INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')",
    )
    return metadata


def sealed(metadata: MetaData, engine: Engine, **options: Any) -> Seal:
    made = seal(metadata, engine, **options)
    assert made is not None
    return made


def found(metadata: MetaData, engine: Engine, **options: Any) -> list[str]:
    """Every finding as a line."""
    verified = verify_seals(metadata, engine, **options)
    assert sum(verified.counts.values()) == len(verified.findings)
    return list(map(str, verified.findings))


def covered(made: Seal) -> dict[str, tuple[int | None, int, int]]:
    return {table.name: (table.after, table.until, table.count) for table in made.tables}


def test_what_is_settled_is_sealed_once(engine: Engine, metadata: MetaData) -> None:
    first = sealed(metadata, engine)
    assert (first.id, first.previous, first.key_id, first.signature) == (1, None, None, None)
    assert covered(first) == {
        "audit_transaction": (None, 2, 2),
        "audit_view": (None, 1, 1),
        "item_audit": (None, 2, 3),
        "place_audit": (None, 2, 1),
    }
    assert seal(metadata, engine) is None, "nothing is new"
    run(engine, "DELETE FROM item WHERE id = 2")
    second = sealed(metadata, engine)
    assert (second.id, second.previous) == (2, first.hash)
    assert covered(second)["item_audit"] == (2, 3, 1)
    assert covered(second)["audit_view"] == (1, 1, 0)
    assert verify_seals(metadata, engine) == VerifiedSeals(2, 9, {}, ())


def test_a_heartbeat_says_that_there_was_nothing(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    second = sealed(metadata, engine, heartbeat=True)
    assert (second.id, second.rows) == (2, 0)
    assert found(metadata, engine) == []


def test_nothing_was_recorded_yet(engine: Engine) -> None:
    metadata = shop()
    install(engine, metadata)
    assert seal(metadata, engine) is None
    with pytest.raises(AuditSealError, match="nothing is sealed yet; run flask audit seal"):
        verify_seals(metadata, engine)
    assert sealed(metadata, engine, heartbeat=True).rows == 0
    run(engine, "INSERT INTO place VALUES (1)")
    assert sealed(metadata, engine).rows == 2
    assert found(metadata, engine) == []
