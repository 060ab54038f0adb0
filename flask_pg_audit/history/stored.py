"""Values as they are stored: which were there at all, which are the same, and what became of one.

Python's ``==`` is no answer for an audit log: it holds ``True`` for ``1`` and ``Decimal("1.50")`` for
``Decimal("1.5")``, denies that NaN is NaN, confuses the two hours at the end of daylight saving time, and gives up on
a document that is nested deeply.
"""

from __future__ import annotations

import datetime
import enum
import math
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any, Final, Literal, TypeGuard


class Absent(enum.Enum):
    """The type of :data:`ABSENT`; its one member, so that ``value is ABSENT`` narrows."""

    ABSENT = "absent"

    def __repr__(self) -> str:
        return "ABSENT"

    __str__ = __repr__


#: Not NULL and not empty: there was nothing there that could have had a value.
ABSENT: Final = Absent.ABSENT

#: What became of a value: ``added``, it was not there before; ``removed``, it is not there any more; ``set``, from NULL
#: (in JSON: null) to a value; ``cleared``, from a value to NULL; ``changed``, from one value to another. An empty text,
#: list or object is a value.
Kind = Literal["added", "removed", "set", "cleared", "changed"]


def kind_of(old: Any, new: Any) -> Kind:
    """What became of a value that differs; ``ABSENT`` on the side where it was not there."""
    if old is ABSENT:
        return "added"
    if new is ABSENT:
        return "removed"
    if old is None:
        return "set"
    return "cleared" if new is None else "changed"


def is_object(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether it is what JSON calls an object, or an hstore."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is a JSON array, an array of PostgreSQL or a composite value."""
    return isinstance(value, (list, tuple))


def is_same(old: Any, new: Any) -> bool:
    """Whether both are the same value as PostgreSQL would store it.

    * Values of different types differ: ``True``, ``1``, ``1.0`` and ``Decimal(1)`` are four values.
    * A ``Decimal`` has a scale: ``1.50`` and ``1.5`` differ. So do the floats ``0.0`` and ``-0.0``. NaN is NaN.
    * Date-times with a time zone are the same if they are the same instant. Times of day with an offset are the same
      if both time and offset are.
    * Lists and tuples with the same elements are the same, and so are bytes, bytearrays and memoryviews.
    * Objects are the same whatever the order of their keys. Containers may be nested to any depth.
    * Ranges are compared by their bounds, in the form in which the database returns them.
    * Values of any other type are the same if they are of one class and ``==``, or if their ``tolist()`` are the same.

    .. versionadded:: 0.1
    """
    numbering = Numbering()
    return old is new or numbering.number(old) == numbering.number(new)


class _Numbers(dict[Hashable, int]):
    def __missing__(self, token: Hashable) -> int:
        self[token] = number = len(self)
        return number


class Numbering:
    """Numbers values: two get the same number if and only if they are the same; see :func:`is_same`.

    Comparing two parts of documents is then comparing two integers, and reading a document takes time in proportion to
    its size. Containers are known by their identity: keep them alive, and do not change them, for as long as this.
    """

    def __init__(self) -> None:
        self._by_token = _Numbers()
        self._by_identity: dict[int, int] = {}
        self._unhashable: list[Any] = []

    def number(self, value: Any) -> int:
        """The number of ``value``."""
        if not _is_container(value):
            return self._by_token[self._token(value)]
        known = self._by_identity.get(id(value))
        return self._number_of_container(value) if known is None else known

    def _number_of_container(self, container: Any) -> int:
        # A stack of our own: how deep a document is must not be limited by how deep Python may call.
        known, stack = self._by_identity, [container]
        while stack:
            inner = [part for part in _parts(stack[-1]) if _is_container(part) and id(part) not in known]
            if inner:
                stack.extend(inner)
            else:
                innermost = stack.pop()
                known[id(innermost)] = self._by_token[self._shape(innermost)]
        return known[id(container)]

    def _shape(self, container: Any) -> Hashable:
        """A container whose inner ones are numbered, as something flat."""
        if is_object(container):
            return "object", frozenset([(key, self.number(part)) for key, part in container.items()])
        return "list", tuple([self.number(part) for part in container])

    def _token(self, value: Any) -> Hashable:
        """A scalar as something hashable, equal for scalars that are the same."""
        if type(value) in _PLAIN or isinstance(value, enum.Enum):
            return type(value), value
        for type_, token in _TOKENS:
            if isinstance(value, type_):
                return token, token(value)
        if hasattr(value, "lower_inc"):
            return self._token_of_range(value)
        if hasattr(value, "tolist"):  # arrays of numpy, as vectors are, whose == is an array
            return type(value), repr(value.tolist())
        return type(value), value if _is_hashable(value) else self._place_among_unhashable(value)

    def _token_of_range(self, value: Any) -> Hashable:
        """A range of SQLAlchemy, psycopg2 or psycopg: their own ``==`` is Python's for the bounds."""
        if value.isempty:
            return "range"
        return "range", value.lower_inc, value.upper_inc, self._token(value.lower), self._token(value.upper)

    def _place_among_unhashable(self, value: Any) -> int:
        for place, known in enumerate(self._unhashable):
            if known is value or (type(known) is type(value) and known == value):
                return place
        self._unhashable.append(value)
        return len(self._unhashable) - 1


def _is_container(value: object) -> bool:
    return isinstance(value, (dict, list, tuple))


def _parts(container: Any) -> Iterable[Any]:
    return container.values() if is_object(container) else container


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _token_of_decimal(value: Decimal) -> Hashable:
    exponent = value.as_tuple().exponent
    if value.is_nan():
        return "NaN"
    return value, max(0, -exponent) if isinstance(exponent, int) else 0


def _token_of_float(value: float) -> Hashable:
    return "NaN" if math.isnan(value) else (float(value), math.copysign(1, value))


def _token_of_datetime(value: datetime.datetime) -> Hashable:
    # Never by == of two with a time zone: in the same zone it ignores which of two equal hours is meant, and for
    # different zones it is false in those hours. The difference to a date of no zone cannot overflow either.
    offset = value.utcoffset()
    wall_clock = value.replace(tzinfo=None, fold=0)
    return wall_clock if offset is None else wall_clock - datetime.datetime.min - offset


def _token_of_time(value: datetime.time) -> Hashable:
    return value.replace(tzinfo=None, fold=0), value.utcoffset()


#: Types of which two values are the same if they are equal.
_PLAIN = frozenset({str, int, bool, type(None)})

#: For these the function says what kind of value it is, too.
_TOKENS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Hashable]], ...] = (
    (str, str),
    (int, int),
    (float, _token_of_float),
    (Decimal, _token_of_decimal),
    (datetime.datetime, _token_of_datetime),
    (datetime.time, _token_of_time),
    ((bytes, bytearray, memoryview), bytes),
)
