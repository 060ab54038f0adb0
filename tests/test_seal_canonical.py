"""The bytes of a row that are hashed: the same on every server, in every session, whatever it is set to."""

from __future__ import annotations

import hashlib

import pytest
from sqlalchemy import Connection, Engine, create_engine

from flask_pg_audit.database.name import QualifiedName
from flask_pg_audit.seal.canonical import LARGE
from flask_pg_audit.seal.leaves import pack_keys, read_leaves, unpack_keys
from flask_pg_audit.seal.merkle import MerkleTree
from tests.capture import execute, rows, run
from tests.server import DatabaseServer

HOSTILE = (
    "CREATE TYPE mood AS ENUM ('sad', 'happy')",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE DOMAIN short AS varchar(9)",
    r"""
    CREATE TABLE hostile (
        id bigint PRIMARY KEY, "Name,:" text, fixed char(5), one "char", domain short, "we""ird" name,
        small real, big double precision, exact numeric, money money, flag boolean, bits varbit(9),
        at timestamptz, local timestamp, day date, hour time, hour_there timetz, span interval,
        bytes bytea, list text[], matrix int[], json json, jsonb jsonb, uuid uuid,
        place point, network inet, net cidr, mac macaddr, span_of int4range, words tsvector,
        mood mood, pair pair, kind regtype, relation regclass, many int4multirange, path jsonpath
    )
    """,
    r"""
    INSERT INTO hostile VALUES (
        1, 'a''"\,:ü€' || chr(10), 'ab', 'x', 'short', 'na"me',
        0.1, '-0', 1.500, 1234.5, true, B'101',
        '2026-03-29 01:30:00.123456+00', '-infinity', '0044-03-15 BC', '24:00', '01:02:03+05:45',
        '-1 year 2 mons -3 days 04:05:06.7',
        '\x00ff5c', ARRAY['a,b', NULL, 'NULL', '"', '{}'], '[0:1][2:3]={{1,2},{3,NULL}}',
        '{"b": 1,  "a": 1e2}', '{"b": 1.0, "a": [null]}',
        'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11',
        '(1e-7,-0)', '10.0.0.1/24', '10.0.0.0/8', '08:00:2b:01:02:03', '[1,5)', 'a:1A fat:2B',
        'happy', ROW(NULL, NULL), 'pair', 'hostile', '{[1,2),[5,7)}', '$."a"[*] ? (@ > 1)'
    )
    """,
    "INSERT INTO hostile (id, fixed) VALUES (2, NULL), (3, '')",
)

#: Of the rows of HOSTILE: the same on PostgreSQL 14 and on 18.
LEAVES = {
    1: "2d076800b038829a420d4ce12f7bdf11c57c4fc47e5b9a72d6acd12c4b535969",
    2: "b8ac8961fcf067dbdc197535025a432fd802743d1115040617af7b5c0041715b",
    3: "25b37736f2add85475793f85640c1d8bd9ed7f9c861d5195de7fda507e17ab72",
}

OTHERWISE = {
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
    "xmlbinary": "hex",
    "quote_all_identifiers": "on",
    "search_path": "public",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
}

TABLE = QualifiedName("public", "hostile")


def leaves(connection: Connection, *ids: int) -> dict[int, str]:
    found = read_leaves(connection, TABLE, ("id",), [(id_,) for id_ in ids])
    return {key[0]: leaf.hex() for key, leaf in found}


@pytest.fixture
def hostile(engine: Engine) -> Engine:
    run(engine, *HOSTILE)
    return engine


def test_the_bytes_of_hostile_values_are_what_they_always_were(hostile: Engine) -> None:
    with hostile.connect() as connection:
        assert leaves(connection, 1, 2, 3) == LEAVES


def test_whatever_the_session_is_set_to(hostile: Engine) -> None:
    with hostile.begin() as connection:
        for name, value in OTHERWISE.items():
            execute(connection, f"SET LOCAL {name} = '{value}'")
        assert leaves(connection, 1, 2, 3) == LEAVES


