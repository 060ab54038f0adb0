"""Options that say which changes are wanted, from words to a :class:`ChangeFilter`."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

from ...declare.columns import OPERATION_LABELS
from ...errors import AuditConfigError
from ...history.filter import ANY, ChangeFilter
from ...history.position import Position
from ...history.recorded import RecordedTable

Command = TypeVar("Command", bound=Callable[..., None])

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"([0-9]{1,9})([mhdw])", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?:(:\d\d)(?:\.(\d{1,6}))?)?(Z|[+-]\d\d(?::?\d\d)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_WHEN = (
    "an ISO 8601 date or date and time (UTC unless it has a time zone), a time ago such as 30m, 2h, 3d or 1w, "
    "today or yesterday"
)


class OptionError(click.ClickException):
    """An option has a value that makes no sense: one line, and the exit code of wrong usage."""

    exit_code = 2


class Read(click.ParamType):  # type: ignore[type-arg]
    """An option's text, made into something by a function that says what is wrong."""

    name = "text"

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value of ``value``.

        :raises OptionError: it has none.
        """
        try:
            return self._read(_storable(value)) if isinstance(value, str) else value
        except ValueError as error:
            label = param.opts[0] if isinstance(param, click.Option) else param and param.human_readable_name
            raise OptionError(f"{label}: {error}") from error


def _storable(text: str) -> str:
    """Text that PostgreSQL can have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!a} is no text in UTF-8") from None
    if "\0" in text:
        raise ValueError(f"{text!r} has a zero byte, which no text in PostgreSQL can have")
    return text


TEXT = Read(str)
POSITION = Read(Position.parse)


def number(lowest: int, highest: int) -> Read:
    """A whole number in a range."""

    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,19}", text, re.ASCII) or not lowest <= int(text) <= highest:
            raise ValueError(f"{text!r} is no whole number from {lowest} to {highest}")
        return int(text)

    return Read(read)


