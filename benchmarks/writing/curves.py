"""How cost grows: with rows per statement, columns, audited tables, and the size of the history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from benchmarks.contenders import Contender
from benchmarks.writing.arena import Lane, add_lane
from benchmarks.writing.changes import RECORDED, Change, insert, log_name, update
from benchmarks.writing.session import Session
from benchmarks.writing.tables import NARROW, ORDINARY, Shape, wide
from tools.embedded_postgres import EmbeddedPostgres

#: Measures at one place of a curve: microseconds of the processor for each row.
Measure = Callable[[Lane, Session, int], float]


@dataclass(frozen=True)
class Point:
    """:ivar y: microseconds of the processor for each row, more than without auditing."""

    curve: str
    contender: str
    x: int
    y: float


@dataclass(frozen=True)
class Extent:
    """How far the curves go, and how carefully."""

    rows: tuple[int, ...] = (1, 10, 100, 1_000, 10_000, 100_000)
    columns: tuple[int, ...] = (3, 10, 25, 50, 100, 200)
    tables: tuple[int, ...] = (1, 10, 50, 200)
    history: tuple[int, ...] = (0, 10_000, 100_000, 1_000_000, 3_000_000)
    rounds: int = 5
    statements: int = 1_000


QUICK = Extent(
    rows=(1, 100, 10_000),
    columns=(3, 25, 100),
    tables=(1, 10, 25),
    history=(0, 10_000, 50_000),
    rounds=3,
    statements=300,
)


def run(server: EmbeddedPostgres, contenders: Sequence[Contender], extent: Extent) -> list[Point]:
    """All of them, each with tables of its own in new databases."""
    return [
        *_rows(server, contenders, extent),
        *_columns(server, contenders, extent),
        *_tables(server, contenders, extent),
        *_history(server, contenders, extent),
    ]


def _rows(server: EmbeddedPostgres, contenders: Sequence[Contender], extent: Extent) -> list[Point]:
    most = max(extent.rows)

    def measure(lane: Lane, session: Session, x: int) -> float:
        times = max(1, min(extent.statements, most // x))
        many = Change(
            ORDINARY.name,
            "U",
            f"UPDATE {ORDINARY.name} SET amount = amount + 1 WHERE id > (i - 1) * {x} AND id <= i * {x}",
        )
        cost = session.loop(lane.sql(many), times).cpu / x
        session.do(f"VACUUM {ORDINARY.name}")
        return cost

    lanes = _lanes(server, contenders, [ORDINARY], "_rows")
    _fill(lanes, ORDINARY, most)
    return _curve("rows", lanes, extent.rows, measure, extent.rounds)


def _columns(server: EmbeddedPostgres, contenders: Sequence[Contender], extent: Extent) -> list[Point]:
    shapes = {columns: wide(columns) for columns in extent.columns}

    def measure(lane: Lane, session: Session, x: int) -> float:
        cost = session.loop(lane.sql(update(shapes[x])), extent.statements).cpu
        session.do(f"VACUUM {shapes[x].name}")
        return cost

    lanes = _lanes(server, contenders, list(shapes.values()), "_columns")
    for shape in shapes.values():
        _fill(lanes, shape, extent.statements)
    return _curve("columns", lanes, extent.columns, measure, extent.rounds)


def _tables(server: EmbeddedPostgres, contenders: Sequence[Contender], extent: Extent) -> list[Point]:
    shapes = [replace(NARROW, name=f"narrow_{number}") for number in range(max(extent.tables))]

    def measure(lane: Lane, session: Session, x: int) -> float:
        statements = "; ".join(lane.sql(update(shape)) for shape in shapes[:x])
        times = max(5, extent.statements // x)
        session.loop(statements, 1)  # plans are made once in a session
        return session.loop(statements, times).cpu / x

    lanes = _lanes(server, contenders, shapes, "_tables")
    for shape in shapes:
        _fill(lanes, shape, extent.statements)
    return _curve("tables", lanes, extent.tables, measure, extent.rounds)


def _history(server: EmbeddedPostgres, contenders: Sequence[Contender], extent: Extent) -> list[Point]:
    """The history grows from one place to the next."""
    lanes = _lanes(server, contenders, [ORDINARY], "_history")
    records = max(1_000, max(extent.history) // 10)
    _fill(lanes, ORDINARY, records)

    def measure(lane: Lane, session: Session, x: int) -> float:
        # Records from everywhere: an index is written where their history is.
        everywhere = update(ORDINARY).sql.replace("id = i", f"id = 1 + i * 7919 % {records}")
        cost = session.loop(lane.sql(Change(ORDINARY.name, "U", everywhere)), extent.statements).cpu
        session.do(f"VACUUM {ORDINARY.name}")
        return cost

    points, before = [], 0
    for size in extent.history:
        for lane in lanes:
            _lengthen(lane, size - before, records)
        points += _curve("history", lanes, [size], measure, extent.rounds)
        before = size
    return points


def _lengthen(lane: Lane, rows: int, records: int) -> None:
    """As many changes more, and a transaction for each two, straight into the tables."""
    name = {"floor": log_name(ORDINARY.name), "none": ""}.get(lane.contender.name, f"{ORDINARY.name}_audit")
    if not name or not rows:
        return
    recorded = {key: sql for key, sql in RECORDED.items() if key != "audit_username"}
    values = {field.name: field.value for field in ORDINARY.columns} | {"id": f"1 + i % {records}"}
    columns = ", ".join([*recorded, *values])
    recorded |= {"audit_transaction_id": "i / 2", "audit_operation": "'U'"}
    selected = ", ".join([*recorded.values(), *values.values()])
    with lane.session() as session:
        session.do(f"INSERT INTO {name} ({columns}) SELECT {selected} FROM generate_series(1, {rows}) AS i")
        if not lane.contender.by_hand:
            session.do(
                "INSERT INTO audit_transaction (issued_at, username, db_role) "
                f"SELECT now(), 'user' || i % 500, 'shop' FROM generate_series(1, {rows // 2}) AS i"
            )


def _lanes(server: EmbeddedPostgres, contenders: Sequence[Contender], shapes: Sequence[Shape], name: str) -> list[Lane]:
    return [add_lane(server, contender, shapes, name) for contender in contenders]


def _fill(lanes: Sequence[Lane], shape: Shape, rows: int) -> None:
    """The tables, without a history."""
    for lane in lanes:
        with lane.session() as session:
            session.do(
                f"SET session_replication_role = replica; {insert(shape, rows).sql}; RESET session_replication_role"
            )
            session.do(f"VACUUM ANALYZE {shape.name}")


def _curve(name: str, lanes: Sequence[Lane], places: Sequence[int], measure: Measure, rounds: int) -> list[Point]:
    """The least of the rounds, in which the contenders take turns, at each place."""
    least: dict[tuple[str, int], float] = {}
    for x in places:
        for _ in range(rounds):
            for lane in lanes:
                with lane.session() as session:
                    key, cost = (lane.contender.name, x), measure(lane, session, x)
                    least[key] = min(cost, least.get(key, cost))
    return [
        Point(name, contender, x, cost - least["none", x])
        for (contender, x), cost in least.items()
        if contender != "none"
    ]
