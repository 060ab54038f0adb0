"""Whether auditing has become dearer: ``python -m benchmarks.guard``, in less than a minute.

Measures one-row and bulk statements without auditing, with the floor and with the default configuration, and compares
the overhead, as many times that of the floor, with what was recorded in ``docs/_data/guard.json`` for the version of
PostgreSQL. Exit code 1, and a line for each, when one has grown by more than a quarter.

A busy machine must not make it fail: it counts the server's time on the processor, the least of rounds in which the
three take turns, and measures more rounds before it says no. ``--record`` writes the figures down.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contenders import own
from benchmarks.writing import series
from benchmarks.writing.arena import Arena, arena
from benchmarks.writing.series import Rounds
from benchmarks.writing.tables import ORDINARY

DATA = Path(__file__).parent.parent / "docs" / "_data" / "guard.json"

#: How many times what was recorded is still good.
ALLOWED = 1.25

SINGLE, BULK = 1_500, 20_000
FIRST_ROUNDS, MORE_ROUNDS, TRIES = 8, 6, 3
STEPS = ("insert", "update", "delete")

#: By what was done, as many times the overhead of the floor.
Ratios = Mapping[str, float]


def regressions(recorded: Ratios, measured: Ratios, allowed: float = ALLOWED) -> list[str]:
    """A line for each that has grown by more than is allowed."""
    return [
        f"{what}: the overhead is {measured[what]:.2f} times the floor's, recorded are {recorded[what]:.2f}: "
        f"{measured[what] / recorded[what] - 1:+.0%}, allowed are {allowed - 1:+.0%}"
        for what in recorded
        if measured[what] > recorded[what] * allowed
    ]


def measure(place: Arena, recorded: Ratios | None, rounds: int = FIRST_ROUNDS, tries: int = TRIES) -> Ratios:
    """The ratios.

    :param recorded: as long as they look worse than these, up to ``tries`` times, more rounds are measured.
    """
    guarded = tuple(series.only(each, STEPS) for each in (series.single(ORDINARY, SINGLE), series.bulk(ORDINARY, BULK)))
    measured = {each.name: Rounds() for each in guarded}
    for attempt in range(tries):
        for each in guarded:
            with ExitStack() as stack:
                sessions = [(lane, stack.enter_context(lane.session())) for lane in place.lanes]
                for _ in range(MORE_ROUNDS if attempt else rounds):
                    for lane, session in sessions:
                        series.run_once(each, lane, session, measured[each.name])
        ratios = _ratios(measured)
        if recorded is not None and not regressions(recorded, ratios):
            break
    return ratios


def _ratios(measured: Mapping[str, Rounds]) -> dict[str, float]:
    results = [one for name, rounds in measured.items() for one in rounds.results(name)]
    found = {
        f"{name.split()[0]} {step}": series.ratio(results, name, step, "ours", of="least_cpu")
        for name in measured
        for step in STEPS
    }
    return {what: round(ratio, 3) for what, ratio in found.items() if ratio is not None}


def read(major: int) -> Ratios | None:
    """What was recorded for a version of PostgreSQL."""
    data: dict[str, Ratios] = json.loads(DATA.read_text()) if DATA.exists() else {}
    return data.get(str(major))


def record(major: int, ratios: Ratios) -> None:
    """Write them down, beside those of other versions."""
    data = json.loads(DATA.read_text()) if DATA.exists() else {}
    data[str(major)] = ratios
    DATA.write_text(json.dumps(dict(sorted(data.items())), indent=2) + "\n")


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write the figures down")
    options = parser.parse_args()
    guarded = [contender for contender in own() if contender.name in ("none", "floor", "ours")]
    with arena(guarded, [ORDINARY], say=lambda line: None) as place:
        major = place.server.version[0]
        recorded = None if options.record else read(major)
        if recorded is None and not options.record:
            print(f"Nothing is recorded for PostgreSQL {major}: python -m benchmarks.guard --record", file=sys.stderr)
            return 1
        measured = measure(place, recorded)
    print(f"PostgreSQL {major}, overhead as many times the floor's:")
    print(*(f"  {what}: {ratio:.2f}" for what, ratio in measured.items()), sep="\n")
    if recorded is None:
        record(major, measured)
        return 0
    grown = regressions(recorded, measured)
    print(*(grown or ["Auditing costs no more than recorded."]), sep="\n", file=sys.stderr)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