def one_of(*words: str) -> Read:
    """One of a few words."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return Read(read)


def read_operation(text: str) -> str:
    """``I`` or ``insert``, and so on, in any case."""
    for code, label in OPERATION_LABELS.items():
        if text.lower() in (code.lower(), label):
            return code
    known = ", ".join(f"{label} ({code})" for code, label in OPERATION_LABELS.items())
    raise ValueError(f"there is no operation {text!r}; there are {known}")


def read_instant(text: str) -> datetime.datetime:
    """A time: absolute, or before now."""
    now = datetime.datetime.now(datetime.timezone.utc)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if text in ("today", "yesterday"):
        return midnight - datetime.timedelta(days=text == "yesterday")
    try:
        if ago := _AGO.fullmatch(text):
            return _before(now, ago[2], int(ago[1]))
        if iso := _ISO.fullmatch(text):
            return _read_iso(*iso.groups())
    except ValueError as error:
        raise ValueError(f"{text!r} is no time ({error}); allowed is {_WHEN}") from error
    raise ValueError(f"{text!r} is no time; allowed is {_WHEN}")


def _before(now: datetime.datetime, unit: str, count: int) -> datetime.datetime:
    try:
        return now - datetime.timedelta(**{_UNITS[unit]: count})
    except OverflowError:
        raise ValueError("before the year 1") from None


def _read_iso(
    day: str, minute: str | None, second: str | None, fraction: str | None, zone: str | None
) -> datetime.datetime:
    # Python 3.10 reads what isoformat() writes, and nothing else.
    offset = "+00:00" if zone is None or zone in "Zz" else zone if ":" in zone else f"{zone[:3]}:{zone[3:] or '00'}"
    text = f"{day}T{minute or '00:00'}{second or ':00'}.{(fraction or '').ljust(6, '0')}{offset}"
    return datetime.datetime.fromisoformat(text)


def read_pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE``."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ValueError(f"{text!r} is not of the form KEY=VALUE")
    return name, value


def read_value(text: str) -> tuple[str, str | None]:
    """``COLUMN=VALUE``, or ``COLUMN`` alone for NULL."""
    name, equals, value = text.partition("=")
    if not name:
        raise ValueError(f"{text!r} is not of the form COLUMN=VALUE, or COLUMN alone for NULL")
    return name, value if equals else None


_MANY: Mapping[str, Any] = {"multiple": True}
_BIGINT = number(-(2**63), 2**63 - 1)
_OPTIONS = (
    click.option("--table", "tables", type=TEXT, metavar="TABLE", help="Only of this table; repeatable.", **_MANY),
    click.option(
        "--operation",
        "operations",
        type=Read(read_operation),
        metavar="OPERATION",
        help="Only insert, update, delete, truncate or baseline, or I, U, D, T or S; repeatable.",
        **_MANY,
    ),
    click.option("--username", type=TEXT, metavar="NAME", help="Only by this user."),
    click.option("--nobody", is_flag=True, help="Only where nobody was logged in."),
    click.option("--actor-id", type=TEXT, metavar="ID", help="Only by the user with this id."),
    click.option("--role", type=TEXT, metavar="ROLE", help="Only by this database role."),
    click.option("--request-id", type=TEXT, metavar="ID", help="Only in this request."),
    click.option("--transaction", type=_BIGINT, metavar="N", help="Only in this row of audit_transaction."),
    click.option(
        "--since", type=Read(read_instant), metavar="TIME", help="Not earlier: ISO 8601 (UTC), 2h, 3d, today."
    ),
    click.option("--until", type=Read(read_instant), metavar="TIME", help="Earlier than that."),
    click.option("--changed", type=TEXT, metavar="COLUMN", help="Only updates that changed it; repeatable.", **_MANY),
    click.option(
        "--old",
        type=Read(read_value),
        metavar="COLUMN=VALUE",
        help="Only where this was the value before; COLUMN alone for NULL; repeatable.",
        **_MANY,
    ),
    click.option(
        "--new",
        type=Read(read_value),
        metavar="COLUMN=VALUE",
        help="Only where this was the value after; COLUMN alone for NULL; repeatable.",
        **_MANY,
    ),
    click.option(
        "--context",
        type=Read(read_pair),
        metavar="KEY=VALUE",
        help="Only where the transaction's context has this; repeatable.",
        **_MANY,
    ),
)


def filter_options(command: Command) -> Command:
    """Add the options, and give the command what they say as its argument ``where``."""

    @functools.wraps(command)
    def filtered(*args: Any, **options: Any) -> None:
        command(*args, where=build_filter(options), **options)

    for option in reversed(_OPTIONS):
        filtered = option(filtered)
    return filtered  # type: ignore[return-value]


def build_filter(options: dict[str, Any]) -> ChangeFilter:
    """Take the filter's options out of a command's.

    :raises OptionError: two of them contradict each other.
    """
    username, nobody = options.pop("username"), options.pop("nobody")
    actor_id, since, until = options.pop("actor_id"), options.pop("since"), options.pop("until")
    if nobody and username is not None:
        raise OptionError("--nobody: give it, or --username, not both")
    if since is not None and until is not None and since >= until:
        raise OptionError(f"--until: {until.isoformat()} is not after --since {since.isoformat()}")
    return ChangeFilter(
        tables=options.pop("tables"),
        operations=options.pop("operations"),
        username=None if nobody else ANY if username is None else username,
        actor_id=ANY if actor_id is None else actor_id,
        role=options.pop("role"),
        transaction_id=options.pop("transaction"),
        request_id=options.pop("request_id"),
        context=_mapping("--context", options.pop("context")),
        since=since,
        until=until,
        changed=options.pop("changed"),
        old=_mapping("--old", options.pop("old")),
        new=_mapping("--new", options.pop("new")),
    )


def _mapping(option: str, pairs: Collection[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(f"{option}: {twice!r} is given twice; a change would have to meet both")
    return found


def check_filter(where: ChangeFilter, tables: Collection[RecordedTable]) -> None:
    """Find out which option names what there is not.

    :raises OptionError: one does.
    """
    of_tables = ChangeFilter(tables=where.tables)
    columns = [f"--{name}" for name in ("changed", "old", "new") if getattr(where, name)]
    for option, part in (
        ("--table", of_tables),
        ("--changed", replace(of_tables, changed=where.changed)),
        ("--old", replace(of_tables, old=where.old)),
        ("--new", replace(of_tables, new=where.new)),
        (" and ".join(columns), where),
    ):
        try:
            part.chosen(tables)
        except AuditConfigError as error:
            raise OptionError(f"{option}: {error}") from error
