"""What the cost of the default configuration is made of: what is left when one thing after another is taken away."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contenders import Contender
from benchmarks.contenders.floor import FLOOR
from benchmarks.contenders.ours import DEFAULT, variant
from benchmarks.contenders.unaudited import NONE
from benchmarks.writing import series
from benchmarks.writing.arena import Arena, add_lane
from benchmarks.writing.series import Result, Say, Series
from benchmarks.writing.tables import ORDINARY

STEPS = ("insert", "update", "unchanged", "delete")

_TIME = f"DROP INDEX ix_{ORDINARY.name}_audit_time;"
_KEY = f"DROP INDEX ix_{ORDINARY.name}_audit_key;"
_PRIMARY = f"ALTER TABLE {ORDINARY.name}_audit DROP CONSTRAINT {ORDINARY.name}_audit_pkey;"
_LOOK = "CREATE OR REPLACE FUNCTION audit_current_transaction() RETURNS int8 LANGUAGE sql AS 'SELECT 1::int8';"

#: Each without what the one before it lacks, too; the last, which is none of them, is another way to record.
PARTS = (
    variant("part_time", "without the index on the time", _TIME),
    variant("part_key", "and without the index on the key", _TIME + _KEY),
    variant("part_primary", "and without the primary key", _TIME + _KEY + _PRIMARY),
    variant("part_look", "and without a look for the transaction's row", _TIME + _KEY + _PRIMARY + _LOOK),
    variant(
        "part_unchanged",
        "and with `skip_unchanged=False`",
        _TIME + _KEY + _PRIMARY + _LOOK,
        skip_unchanged=False,
    ),
    variant("part_row", 'all of it, but with `level="row"`', level="row"),
)

#: In the order of the table.
ALL: tuple[Contender, ...] = (NONE, FLOOR, DEFAULT, *PARTS)


def series_of(single: int, bulk: int) -> Iterator[Series]:
    """One-row statements, and the same with many rows."""
    yield series.only(series.single(ORDINARY, single), STEPS)
    yield series.only(series.bulk(ORDINARY, bulk), STEPS)


def run(place: Arena, single: int, bulk: int, rounds: int, seconds: float, say: Say = print) -> list[Result]:
    """Measure them in databases of their own."""
    lanes = [add_lane(place.server, contender, [ORDINARY], "_parts") for contender in ALL]
    results = [one for each in series_of(single, bulk) for one in series.run(each, lanes, rounds, seconds, say)]
    for lane in lanes:
        lane.engine.dispose()
    return results
