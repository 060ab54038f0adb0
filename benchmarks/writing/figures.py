"""Everything that one run found out, as kept beside the documentation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.application.figures import Applications, of_data
from benchmarks.writing.clients import Throughput
from benchmarks.writing.curves import Point
from benchmarks.writing.long_session import LongSession
from benchmarks.writing.series import Result
from benchmarks.writing.sizes import Size


@dataclass(frozen=True)
class Machine:
    """What it was measured on.

    :ivar size: ``full`` or ``quick``.
    """

    postgresql: str
    cores: int
    memory_gib: int
    size: str

    @property
    def major(self) -> int:
        """The version of the server, as in 18."""
        return int(self.postgresql.split(".")[0])


@dataclass(frozen=True)
class Entrant:
    """A contender; ``skipped`` says why it could not be measured."""

    name: str
    title: str
    configuration: str
    skipped: str | None = None


@dataclass(frozen=True)
class Measured:
    """A series; ``rows`` by each step."""

    name: str
    title: str
    rows: int


@dataclass(frozen=True)
class Figures:
    """One run, on one version of PostgreSQL.

    :ivar parts: of :mod:`.parts`, apart from the results of the contenders.
    :ivar application: what auditing costs an application, which can be measured alone.
    """

    machine: Machine
    entrants: tuple[Entrant, ...]
    series: tuple[Measured, ...]
    results: tuple[Result, ...]
    parts: tuple[Result, ...]
    sizes: tuple[Size, ...]
    throughput: tuple[Throughput, ...]
    long_sessions: tuple[LongSession, ...]
    points: tuple[Point, ...]
    application: Applications | None = None

    def to_json(self) -> str:
        """As text, with as many digits as mean something."""
        return json.dumps(_rounded(asdict(self)), indent=1, ensure_ascii=False) + "\n"

    @property
    def measured(self) -> tuple[Entrant, ...]:
        """Those that are not left out."""
        return tuple(one for one in self.entrants if one.skipped is None)


_KINDS: Mapping[str, type[Any]] = {
    "entrants": Entrant,
    "series": Measured,
    "results": Result,
    "parts": Result,
    "sizes": Size,
    "throughput": Throughput,
    "long_sessions": LongSession,
    "points": Point,
}

#: What may not have been measured yet.
_LATER: Mapping[str, Any] = {"parts": [], "application": None}


def from_json(text: str) -> Figures:
    """What :meth:`Figures.to_json` made."""
    data: dict[str, Any] = {**_LATER, **json.loads(text)}
    lists = {name: tuple(kind(**one) for one in data[name]) for name, kind in _KINDS.items()}
    application = of_data(data["application"])
    if set(data) != {field.name for field in fields(Figures)}:
        raise ValueError(f"figures of another version of the benchmark, with {', '.join(data)}: measure again")
    return Figures(machine=Machine(**data["machine"]), application=application, **lists)


def read_all(folder: Path) -> dict[int, Figures]:
    """All that are kept in a folder, by version of PostgreSQL, the newest first."""
    found = (from_json(path.read_text()) for path in folder.glob("writing-*.json"))
    return dict(sorted(((one.machine.major, one) for one in found), reverse=True))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
