"""Planning the tables that hold history: created, moved along with their table, widened; never dropped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Index, MetaData, Table
from sqlalchemy.dialects.postgresql import CreateEnumType
from sqlalchemy.dialects.postgresql.named_types import ENUM
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement, SetColumnComment, SetTableComment
from sqlalchemy.types import TypeEngine

from ..declare.columns import SETTING_KEY
from ..declare.naming import MAX_IDENTIFIER_BYTES
from .action import Action, lock_sql
from .adoption import is_classic
from .column_mark import plan_marks, plan_mask_marks
from .column_type import declared_type, holds, widens_in_place
from .declared import Declared, DeclaredTable
from .installed import Installed, InstalledRelation
from .name import QualifiedName
from .render import DIALECT, dollar_quoted, ident, literal, qualified, render


def plan_audit_table(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Action]:
    """The steps for the audit table of one audited table."""
    name = table.trigger.audit_table
    existing = installed.relations.get(name)
    former = find_former(table, declared, installed)
    if former is not None:
        yield _plan_move(table, former, installed.relations[former])
        existing = installed.relations[former]
    yield from plan_history(table.audited.audit_table, name, existing, table.name, installed)
    if existing is not None:
        yield from plan_marks(table, existing)
        yield from _plan_widening(table, existing, installed)
    yield from plan_mask_marks(table, existing)


def find_former(table: DeclaredTable, declared: Declared, installed: Installed) -> QualifiedName | None:
    """The audit table that holds this table's history under an earlier name or in an earlier schema.

    When the audited table is renamed its triggers go along, and still name the old audit table. Only where ours
    does not exist yet, and only by functions in our own schema, or called by triggers that are about to be replaced
    by ours, since AUDIT_SCHEMA changed as well: auditing by somebody else is left alone.
    """
    if table.trigger.audit_table in installed.relations:
        return None
    candidates = {
        audit_table
        for function, audit_table in installed.histories_of(table.name)
        if (
            function.schema == declared.infrastructure.schema
            or (function, audit_table) in histories_taken_over(table, installed)
        )
        and audit_table in installed.relations
        and audit_table not in declared.audit_tables
    }
    return candidates.pop() if len(candidates) == 1 else None


def histories_taken_over(table: DeclaredTable, installed: Installed) -> frozenset[tuple[QualifiedName, QualifiedName]]:
    """Where triggers record that carry the names of ours, which therefore replace them."""
    return installed.histories_of(table.name, dict(table.trigger.trigger_names).values())


def _plan_move(table: DeclaredTable, former: QualifiedName, relation: InstalledRelation) -> Action:
    """Rename the audit table and move it to its schema; its indexes are renamed with it."""
    name = table.trigger.audit_table
    steps = list(_relocate(former, name))
    for old, new in _renamed_indexes(table.audited.audit_table, name, relation):
        steps.append((_rename_index(name.schema, old, new), _rename_index(name.schema, new, old)))
    comment = table.audited.audit_table.comment
    if comment != relation.comment:
        steps.append((_comment_sql(name, comment), _comment_sql(name, relation.comment)))
    return Action(
        "audit-table-elsewhere",
        "rename" if former.schema == name.schema else "move",
        f"table {former.display} to {name.display}",
        f"the history of {table.name.display}",
        # Else a writer that is on its way to the old name would not find it.
        (*lock_sql({table.name}, "ACCESS EXCLUSIVE"), *(do for do, _ in steps)),
        table.name,
        (*lock_sql({table.name}, "ACCESS EXCLUSIVE"), *(undo for _, undo in reversed(steps))),
        (former, name),
    )


def _comment_sql(name: QualifiedName, comment: str | None) -> str:
    return f"COMMENT ON TABLE {qualified(name)} IS {'NULL' if comment is None else literal(comment)}"


def _relocate(old: QualifiedName, new: QualifiedName) -> Iterator[tuple[str, str]]:
    """Statements that bring ``old`` to ``new``, each with its inverse."""
    if old.schema != new.schema:
        moved = QualifiedName(new.schema, old.name)
        yield set_schema_sql("TABLE", old, new.schema), set_schema_sql("TABLE", moved, old.schema)
        old = moved
    if old.name != new.name:
        yield _rename_table(old, new.name), _rename_table(new, old.name)


def set_schema_sql(kind: str, name: QualifiedName, schema: str) -> str:
    return f"ALTER {kind} {qualified(name)} SET SCHEMA {ident(schema)}"


def _rename_table(name: QualifiedName, to: str) -> str:
    return f"ALTER TABLE {qualified(name)} RENAME TO {ident(to)}"


def _rename_index(schema: str, name: str, to: str) -> str:
    return f"ALTER INDEX {qualified(QualifiedName(schema, name))} RENAME TO {ident(to)}"


def _renamed_indexes(table: Table, name: QualifiedName, relation: InstalledRelation) -> Iterator[tuple[str, str]]:
    by_columns = {index_columns(index): index.name for index in table.indexes}
    for found in relation.indexes:
        wanted = primary_key_name(table, name) if found.primary else by_columns.get(found.columns)
        if wanted is not None and wanted != found.name:
            yield found.name, wanted


def primary_key_name(table: Table, name: QualifiedName) -> str:
    """The name that the primary key of an audit table gets when it is created."""
    declared = table.primary_key.name
    if isinstance(declared, str):
        return declared
    suffix = "_pkey"  # PostgreSQL cuts the table's name to make room for it
    return name.name.encode()[: MAX_IDENTIFIER_BYTES - len(suffix)].decode(errors="ignore") + suffix


def plan_history(
    table: Table,
    name: QualifiedName,
    existing: InstalledRelation | None,
    audited: QualifiedName | None,
    installed: Installed,
) -> Iterator[Action]:
    """Create an audit table or ``audit_transaction``, or add the columns that it lacks."""
    for column in table.columns:
        if SETTING_KEY in column.info and (existing is None or column.name not in existing.columns):
            yield from _plan_enum(column, name, audited, installed)
    if existing is None:
        statements = tuple(_create_table(table, name))
        subject = f"table {name.display}"
        yield Action("audit-table-missing", "create", subject, "missing", statements, audited, relations=(name,))
        return
    for column in table.columns:
        if column.name not in existing.columns:
            # The ids of an adopted table's rows come by another way.
            if not (is_classic(existing) and column.primary_key):
                yield _plan_column(column, name, audited)
        elif column.nullable and column.name in existing.required:
            yield _plan_nullable(column.name, name, audited)
    # Of a former declaration, or somebody's own: no function gives it a value.
    for extra in sorted(existing.required - existing.filled - {column.name for column in table.columns}):
        yield _plan_nullable(extra, name, audited)


def _plan_column(column: Column[object], name: QualifiedName, audited: QualifiedName | None) -> Action:
    """Nullable and without a default: the table is not rewritten, and the lock is held for a moment."""
    type_ = column.type.compile(dialect=DIALECT)
    statement = f"ALTER TABLE {qualified(name)} ADD COLUMN IF NOT EXISTS {ident(column.name)} {type_}"
    reason = "session setting" if SETTING_KEY in column.info else "missing"
    subject = f"column {column.name} to {name.display}"
    return Action("column-missing", "add", subject, reason, (statement,), audited, relations=(name,))


def _plan_nullable(column: str, name: QualifiedName, audited: QualifiedName | None) -> Action:
    """History takes what the table has, and nulls for a truncate."""
    statement = f"ALTER TABLE {qualified(name)} ALTER COLUMN {ident(column)} DROP NOT NULL"
    subject = f"column {column} of {name.display}"
    return Action("column-required", "alter", subject, "is NOT NULL", (statement,), audited, relations=(name,))


def _plan_enum(
    column: Column[object], name: QualifiedName, audited: QualifiedName | None, installed: Installed
) -> Iterator[Action]:
    """The enum type of a session setting: nothing else may use it, so nothing else creates it."""
    type_ = column.type.dialect_impl(DIALECT)
    if not isinstance(type_, ENUM) or not type_.name:
        return
    enum = QualifiedName(type_.schema or name.schema, type_.name)
    if enum in installed.enums:
        return
    subject, create = f"type {enum.display}", create_enum_sql(column.type)
    yield Action("type-missing", "create", subject, "session setting", (create,), audited, relations=(enum,))


def create_enum_sql(type_: TypeEngine[Any]) -> str:
    """A statement that creates an enum type unless it exists: PostgreSQL's has no ``IF NOT EXISTS``."""
    create = _compile(CreateEnumType(type_.dialect_impl(DIALECT)))
    body = f"BEGIN\n    {create};\nEXCEPTION WHEN duplicate_object THEN NULL;\nEND"
    return f"DO {dollar_quoted(body)}"


