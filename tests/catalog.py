"""What a database has, object by object, as plain text: two of them can be compared, and a difference can be read."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Engine

from tests.capture import rows

#: Name of the object to what it is. Columns are listed by name, since a migration can only add them at the end.
#: When they were recorded, which the comments on those of audit tables tell, is different in every database.
Catalog = dict[str, str]

_USERS = "nspname !~ '^pg_' AND nspname <> 'information_schema'"
_OUR_CLASS = "JOIN pg_namespace n ON n.oid = relnamespace WHERE relname !~ '^alembic_version' AND " + _USERS

_QUERIES = (
    f"SELECT 'schema ' || nspname, coalesce(nspacl::text, '') FROM pg_namespace WHERE {_USERS}",
    f"""SELECT 'relation ' || c.oid::regclass, concat_ws(' | ', relkind, relpersistence, relacl, reloptions,
               pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid), obj_description(c.oid, 'pg_class'))
        FROM pg_class c {_OUR_CLASS} AND relkind IN ('r', 'p', 'v', 'm')""",
    f"""SELECT 'column ' || c.oid::regclass || '.' || attname, concat_ws(' | ', format_type(atttypid, atttypmod),
               CASE WHEN attnotnull THEN 'not null' END, pg_get_expr(adbin, adrelid), attidentity, attgenerated,
               nullif(regexp_replace(col_description(attrelid, attnum), '^flask_pg_audit absent .*', ''), ''))
        FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
        {_OUR_CLASS} AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped""",
    f"""SELECT 'index ' || indexrelid::regclass, pg_get_indexdef(indexrelid)
        FROM pg_index JOIN pg_class c ON c.oid = indrelid {_OUR_CLASS}""",
    f"""SELECT 'constraint ' || conname || ' on ' || conrelid::regclass, pg_get_constraintdef(o.oid)
        FROM pg_constraint o JOIN pg_class c ON c.oid = conrelid {_OUR_CLASS}""",
    f"""SELECT 'function ' || p.oid::regprocedure, concat_ws(' | ', pg_get_functiondef(p.oid), proacl,
               obj_description(p.oid, 'pg_proc'))
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE {_USERS}""",
    f"""SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass, concat_ws(' | ', pg_get_triggerdef(t.oid),
               tgenabled, obj_description(t.oid, 'pg_trigger'))
        FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid {_OUR_CLASS} AND NOT tgisinternal""",
    f"""SELECT 'sequence ' || c.oid::regclass, concat_ws(' | ', format_type(seqtypid, NULL), seqstart, seqincrement,
               seqmin, seqmax, seqcache, seqcycle,
               (SELECT d.refobjid::regclass || '.' || d.refobjsubid FROM pg_depend d
                WHERE d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
        FROM pg_sequence JOIN pg_class c ON c.oid = seqrelid {_OUR_CLASS}""",
    f"""SELECT 'enum ' || t.oid::regtype, string_agg(enumlabel, ', ' ORDER BY enumsortorder)
        FROM pg_enum JOIN pg_type t ON t.oid = enumtypid JOIN pg_namespace n ON n.oid = typnamespace
        WHERE {_USERS} GROUP BY t.oid""",
)


def read_catalog(engine: Engine) -> Catalog:
    """Everything in the database but Alembic's own table."""
    return {name: definition for query in _QUERIES for name, definition in rows(engine, query)}


def of_kinds(catalog: Catalog, *kinds: str) -> Catalog:
    """The ``function``, ``trigger``, ``column``... of a catalog."""
    return {name: definition for name, definition in catalog.items() if name.startswith(kinds)}


@dataclass(frozen=True)
class Recorded:
    """One row of an audit table; the values without their columns, since columns may be renamed."""

    table: str
    values: tuple[str, ...]

    @classmethod
    def of(cls, table: str, row: str) -> Recorded:
        # As JSON has it 1.5 is 1.5000.
        return cls(table, tuple(sorted(str(value) for value in json.loads(row).values() if value is not None)))


def read_history(engine: Engine) -> dict[int, Recorded]:
    """Every recorded change by its ``audit_id``, whatever table it is in."""
    tables = rows(
        engine,
        "SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE attname = 'audit_transaction_id' AND relkind = 'r' AND NOT attisdropped",
    )
    return {
        id_: Recorded.of(table, row)
        for (table,) in tables
        for id_, row in rows(engine, f"SELECT audit_id, to_jsonb(t)::text FROM {table} t")
    }
