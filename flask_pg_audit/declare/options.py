"""The options of one audited table: ``info={"audit.options": {...}}``, validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypedDict

from sqlalchemy import Column, Table
from typing_extensions import Unpack

from ..errors import AuditConfigError
from .mask import Fixed, Mask, build_masks, writing_of
from .naming import MAX_IDENTIFIER_BYTES

OPTIONS_KEY = "audit.options"

Level = Literal["statement", "row"]
LEVELS: tuple[Level, ...] = ("statement", "row")


class AuditOptionValues(TypedDict, total=False):
    """The keys that :func:`audited` and ``info["audit.options"]`` take."""

    enabled: bool
    schema_name: str | None
    session_settings: Sequence[Column[Any]]
    exclude: Sequence[str]
    skip_unchanged: bool
    level: Level
    enable_always: bool | None
    mask: Mapping[str, Mask | str]


@dataclass(frozen=True)
class AuditOptions:
    """The validated options of one table.

    :ivar enabled: audit this table.
    :ivar schema_name: schema of the audit table; ``None`` means the table's own.
    :ivar session_settings: columns copied to the audit table as ``audit_<name>``, filled from the
        PostgreSQL setting ``audit.<name>``.
    :ivar exclude: names of columns that never reach the audit table.
    :ivar skip_unchanged: an update that changes no audited column leaves no audit row.
    :ivar level: ``"statement"`` or ``"row"``, the granularity of the triggers.
    :ivar enable_always: the triggers fire under ``session_replication_role = replica`` as well; ``None`` means as
        ``AUDIT_ENABLE_ALWAYS`` says, and without the Flask extension that they do not.
    :ivar mask: what the history keeps instead of the values of some columns, by their names.
    """

    enabled: bool = False
    schema_name: str | None = None
    session_settings: tuple[Column[Any], ...] = ()
    exclude: tuple[str, ...] = ()
    skip_unchanged: bool = True
    level: Level = "statement"
    enable_always: bool | None = None
    mask: tuple[tuple[str, Mask], ...] = ()

    def mask_of(self, column: str) -> Mask | None:
        """The mask of the column called ``column``; ``None`` where its values are recorded as they are."""
        return dict(self.mask).get(column)

    @classmethod
    def of(cls, table: Table) -> AuditOptions:
        """The options that ``table.info`` declares, checked against the table's columns.

        :raises AuditConfigError: an unknown key, a wrong type, or a column the table does not have.
        """
        raw = table.info.get(OPTIONS_KEY)
        if raw is None:
            return cls()
        options = build_options(raw, f'table "{table.fullname}"')
        _check_exclude(options, table)
        _check_mask(options, table)
        return options


def audited(**options: Unpack[AuditOptionValues]) -> dict[str, Any]:
    """Return the ``info`` dictionary that makes a table audited, for ``Table(info=…)`` or ``__table_args__``.

    ``enabled`` is true unless given. The column names in ``exclude`` are checked when the table is declared.

    :raises AuditConfigError: an unknown option or a value of the wrong type.

    .. versionadded:: 0.1
    """
    values: AuditOptionValues = {"enabled": True, **options}
    build_options(values, "audited()")
    return {OPTIONS_KEY: dict(values)}


def build_options(raw: object, where: str) -> AuditOptions:
    """Validate ``raw`` and return it as :class:`AuditOptions`; ``where`` starts every error message."""
    if not isinstance(raw, Mapping):
        raise AuditConfigError(f'{where}: info["{OPTIONS_KEY}"] must be a dictionary, not {raw!r}')
    allowed = [field.name for field in fields(AuditOptions)]
    for key in raw:
        if key not in allowed:
            raise AuditConfigError(f'{where}: unknown key {key!r} in "{OPTIONS_KEY}"; allowed are {", ".join(allowed)}')
    values = dict(raw)
    _check_types(values, where)
    for key in ("session_settings", "exclude"):
        values[key] = tuple(values.get(key, ()))
    _check_settings(values["session_settings"], where)
    values["mask"] = build_masks(values.get("mask", {}), f'{where}: "{OPTIONS_KEY}"')
    return AuditOptions(**values)


def _check_types(values: dict[str, Any], where: str) -> None:
    def expect(key: str, good: bool, wanted: str) -> None:
        if key in values and not good:
            raise AuditConfigError(f'{where}: "{OPTIONS_KEY}" key {key!r} must be {wanted}, not {values[key]!r}')

    for key in ("enabled", "skip_unchanged"):
        expect(key, isinstance(values.get(key), bool), "True or False")
    always = values.get("enable_always")
    expect("enable_always", always is None or isinstance(always, bool), "True, False or None")
    schema = values.get("schema_name")
    expect("schema_name", schema is None or (isinstance(schema, str) and schema != ""), "a schema name or None")
    expect("level", values.get("level") in LEVELS, f"one of {', '.join(map(repr, LEVELS))}")
    expect("exclude", _is_list_of(values.get("exclude"), str), "a list of column names")
    expect("session_settings", _is_list_of(values.get("session_settings"), Column), "a list of Column objects")


def _is_list_of(value: object, kind: type) -> bool:
    if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
        return False
    return all(isinstance(item, kind) for item in value)


def _check_settings(settings: Sequence[Column[Any]], where: str) -> None:
    seen = set()
    for column in settings:
        check_setting_name(column.name, where)
        # PostgreSQL reads audit.User and audit.user as one setting.
        if column.name.lower() in seen:
            raise AuditConfigError(f"{where}: session setting {column.name!r} is declared twice")
        seen.add(column.name.lower())


def check_setting_name(name: object, where: str) -> None:
    """Raise unless ``name`` can follow ``audit.`` in a PostgreSQL setting name.

    PostgreSQL accepts only simple identifiers there (``valid_custom_variable_name`` in ``guc.c``).

    :raises AuditConfigError: for anything else, and for names this package uses itself.
    """
    if not (isinstance(name, str) and name.isascii() and name.isidentifier()):
        raise AuditConfigError(
            f"{where}: session setting {name!r} is no valid name: PostgreSQL settings take ASCII letters, "
            "digits and underscores and do not start with a digit"
        )
    if len(name) > MAX_SETTING_LENGTH:
        raise AuditConfigError(
            f"{where}: session setting {name!r} is too long: its column audit_{name} may have {MAX_IDENTIFIER_BYTES} "
            f"characters, so the setting {MAX_SETTING_LENGTH}"
        )
    if name.lower() in RESERVED_SETTINGS:
        raise AuditConfigError(
            f"{where}: session setting {name!r} is reserved; reserved are {', '.join(sorted(RESERVED_SETTINGS))}"
        )


MAX_SETTING_LENGTH = MAX_IDENTIFIER_BYTES - len("audit_")

#: Settings that carry the package's own state; see ``database/sql/begin_transaction.sql.jinja``.
RESERVED_SETTINGS = frozenset({"transaction_id", "transaction_key", "context"})


def _check_exclude(options: AuditOptions, table: Table) -> None:
    for name in options.exclude:
        _check_column("exclude", name, table)
        if name in {column.name for column in table.primary_key}:
            raise AuditConfigError(
                f"{_key('exclude', table)} names {name!r}, a column of the primary key; without it a change could not "
                "be told to belong to a row"
            )


def _check_mask(options: AuditOptions, table: Table) -> None:
    for name, mask in options.mask:
        _check_column("mask", name, table)
        if name in options.exclude:
            raise AuditConfigError(
                f"{_key('mask', table)} names {name!r}, which is excluded: nothing of it is recorded"
            )
        if name in {column.name for column in table.primary_key}:
            raise AuditConfigError(
                f"{_key('mask', table)} names {name!r}, a column of the primary key, by which a row is known; let a "
                "number or a UUID be the key"
            )
        column = next(column for column in table.columns if column.name == name)
        if not isinstance(mask, Fixed) and writing_of(column) is None:
            raise AuditConfigError(
                f"{_key('mask', table)} names {name!r}: {column.type!r} is not written the same in every session, so "
                "only mask.fixed() can be used for it"
            )


def _check_column(key: str, name: str, table: Table) -> None:
    names = [column.name for column in table.columns]
    if name not in names:
        raise AuditConfigError(
            f"{_key(key, table)} names the unknown column {name!r}; the table has {', '.join(names)}"
        )


def _key(key: str, table: Table) -> str:
    return f'table "{table.fullname}": "{OPTIONS_KEY}" key {key!r}'
