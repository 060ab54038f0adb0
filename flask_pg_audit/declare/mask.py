"""Masks: what the history keeps of a column whose values it must not have.

The trigger replaces the value while it writes the image, so that the clear one never reaches the audit table.

::

    from flask_pg_audit import audited, mask

    audited(mask={"email": mask.partial(keep_first=1), "iban": mask.keyed(), "password_hash": "fixed"})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..errors import AuditConfigError

#: Characters of a keyed mask: which key, a colon, and the hash, the first and the last in hexadecimal.
KEYED_LENGTH = 8 + 1 + 64

#: What stands for the characters that :func:`partial` leaves out, however many they are.
HIDDEN = "***"

#: How a value becomes the text that is masked. What a type's own text depends on, time zones and the like, must not
#: make two masks of one value.
Writing = Literal["as text", "as JSON", "in UTC"]


@dataclass(frozen=True)
class Fixed:
    """Every value becomes the same text; of a column that holds no text, NULL. NULL stays NULL."""

    text: str = HIDDEN


@dataclass(frozen=True)
class Partial:
    """The first and the last characters are kept, what is between them becomes ``***``. NULL stays NULL.

    A value of which more would be shown than hidden becomes ``***`` altogether.
    """

    keep_first: int = 1
    keep_last: int = 0


@dataclass(frozen=True)
class Keyed:
    """Every value becomes the HMAC-SHA-256 of its text, with the id of the key in front. NULL stays NULL.

    Equal values are equal under the same key, and none can be computed without it.
    """


Mask: TypeAlias = Fixed | Partial | Keyed

NAMES: Mapping[str, Mask] = {"fixed": Fixed(), "partial": Partial(), "keyed": Keyed()}


def fixed(text: str = HIDDEN) -> Fixed:
    """Keep ``text`` instead of every value; NULL where the column holds no text.

    :raises AuditConfigError: ``text`` is none that PostgreSQL can hold.

    .. versionadded:: 0.1
    """
    if not isinstance(text, str) or "\0" in text:
        raise AuditConfigError(f"mask.fixed() takes a text without U+0000, not {text!r}")
    return Fixed(text)


def partial(keep_first: int = 1, keep_last: int = 0) -> Partial:
    """Keep the first and the last characters of every value, and ``***`` for those between.

    A value of fewer characters than twice those that are kept becomes ``***`` altogether.

    :raises AuditConfigError: a number is below 0, or both are 0.

    .. versionadded:: 0.1
    """
    for name, number in (("keep_first", keep_first), ("keep_last", keep_last)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise AuditConfigError(f"mask.partial(): {name} is a number of characters, not {number!r}")
    if keep_first + keep_last == 0:
        raise AuditConfigError("mask.partial() without characters to keep: that is mask.fixed()")
    return Partial(keep_first, keep_last)


def keyed() -> Keyed:
    """Keep the HMAC-SHA-256 of every value, so that equal ones can be recognised without being known.

    The key is in the database, in ``audit_mask_key``; ``flask audit rotate-mask-key`` makes another one.

    .. versionadded:: 0.1
    """
    return Keyed()


def build_masks(raw: object, where: str) -> tuple[tuple[str, Mask], ...]:
    """Validate the option ``mask``: pairs of column and strategy."""
    if not isinstance(raw, Mapping):
        raise AuditConfigError(f"{where} key 'mask' must be a dictionary of column names and masks, not {raw!r}")
    return tuple((_check_name(name, where), _check_mask(name, mask, where)) for name, mask in raw.items())


def _check_name(name: object, where: str) -> str:
    if not isinstance(name, str):
        raise AuditConfigError(f"{where} key 'mask' must name columns, not {name!r}")
    return name


def _check_mask(name: str, mask: object, where: str) -> Mask:
    found = NAMES.get(mask) if isinstance(mask, str) else mask
    if not isinstance(found, (Fixed, Partial, Keyed)):
        raise AuditConfigError(
            f"{where} key 'mask' has {mask!r} for the column {name!r}; allowed are {', '.join(map(repr, NAMES))}, "
            "mask.fixed(…), mask.partial(…) and mask.keyed()"
        )
    return found


def holds_text(type_: TypeEngine[Any]) -> bool:
    """Whether the values are texts of any kind, so that a constant can take their place."""
    plain = _plain(type_)
    return isinstance(plain, (sa.String, postgresql.CITEXT)) and not isinstance(plain, sa.Enum)


def writing_of(column: Column[Any]) -> Writing | None:
    """How the values of ``column`` are written the same in every session; ``None`` where there is no way."""
    plain = _plain(column.type)
    if isinstance(plain, sa.DateTime):
        return "in UTC" if plain.timezone else "as JSON"
    if isinstance(plain, (sa.Date, sa.Time)):
        return "as JSON"
    return "as text" if isinstance(plain, _SAME_EVERYWHERE) and not isinstance(plain, sa.Float) else None


#: Types whose text is the same in every session. ``Enum`` is a ``String``.
_SAME_EVERYWHERE = (
    sa.String, postgresql.CITEXT, sa.Integer, sa.Numeric, sa.Boolean, sa.Uuid, sa.JSON, postgresql.INET,
    postgresql.CIDR, postgresql.MACADDR, sa.types.NullType,
)  # fmt: skip


def masked_type(type_: TypeEngine[Any], mask: Mask) -> TypeEngine[Any]:
    """The type under which history keeps what the mask makes of values of ``type_``: that, or text."""
    if isinstance(mask, Fixed) and not holds_text(type_):
        return type_
    plain = _plain(type_)
    fits = holds_text(type_) and not isinstance(plain, sa.CHAR)
    length = plain.length if isinstance(plain, sa.String) else None
    return type_ if fits and (length is None or length >= _length(mask)) else sa.Text()


def _length(mask: Mask) -> int:
    if isinstance(mask, Fixed):
        return len(mask.text)
    return KEYED_LENGTH if isinstance(mask, Keyed) else mask.keep_first + len(HIDDEN) + mask.keep_last


def _plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    plain = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    return _plain(plain.data_type) if isinstance(plain, postgresql.DOMAIN) else plain