def test_whatever_the_order_of_the_columns(hostile: Engine) -> None:
    names = [
        name
        for (name,) in rows(
            hostile,
            "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = "
            "'hostile'::regclass AND attnum > 0 ORDER BY attname DESC",
        )
    ]
    run(hostile, f"CREATE TABLE mirrored AS SELECT {', '.join(names)}, NULL::text AS added FROM hostile")
    run(hostile, "ALTER TABLE hostile RENAME TO old", "ALTER TABLE mirrored RENAME TO hostile")
    run(hostile, "ALTER TABLE old RENAME TO hostile_")
    with hostile.connect() as connection:
        assert leaves(connection, 2, 3) == {number: LEAVES[number] for number in (2, 3)}


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_whatever_the_encoding_of_the_database(server: DatabaseServer, hostile: Engine, encoding: str) -> None:
    own = "CREATE TABLE hostile (id bigint PRIMARY KEY, \"näme\" text); INSERT INTO hostile VALUES (1, 'ü'), (2, NULL)"
    run(hostile, "DROP TABLE hostile", *own.split("; "))
    with hostile.connect() as connection:
        expected = leaves(connection, 1, 2)
    template = f"template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    with server.database(template) as database:
        # What SQL_ASCII holds is what the client sends.
        other = create_engine(database.url(), connect_args={"client_encoding": "UTF8"})
        run(other, *own.split("; "))
        with other.connect() as connection:
            assert leaves(connection, 1, 2) == expected
        other.dispose()


def test_a_leaf_can_be_computed_by_anybody(engine: Engine) -> None:
    """With what the documentation says, and nothing of ours."""
    run(engine, "CREATE TABLE hostile (id bigint PRIMARY KEY, b text, a text, c text)")
    run(
        engine,
        f"INSERT INTO hostile VALUES (1, '', 'ü'), (2, repeat('x', {LARGE}), repeat('ü', {LARGE // 2 + 1}))",
    )
    digest = hashlib.sha256("ü".encode() * (LARGE // 2 + 1)).hexdigest()
    expected = {
        1: "1:a,2:ü,1:b,0:,2:id,1:1,",
        2: f"1:a,{LARGE + 2}#{digest},1:b,{LARGE}:{'x' * LARGE},2:id,1:2,",
    }
    with engine.connect() as connection:
        assert leaves(connection, 1, 2) == {
            number: hashlib.sha256(b"\0" + row.encode()).hexdigest() for number, row in expected.items()
        }


def test_casts_are_not_asked(engine: Engine) -> None:
    """Whoever may define one would decide what is hashed."""
    run(
        engine,
        "CREATE TYPE pair AS (a int, b int)",
        "CREATE TABLE hostile (id bigint PRIMARY KEY, p pair)",
        "INSERT INTO hostile VALUES (1, (1, 2)), (2, (NULL, NULL)), (3, NULL)",
    )
    with engine.connect() as connection:
        before = leaves(connection, 1, 2, 3)
    run(
        engine,
        "CREATE FUNCTION same(pair) RETURNS text LANGUAGE sql RETURN 'same'",
        "CREATE CAST (pair AS text) WITH FUNCTION same(pair) AS IMPLICIT",
    )
    with engine.connect() as connection:
        assert leaves(connection, 1, 2, 3) == before
    assert len(set(before.values())) == 3


def test_a_wide_table(engine: Engine) -> None:
    """A function takes 100 arguments."""
    columns = ", ".join(f"c{number} text DEFAULT {number}" for number in range(1500))
    run(engine, f"CREATE TABLE hostile (id bigint PRIMARY KEY, {columns})", "INSERT INTO hostile VALUES (1)")
    with engine.connect() as connection:
        before = leaves(connection, 1)
    run(engine, "UPDATE hostile SET c1499 = 'x'")
    with engine.connect() as connection:
        assert leaves(connection, 1) != before


# Trees and keys


def root(leaves: list[bytes]) -> bytes:
    """As RFC 6962 defines it."""
    if len(leaves) < 2:
        return leaves[0] if leaves else hashlib.sha256(b"").digest()
    half = 1
    while half * 2 < len(leaves):
        half *= 2
    return hashlib.sha256(b"\1" + root(leaves[:half]) + root(leaves[half:])).digest()


def test_the_tree_is_that_of_the_rfc() -> None:
    tree, grown = MerkleTree(), list[bytes]()
    for number in range(70):
        assert tree.root == root(grown)
        grown.append(hashlib.sha256(b"\0" + bytes([number])).digest())
        tree.append(grown[-1])


@pytest.mark.parametrize(
    "keys", [[(1,)], [(1, 5), (1, 6), (2, 1)], [(-(2**63), 2**63 - 1), (2**63 - 1, -(2**63))], [(3,), (1,)]]
)
def test_keys_are_packed_and_unpacked(keys: list[tuple[int, ...]]) -> None:
    assert unpack_keys(pack_keys(keys), len(keys)) == keys
