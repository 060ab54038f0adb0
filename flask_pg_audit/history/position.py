"""A place in the order of all changes."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(r"(-?[0-9]{1,19})\.(-?[0-9]{1,19})")
_BIGINT = range(-(2**63), 2**63)


class Position(NamedTuple):
    """A place in the feed; unique, and ordered as the feed is.

    ``str()`` gives the token that :meth:`parse` reads.

    .. versionadded:: 0.1
    """

    transaction_id: int
    audit_id: int

    def __str__(self) -> str:
        return f"{self.transaction_id}.{self.audit_id}"

    @classmethod
    def parse(cls, token: str) -> Position:
        """Read ``"<transaction id>.<audit id>"``.

        :raises ValueError: the token is not of that form, or a number does not fit into a ``bigint``.
        """
        match = _TOKEN.fullmatch(token)
        if match is None or not all(int(number) in _BIGINT for number in match.groups()):
            raise ValueError(f"{token!r} is no position in the log; it has to look like 12.345")
        return cls(*map(int, match.groups()))