def _plan_widening(table: DeclaredTable, existing: InstalledRelation, installed: Installed) -> Iterator[Action]:
    """Follow the audited table's columns where that changes nothing but the catalog.

    To hold what a mask makes of values, a column becomes text whatever that takes: else every write would fail.
    """
    live = installed.relations.get(table.name)
    for column, type_, kept in narrow_columns(table, live, existing):
        if widens_in_place(kept, type_) or column in table.trigger.retyped:
            name = table.trigger.audit_table
            in_place = widens_in_place(kept, type_)
            alter = alter_type_sql(name, column, type_) if in_place else render("retype", table=name, column=column)
            subject = f"column {column} of {name.display}"
            reason = f"is {kept}, not {type_}"
            yield Action("column-type", "alter", subject, reason, (alter,), table.name, relations=(name,))


def narrow_columns(
    table: DeclaredTable, live: InstalledRelation | None, kept: InstalledRelation | None
) -> Iterator[tuple[str, str, str]]:
    """The columns whose history may refuse or alter values (trap T13): name, wanted type and type in the history."""
    if live is None or kept is None:
        return
    wanted = {column: live.columns[column] for column in table.trigger.columns if column in live.columns}
    wanted |= {column: "text" for column in table.trigger.retyped if column in wanted}
    if not is_classic(kept):
        wanted = {**dict(_own_types(table)), **wanted}
    for column, type_ in wanted.items():
        if column in kept.columns and not holds(kept.columns[column], type_):
            yield column, type_, kept.columns[column]


