"""What came out of the applications."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Taken:
    """What a step took a contender, in microseconds for each object: medians of the rounds.

    :ivar route: ``socket`` or ``network``.
    :ivar wall: that passed.
    :ivar least: the least of the rounds.
    :ivar client: of the processor, for the application.
    :ivar server: of the processor, for PostgreSQL.
    :ivar ratio: the time that passed to that of no auditing in the same round.
    :ivar work: the same of the processor, for both sides together.
    """

    task: str
    contender: str
    driver: str
    route: str
    wall: float
    least: float
    client: float
    server: float
    ratio: float
    work: float
    rounds: int


@dataclass(frozen=True)
class Sent:
    """:ivar statements: that the server got for one object, ``BEGIN`` and the like included.
    :ivar recorded: the history has the changes; ``None`` of what changes nothing.
    """

    task: str
    contender: str
    driver: str
    statements: float
    recorded: bool | None


@dataclass(frozen=True)
class Participant:
    """A contender; ``skipped`` says why it could not be measured."""

    name: str
    title: str
    configuration: str
    skipped: str | None = None


@dataclass(frozen=True)
class Applications:
    """All of it.

    :ivar size: ``full`` or ``quick``.
    :ivar objects: of one transaction with many, over the socket; ``far_objects``, over the network.
    :ivar round_trip: microseconds for ``SELECT 1`` over the network, and ``near_round_trip`` over the socket.
    """

    size: str
    postgresql: str
    objects: int
    far_objects: int
    near_round_trip: float
    round_trip: float
    participants: tuple[Participant, ...]
    taken: tuple[Taken, ...]
    sent: tuple[Sent, ...]

    def find(self, task: str, contender: str, driver: str, route: str) -> Taken | None:
        """One figure."""
        wanted = (task, contender, driver, route)
        return next((one for one in self.taken if (one.task, one.contender, one.driver, one.route) == wanted), None)

    def statements(self, task: str, contender: str, driver: str) -> Sent | None:
        """What was counted."""
        wanted = (task, contender, driver)
        return next((one for one in self.sent if (one.task, one.contender, one.driver) == wanted), None)

    @property
    def major(self) -> int:
        """The version of the server, as in 18."""
        return int(self.postgresql.split(".")[0])

    @property
    def drivers(self) -> tuple[str, ...]:
        """In the order in which they were measured."""
        return tuple(dict.fromkeys(one.driver for one in self.taken))


def of_data(data: Mapping[str, Any] | None) -> Applications | None:
    """What :func:`dataclasses.asdict` made of them."""
    if data is None:
        return None
    return Applications(
        **{
            **data,
            "participants": _all(Participant, data["participants"]),
            "taken": _all(Taken, data["taken"]),
            "sent": _all(Sent, data["sent"]),
        }
    )


def _all(kind: type[Any], many: Iterable[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(kind(**one) for one in many)
