"""Whoever may do anything in the database falsifies history or its seals: it is found, and said where."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import IntegrityError

from flask_pg_audit import AuditConfigError, AuditSealError
from flask_pg_audit.database.name import QualifiedName
from flask_pg_audit.seal import SealKey, read_key, read_leaf, seal, verify_seals
from flask_pg_audit.seal.record import canonical_json
from tests.capture import execute, install, rows, run
from tests.sealing import found, open_shop, sealed, shop
from tests.tamper import tamper

FIRST, SECOND = read_key("x" * 32, "test"), read_key(b"y" * 32, "test")


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    """Two seals."""
    metadata = shop()
    install(engine, metadata)
    open_shop(engine)
    sealed(metadata, engine)
    run(engine, "UPDATE item SET price = 2 WHERE id = 1")
    sealed(metadata, engine)
    return metadata


PEN = "item_audit (audit_transaction_id=1, audit_id=1)"

SINGLE = {
    "UPDATE item_audit SET name = 'forged' WHERE audit_id = 1": [f"row-changed: {PEN} of id=1, seal 1"],
    "UPDATE item_audit SET name = NULL WHERE audit_id = 1": [f"row-changed: {PEN} of id=1, seal 1"],
    "UPDATE item_audit SET price = 1.5 WHERE audit_id = 1": [f"row-changed: {PEN} of id=1, seal 1"],
    "UPDATE item_audit SET audit_operation = 'S' WHERE audit_id = 1": [f"row-changed: {PEN} of id=1, seal 1"],
    "UPDATE item_audit SET data = '[1 ]' WHERE audit_id = 1": [f"row-changed: {PEN} of id=1, seal 1"],
    "DELETE FROM item_audit WHERE audit_id = 1": [f"row-missing: {PEN}, seal 1"],
    "INSERT INTO item_audit SELECT 1, 99, audit_operation, audit_operation_timestamp, audit_current_user, 7 "
    "FROM item_audit WHERE audit_id = 1": [
        "row-inserted: item_audit (audit_transaction_id=1, audit_id=99) of id=7, seal 1"
    ],
    "UPDATE item_audit SET audit_id = 98 WHERE audit_id = 1": [
        f"row-missing: {PEN}, seal 1",
        "row-inserted: item_audit (audit_transaction_id=1, audit_id=98) of id=1, seal 1",
    ],
    "UPDATE item_audit SET audit_transaction_id = 3 WHERE audit_id = 1": [
        f"row-missing: {PEN}, seal 1",
        "row-inserted: item_audit (audit_transaction_id=3, audit_id=1) of id=1, seal 2",
    ],
    "UPDATE item_audit AS a SET id = b.id, name = b.name, price = b.price, data = b.data FROM item_audit AS b "
    "WHERE (a.audit_id, b.audit_id) IN ((1, 2), (2, 1))": [
        f"row-changed: {PEN} of id=2, seal 1",
        "row-changed: item_audit (audit_transaction_id=1, audit_id=2) of id=1, seal 1",
    ],
    "WITH moved AS (DELETE FROM place_audit RETURNING *) INSERT INTO item_audit SELECT * FROM moved": [
        "row-missing: place_audit (audit_transaction_id=1, audit_id=3), seal 1",
        "row-inserted: item_audit (audit_transaction_id=1, audit_id=3) of id=1, seal 1",
    ],
    "UPDATE audit_transaction SET username = 'somebody else' WHERE id = 2": [
        "row-changed: audit_transaction (id=2), seal 1"
    ],
    "DELETE FROM audit_view": ["row-missing: audit_view (id=1), seal 1"],
    "TRUNCATE place_audit": ["row-missing: place_audit (audit_transaction_id=1, audit_id=3), seal 1"],
    "ALTER TABLE item_audit RENAME TO t; ALTER TABLE place_audit RENAME TO item_audit; "
    "ALTER TABLE t RENAME TO place_audit": [
        *["column-missing"] * 2,
        *["row-missing"] * 5,
        *["row-inserted"] * 5,
    ],
    "UPDATE audit_seal SET sealed_at = sealed_at + interval '1 microsecond' WHERE id = 1": [
        "seal-changed: seal 1: its content does not fit its hash"
    ],
    "UPDATE audit_seal SET tables = '[]' WHERE id = 2": ["seal-changed: seal 2: its content does not fit its hash"],
    "UPDATE audit_seal SET tables = '[{}]' WHERE id = 2": ["seal-changed: seal 2: what is stored is no seal"],
    "UPDATE audit_seal SET hash = '\\x00' WHERE id = 1": [
        "seal-changed: seal 1: its content does not fit its hash",
        "seal-changed: seal 2: it does not continue seal 1",
    ],
    "DELETE FROM audit_seal WHERE id = 1": ["seal-missing: seal 1: it was deleted"],
    "UPDATE audit_seal SET id = 7 WHERE id = 2": [
        "seal-missing: seal 2: it was deleted",
        "seal-missing: seal 6: it was deleted",
        "seal-changed: seal 7: its content does not fit its hash",
        "leaves-changed: audit_transaction, seal 7",
        "leaves-changed: item_audit, seal 7",
    ],
    "DELETE FROM audit_seal_leaves WHERE place = 3 AND seal_id = 1": ["leaves-changed: item_audit, seal 1"],
    "UPDATE audit_seal_leaves SET leaves = leaves || leaves WHERE place = 3 AND seal_id = 1": [
        "leaves-changed: item_audit, seal 1"
    ],
    "UPDATE audit_seal_leaves SET ids = '\\x00' WHERE place = 3 AND seal_id = 1": [
        "leaves-changed: item_audit, seal 1"
    ],
    "UPDATE audit_seal_leaves SET leaves = set_byte(leaves, 5, 255 - get_byte(leaves, 5)) "
    "WHERE place = 3 AND seal_id = 1": ["leaves-changed: item_audit, seal 1"],
}


@pytest.mark.parametrize("statement", SINGLE)
def test_what_was_done_is_found_and_named(engine: Engine, metadata: MetaData, statement: str) -> None:
    assert found(metadata, engine) == []
    tamper(engine, *statement.split("; "))
    lines, expected = found(metadata, engine), SINGLE[statement]
    kinds_only = [line.partition(":")[0] for line in lines]
    assert expected in (lines, kinds_only)


def test_changed_leaves_hide_no_changed_row(engine: Engine, metadata: MetaData) -> None:
    """Which row it is they can hide, if they are forged to fit; not that there is one."""
    tamper(engine, "UPDATE item_audit SET name = 'forged' WHERE audit_id = 1")
    with engine.connect() as connection:
        forged = read_leaf(connection, QualifiedName("public", "item_audit"), 1, 1)
    assert forged is not None
    overlay = f"overlay(leaves PLACING '\\x{forged.hex()}' FROM 1)"
    tamper(engine, f"UPDATE audit_seal_leaves SET leaves = {overlay} WHERE place = 3 AND seal_id = 1")
    assert found(metadata, engine) == ["rows-differ: item_audit, seal 1"]


def test_rows_of_a_seal_that_is_missing_are_not_taken_for_inserted_ones(engine: Engine, metadata: MetaData) -> None:
    run(engine, "UPDATE item SET price = 3 WHERE id = 1")
    sealed(metadata, engine)
    tamper(engine, "DELETE FROM audit_seal WHERE id = 2")
    assert found(metadata, engine) == ["seal-missing: seal 2: it was deleted"]
    tamper(engine, "DELETE FROM audit_seal WHERE id = 1")
    assert found(metadata, engine) == ["seal-missing: seal 1: it was deleted", "seal-missing: seal 2: it was deleted"]


# The copies


def test_seals_that_are_cut_off_are_missed_by_their_copies(engine: Engine, metadata: MetaData) -> None:
    copies = [sealed(metadata, engine, heartbeat=True)]
    tamper(engine, "DELETE FROM audit_seal WHERE id > 1")
    assert found(metadata, engine) == [], "nobody can tell without the copies"
    assert found(metadata, engine, copies=copies) == [
        "seal-missing: seal 2: it was deleted",
        "seal-missing: seal 3: it was deleted; there is a copy of it",
    ]
    with pytest.raises(AuditSealError, match=r"duplicate key .*; seals are missing: run flask audit verify --seals"):
        seal(metadata, engine)


def test_a_chain_that_was_made_anew_differs_from_its_copies(engine: Engine, metadata: MetaData) -> None:
    tamper(engine, "TRUNCATE audit_seal, audit_seal_leaves")
    copies = [sealed(metadata, engine)]
    tamper(
        engine,
        "UPDATE item_audit SET name = 'forged' WHERE audit_id = 1",
        "TRUNCATE audit_seal, audit_seal_leaves",
    )
    sealed(metadata, engine)
    assert found(metadata, engine) == []
    assert found(metadata, engine, copies=copies) == [
        "seal-changed: seal 1: its copy has another sealed_at",
        "rows-differ: item_audit, seal 1",
    ]
    tamper(engine, "TRUNCATE audit_seal")
    assert found(metadata, engine, copies=copies)[0] == "seal-missing: seal 1: it was deleted; there is a copy of it"


# The keys


def pem(private: Any) -> bytes:
    return bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def public_pem(private: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))


def ed25519() -> tuple[SealKey, SealKey]:
    private = Ed25519PrivateKey.generate()
    return read_key(pem(private), "test"), read_key(public_pem(private).decode(), "test")


@pytest.mark.parametrize("pair", [lambda: (FIRST, FIRST), ed25519], ids=["hmac", "ed25519"])
def test_a_seal_that_is_signed_cannot_be_made_without_the_key(engine: Engine, metadata: MetaData, pair: Any) -> None:
    private, public = pair()
    made = sealed(metadata, engine, key=private, heartbeat=True)
    assert (made.key_id, found(metadata, engine, keys=[public])) == (private.id, [])
    wrong = [f"signature-missing: seal {n}" for n in (1, 2)] + [f"signature-wrong: seal 3: it names {private.id}"]
    forged = replace(made, tables=made.tables[1:])
    forged_hash = forged.digest().hex()
    tables = canonical_json([table.content() for table in forged.tables]).decode()
    tamper(engine, f"UPDATE audit_seal SET tables = '{tables}', hash = '\\x{forged_hash}' WHERE id = 3")
    assert found(metadata, engine, keys=[public]) == wrong
    tamper(engine, "UPDATE audit_seal SET signature = NULL WHERE id = 3")
    assert found(metadata, engine, keys=[public]) == wrong
    tamper(engine, "UPDATE audit_seal SET signature = '\\x00' WHERE id = 3")
    assert found(metadata, engine, keys=[public]) == wrong
    unsigned = replace(forged, key_id=None).digest().hex()
    tamper(engine, f"UPDATE audit_seal SET key_id = NULL, signature = NULL, hash = '\\x{unsigned}' WHERE id = 3")
    assert found(metadata, engine, keys=[public]) == [f"signature-missing: seal {n}" for n in (1, 2, 3)]


def test_keys_are_changed_and_the_old_ones_still_verify(engine: Engine, metadata: MetaData) -> None:
    private, public = ed25519()
    for key in (FIRST, SECOND, private):
        sealed(metadata, engine, key=key, heartbeat=True)
    assert found(metadata, engine, keys=[FIRST, SECOND, public]) == [], "the unsigned ones before are vouched for"
    assert found(metadata, engine, keys=[SECOND, public]) == [f"key-unknown: seal 3: it names {FIRST.id}"]
    assert len(found(metadata, engine)) == 3, "a signature that nobody checks proves nothing"
    sealed(metadata, engine, heartbeat=True)
    assert found(metadata, engine, keys=[FIRST, SECOND, public]) == ["signature-missing: seal 6"]


def test_keys_that_are_none() -> None:
    private = Ed25519PrivateKey.generate()
    with pytest.raises(AuditConfigError, match=r"ed25519:\w+ is a public one: it verifies, and signs nothing"):
        read_key(public_pem(private), "test").sign(b"")
    with pytest.raises(AuditConfigError, match="test: a secret needs 32 bytes at least, and this has 5"):
        read_key("short", "test")
    with pytest.raises(AuditConfigError, match="test: only Ed25519 keys sign seals"):
        read_key(pem(X25519PrivateKey.generate()), "test")
    with pytest.raises(AuditConfigError, match="test: this PEM file cannot be read"):
        read_key("-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----", "test")
    assert "x" * 32 not in repr(FIRST)
    assert FIRST.id != SECOND.id and FIRST.id.startswith("hmac-sha256:")


# Redactions, which are recorded elsewhere


def test_a_redacted_row_is_no_finding_while_it_is_as_it_was_left(engine: Engine, metadata: MetaData) -> None:
    table = QualifiedName("public", "item_audit")
    leaves = []
    for value in ("'pen'", "'[1]'", "NULL"):
        tamper(engine, f"UPDATE item_audit SET name = {value} WHERE audit_id = 1")
        with engine.connect() as connection:
            leaf = read_leaf(connection, table, 1, 1)
        assert leaf is not None
        leaves.append(leaf)
    redactions: dict[Any, list[Any]] = {("item_audit", (1, 1)): [(leaves[1], leaves[2]), (leaves[0], leaves[1])]}
    verified = verify_seals(metadata, engine, redactions=redactions)
    assert (verified.counts, verified.redacted) == ({}, 1)
    changed = [f"row-changed: {PEN} of id=1, seal 1"]
    assert found(metadata, engine) == changed
    assert found(metadata, engine, redactions={("item_audit", (1, 1)): [(leaves[1], leaves[2])]}) == changed
    tamper(engine, "UPDATE item_audit SET name = 'forged' WHERE audit_id = 1")
    assert found(metadata, engine, redactions=redactions) == changed


def test_asking_for_a_leaf_leaves_the_transaction_as_it_was(engine: Engine, metadata: MetaData) -> None:
    table = QualifiedName("public", "item_audit")
    with engine.begin() as connection:
        execute(connection, "SET LOCAL TimeZone = 'Asia/Kathmandu'")
        assert read_leaf(connection, table, 1, 1) is not None
        assert read_leaf(connection, table, 1, 77) is None
        assert execute(connection, "SHOW TimeZone").scalar() == "Asia/Kathmandu"
        assert execute(connection, "SHOW search_path").scalar() != ""


# Anything at all


VALUES = {
    "name": st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    "price": st.none() | st.just("NaN") | st.decimals(allow_nan=False, allow_infinity=False, places=2),
    "audit_operation": st.sampled_from("IUDTS"),
    "audit_current_user": st.text("abc'", max_size=4),
    "audit_operation_timestamp": st.datetimes().map(str),
    "audit_id": st.integers(-9, 9),
    "audit_transaction_id": st.integers(-9, 3),
}


@settings(
    max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink]
)
@given(data=st.data())
def test_every_change_of_every_row_is_found(engine: Engine, metadata: MetaData, data: st.DataObject) -> None:
    """And none is where nothing was changed: a value may be replaced by itself."""
    everything = "SELECT audit_transaction_id, audit_id, i::text FROM item_audit AS i ORDER BY 1, 2"
    column = data.draw(st.sampled_from(sorted(VALUES)))
    value = data.draw(VALUES[column])
    number = data.draw(st.integers(1, 4))
    literal = "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
    before = rows(engine, everything)
    run(engine, "DROP TABLE IF EXISTS kept", "CREATE TABLE kept AS SELECT * FROM item_audit")
    try:
        update = f"UPDATE item_audit SET {column} = {literal} WHERE audit_id = {number}"
        with suppress(IntegrityError):  # there is a row of that number
            tamper(engine, update)
        differs = rows(engine, everything) != before
        assert bool(found(metadata, engine)) == differs
    finally:
        tamper(engine, "DELETE FROM item_audit", "INSERT INTO item_audit SELECT * FROM kept")
    assert found(metadata, engine) == []
