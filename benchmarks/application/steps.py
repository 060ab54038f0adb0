"""What is done one after the other, and how often."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """:ivar task: one of :mod:`benchmarks.application.programs.tasks`."""

    task: str
    title: str


#: A transaction for each object. The last one leaves nothing.
ONE = (
    Step("insert", "insert"),
    Step("update", "read, update"),
    Step("read", "read only"),
    Step("delete", "read, delete"),
)

#: Many objects in one transaction.
FLUSH = (Step("flush insert", "add_all()"), Step("flush update", "update of each"))
BULK = (Step("bulk insert", "insert(), many rows"), Step("bulk update", "update(), one statement"))

STAGES = (ONE, FLUSH, BULK)
DRIVERS = ("psycopg2", "psycopg")


@dataclass(frozen=True)
class Size:
    """How much is done each time, on one route.

    :ivar rounds: for each of the stages.
    """

    transactions: int
    objects: int
    rounds: tuple[int, int, int]


@dataclass(frozen=True)
class Plan:
    """:ivar seconds: for each contender and stage, after which it gets no further round than the first.
    :ivar near: over a socket.
    :ivar far: over a network.
    :ivar check: objects with which it is checked that a contender records, and statements are counted.
    """

    size: str = "full"
    drivers: tuple[str, ...] = DRIVERS
    seconds: float = 4.0
    near: Size = Size(25, 5_000, (12, 4, 5))
    far: Size = Size(15, 1_000, (6, 3, 3))
    check: int = 5


QUICK_PLAN = Plan("quick", DRIVERS, 2.0, Size(25, 2_000, (6, 2, 3)), Size(10, 200, (3, 2, 2)))
