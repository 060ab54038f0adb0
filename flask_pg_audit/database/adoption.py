"""Taking over the audit tables of the classic library: the step after which their tables record for us.

The classic library, which this package modernises, has audit tables without ids: an operation, a timestamp without
time zone, the role, the settings and the image. They are kept, and their rows get the ids that they lack. The plan
makes the tables ready for new rows in one short transaction; :mod:`.adopt` numbers the old rows afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .action import Action
from .declared import Declared, DeclaredTable
from .function import Infrastructure
from .installed import Installed, InstalledFunction, InstalledRelation
from .name import QualifiedName
from .render import literal, qualified, render

_CLASSIC_COLUMNS = {
    "audit_operation": "character varying(1)",
    "audit_operation_timestamp": "timestamp without time zone",
    "audit_current_user": "character varying(64)",
}
_IDS = {"audit_transaction_id", "audit_id"}

#: The code of all that has to be done with such a table.
UNFINISHED = "adoption-unfinished"

#: The comment on the timestamps of a table that is being adopted: this, and the zone they were written in.
ADOPTED_FROM = "being adopted from "


def adopted_sequence(shared: Infrastructure) -> QualifiedName:
    """Gives the old rows their ids; it is there while rows are without."""
    return QualifiedName(shared.schema, "audit_adopted_id_seq")


def is_classic(relation: InstalledRelation | None) -> bool:
    """Whether it is an audit table of the classic library as that made it."""
    return (
        relation is not None
        and relation.kind == "r"
        and relation.columns.items() >= _CLASSIC_COLUMNS.items()
        and relation.required >= _CLASSIC_COLUMNS.keys()
        and not _IDS & relation.columns.keys()
    )


def is_unfinished(relation: InstalledRelation | None) -> bool:
    """Whether it is one whose old rows have no ids yet, or may have none."""
    return (
        relation is not None
        and relation.columns.keys() >= _CLASSIC_COLUMNS.keys() | _IDS
        and not relation.required >= _IDS
    )


_TYPE = r'::[\w ."]+(?:\([\d, ]+\)[\w ]*)?(?:\[\])*'
_SETTING = rf"current_setting\('audit\.[^']+', ?(?:true|false)\)(?:{_TYPE})+"
_CHECK = rf"(?:IF {_SETTING} = '' THEN RAISE EXCEPTION '[^']*'; END IF; ?)*"


def is_classic_function(function: InstalledFunction | None, audit_table: QualifiedName | None) -> bool:
    """Whether ``function`` is, from first to last word, what the classic library makes to fill ``audit_table``.

    A function in which somebody changed or added anything is not: replacing it would lose that.
    """
    if function is None or audit_table is None or function.is_ours:
        return False
    body = " ".join(re.sub(r"--[^\n]*", "", function.source).split())
    name = rf'(?:"?{re.escape(audit_table.schema)}"?\.)?"?{re.escape(audit_table.name)}"?'

    def insert(operation: str, row: str) -> str:
        column = rf'{row}\.(?:\w+|"[^"]+")'
        return (
            rf"INSERT INTO {name} \(audit_operation, audit_operation_timestamp, audit_current_user[^;()]*\) "
            rf"SELECT '{operation}', now\(\), current_user(?:, (?:{column}|{_SETTING}))*;"
        )

    return bool(
        re.fullmatch(
            rf"BEGIN {_CHECK}IF \(TG_OP = 'DELETE'\) THEN {insert('D', 'OLD')}"
            rf" ELSIF \(TG_OP = 'UPDATE'\) THEN {insert('U', 'NEW')}"
            rf" ELSIF \(TG_OP = 'INSERT'\) THEN {insert('I', 'NEW')} END IF; RETURN NULL; END;?",
            body,
            re.IGNORECASE,
        )
    )


def plan_adoption(declared: Declared, installed: Installed, time_zone: str | None) -> Iterator[Action]:
    """Make room for the ids of the old rows, for all classic tables at once, before their triggers are replaced.

    :param time_zone: in which the old timestamps were written; ``None`` is the session's.
    """
    shared = declared.infrastructure
    classic = [t for t in declared.tables if is_classic(installed.relations.get(t.trigger.audit_table))]
    if not classic:
        return
    names = [table.trigger.audit_table for table in classic]
    sequence = adopted_sequence(shared)
    reserve = render("reserve_ids", shared=shared, adopted=sequence, tables=names)
    subject = f"ids for the rows of {', '.join(name.display for name in names)}"
    create = f"CREATE SEQUENCE IF NOT EXISTS {qualified(sequence)}"
    yield Action(UNFINISHED, "reserve", subject, "classic library", (create, reserve))
    for table in classic:
        yield _plan_table(table, time_zone)


def _plan_table(table: DeclaredTable, time_zone: str | None) -> Action:
    name = table.trigger.audit_table
    comment = table.audited.audit_table.comment or ""
    column = f"{qualified(name)}.audit_operation_timestamp"
    statements = (
        f"ALTER TABLE {qualified(name)} ADD COLUMN audit_transaction_id BIGINT, ADD COLUMN audit_id BIGINT",
        f"COMMENT ON TABLE {qualified(name)} IS {literal(comment)}",
        render("adopt_timestamps", audit_table=name, column=column, time_zone=time_zone, prefix=ADOPTED_FROM),
    )
    return Action(
        UNFINISHED,
        "adopt",
        f"table {name.display}",
        "classic library",
        statements,
        table.name,
        relations=(name,),
    )


def plan_numbering(table: DeclaredTable, installed: Installed) -> Iterator[Action]:
    """What is left after the plan: it has no statements, since it is not one transaction."""
    name = table.trigger.audit_table
    relation = installed.relations.get(name)
    if is_classic(relation) or is_unfinished(relation):
        yield Action(UNFINISHED, "number", f"the rows of {name.display}", "classic library", (), table.name)
