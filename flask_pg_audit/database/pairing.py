"""A live table and its history, side by side: how their keys meet, and how their values are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from ..declare.absence import Absence, has_redactions, parse_absences, parse_masks
from .batches import Batches
from .column_type import ColumnType
from .declared import DeclaredTable
from .installed import Installed, InstalledRelation
from .name import QualifiedName
from .render import qualified, render
from .trigger import AuditTrigger

_EXACT = frozenset({"smallint", "integer", "bigint", "numeric"})
_FLOATS = frozenset({"real", "double precision"})
_TEXTS = frozenset({"text", "character varying"})
_TIMES = frozenset({"date", "timestamp"})

#: Types whose own equality tells values apart as a reader does. An interval of a day equals one of 24 hours, and
#: json, xml and point have none (trap T7): all others are compared as text, byte by byte.
_TYPED = _EXACT | _FLOATS | _TIMES | {"boolean", "uuid", "bytea", "time"}

#: Types of keys that can be found by an index: their equality is that by which the triggers tell rows apart, or means
#: the same. For a trigger, 'a' and 'A' are two keys even if citext takes them for equal: all others are read as text.
_KEYS = _TYPED | _TEXTS | {"character", "interval", "inet", "cidr", "macaddr", "oid"}


@dataclass(frozen=True)
class PairedKey:
    """A column of the primary key.

    :ivar type: of the live column, as SQL.
    :ivar as_text: the two columns have no equality in common that is also the triggers'; no index is of use.
    :ivar collation: of the live column, as SQL, where the history's column has another one.
    """

    name: str
    type: str
    as_text: bool
    collation: str | None


@dataclass(frozen=True)
class PairedColumn:
    """A column that is compared.

    :ivar as_text: as text, byte by byte; else by the types' own equality.
    :ivar cast: the type, as SQL, that a live value takes in the history, where it is not the same number any more.
    :ivar absences: the history's rows that were recorded without the column.
    :ivar masks: the history's rows in which it is masked.
    :ivar is_masked: it is masked, or was: it is not compared, since the history does not have the value.
    :ivar is_redacted: values were removed from some rows.
    """

    name: str
    as_text: bool
    cast: str | None
    is_binary: bool
    absences: tuple[Absence, ...]
    masks: tuple[Absence, ...] = ()
    is_masked: bool = False
    is_redacted: bool = False


@dataclass(frozen=True)
class Pair:
    """A live table and its audit table.

    :ivar trigger: what records, with settings as a plain statement can read them, none of them mandatory.
    :ivar key: empty for a table without a primary key.
    :ivar kept_names: of all columns that the audit table has.
    """

    trigger: AuditTrigger
    key: tuple[PairedKey, ...]
    columns: tuple[PairedColumn, ...]
    kept_names: tuple[str, ...]

    @property
    def table(self) -> QualifiedName:
        return self.trigger.table

    @property
    def redaction_table(self) -> QualifiedName:
        return self.trigger.infrastructure.redaction_table

    @property
    def audit_table(self) -> QualifiedName:
        return self.trigger.audit_table


@dataclass(frozen=True)
class KeyRange:
    """A part of a table, in the order of its key: ``after < key <= until``, without a bound where that is ``None``.

    The bounds are the key's values as PostgreSQL writes them.
    """

    after: tuple[str, ...] | None = None
    until: tuple[str, ...] | None = None


def read_pair(batches: Batches, table: DeclaredTable, installed: Installed) -> Pair:
    """Read how the columns of one audited table and of its audit table match; both are there."""
    live, kept = installed.relations[table.name], installed.relations[table.trigger.audit_table]
    facts = _read_columns(batches, table.trigger)
    names = [name for name in table.trigger.columns if name in live.columns and name in kept.columns]
    keys = (_pair_key(key.name, live, kept, facts) for key in table.trigger.key)
    masked = {mask.column for mask in table.trigger.masks}
    columns = (_pair_column(name, live, kept, facts[False, name].comment, name in masked) for name in names)
    return Pair(_plain_trigger(table.trigger, kept), tuple(keys), tuple(columns), tuple(kept.columns))


class _Facts(NamedTuple):
    """What else the catalog says of a column."""

    collation: str | None
    is_enum: bool
    comment: str | None


#: By side, true for the live one, and name.
_AllFacts = Mapping[tuple[bool, str], _Facts]


def _read_columns(batches: Batches, trigger: AuditTrigger) -> _AllFacts:
    query = render("read_pair", table=qualified(trigger.table), audit_table=qualified(trigger.audit_table))
    rows = batches.run(lambda: batches.rows(query))
    return {(is_live, name): _Facts(*facts) for is_live, name, *facts in rows}


def _plain_trigger(trigger: AuditTrigger, kept: InstalledRelation) -> AuditTrigger:
    """A row that says what is there is no change, so nobody has to say who made it."""
    settings = tuple(
        replace(setting, required=False, cast=None if setting.is_text else kept.columns[setting.column])
        for setting in trigger.settings
        if setting.column in kept.columns
    )
    return replace(trigger, settings=settings)


def _pair_key(name: str, live: InstalledRelation, kept: InstalledRelation, facts: _AllFacts) -> PairedKey:
    own, other = facts[True, name], facts[False, name]
    is_same_enum = own.is_enum and other.is_enum and live.columns[name] == kept.columns[name]
    as_text = not is_same_enum and not _is_found_by_index(
        ColumnType.parse(live.columns[name]), ColumnType.parse(kept.columns[name])
    )
    return PairedKey(name, live.columns[name], as_text, own.collation if own.collation != other.collation else None)


def _is_found_by_index(live: ColumnType, kept: ColumnType) -> bool:
    if (live.name, live.rest) == (kept.name, kept.rest):
        return live.name in _KEYS and "[]" not in live.rest
    alike = any({live.name, kept.name} <= family for family in (_EXACT, _TEXTS))
    return alike and live.rest == kept.rest == ""


def _pair_column(
    name: str, live: InstalledRelation, kept: InstalledRelation, comment: str | None, is_masked: bool
) -> PairedColumn:
    own, other = ColumnType.parse(live.columns[name]), ColumnType.parse(kept.columns[name])
    typed, cast = _equality(own, other)
    is_binary = own == other and own.name == "bytea" and not own.rest
    masks = parse_masks(comment)
    return PairedColumn(
        name,
        not typed,
        cast,
        is_binary,
        parse_absences(comment),
        masks,
        is_masked=is_masked or bool(masks),
        is_redacted=has_redactions(comment),
    )


def _equality(live: ColumnType, kept: ColumnType) -> tuple[bool, str | None]:
    """Whether values are compared by their type, and the type that the live one is cast to before."""
    names = {live.name, kept.name}
    if "[]" in live.rest or "[]" in kept.rest:
        return (live.name, live.rest) == (kept.name, kept.rest) and names <= _EXACT | _FLOATS, None
    if len(names) == 1:
        return live.rest == kept.rest and names <= _TYPED, None
    if names <= _EXACT | _FLOATS:
        return True, kept.name if names & _FLOATS else None
    return names <= _TIMES, None