def _own_types(table: DeclaredTable) -> Iterator[tuple[str, str]]:
    """The types of the columns that are no copies, as far as they can be told from the declaration."""
    for column in table.audited.audit_table.columns:
        type_ = declared_type(column.type.compile(dialect=DIALECT))
        if column.name not in table.trigger.columns and type_ is not None:
            yield column.name, type_


def alter_type_sql(name: QualifiedName, column: str, type_: str) -> str:
    return f"ALTER TABLE {qualified(name)} ALTER COLUMN {ident(column)} TYPE {type_}"


def _create_table(table: Table, name: QualifiedName) -> Iterator[str]:
    table = _placed(table, name)
    yield _compile(CreateTable(table, if_not_exists=True))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield _compile(CreateIndex(index, if_not_exists=True))
    # As create_all() does; Alembic would find the comments missing.
    if table.comment:
        yield _compile(SetTableComment(table))
    for column in table.columns:
        if column.comment:
            yield _compile(SetColumnComment(column))


def index_definition(index: Index, name: QualifiedName) -> str:
    """What comes behind an index's name in ``CREATE INDEX``: on what, and how."""
    placed = next(other for other in _placed(_table_of(index), name).indexes if other.name == index.name)
    return _compile(CreateIndex(placed)).removeprefix(f"CREATE INDEX {ident(str(index.name))} ")


def _table_of(index: Index) -> Table:
    assert index.table is not None  # noqa: S101 - it was declared with one
    return index.table


def index_columns(index: Index) -> tuple[str, ...]:
    """Its columns as the catalog has them: an expression has no name."""
    return tuple(e.name if isinstance(e, Column) else "" for e in index.expressions)


def _placed(table: Table, name: QualifiedName) -> Table:
    """A copy under its full name, whatever the search_path of who runs the statement; types stay as declared."""
    copy = table.to_metadata(MetaData(naming_convention=table.metadata.naming_convention), schema=name.schema)
    copy._prefixes = table._prefixes  # UNLOGGED; to_metadata() leaves it out
    return copy


def _compile(element: ExecutableDDLElement) -> str:
    return str(element.compile(dialect=DIALECT)).strip()
