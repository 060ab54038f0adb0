"""The process of a contender, from outside."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.contenders import Unavailable

ROOT = Path(__file__).parent.parent.parent

#: Isolated, but for this repository, which comes first: another one may be installed.
START = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks.application.programs.serve import main; main()"

#: For one answer.
SECONDS = 180.0


class Worker:
    """Told what to do, a line at a time."""

    def __init__(self, process: subprocess.Popen[str], complaints: IO[bytes]) -> None:
        self._process = process
        self._complaints = complaints

    def ask(self, **message: Any) -> dict[str, Any]:
        """Its answer.

        :raises Unavailable: it says that it cannot, says nothing in time, or is gone.
        """
        self.tell(**message)
        return self.answer()

    def tell(self, **message: Any) -> None:
        """Do not wait for the answer."""
        with suppress(BrokenPipeError):  # it is gone, so there will be no answer
            print(json.dumps(message), file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """The answer to what it was told first.

        :raises Unavailable: as for :meth:`ask`.
        """
        clock = threading.Timer(SECONDS, self._process.kill)
        clock.start()
        try:
            line = self._process.stdout.readline() if self._process.stdout else ""
        finally:
            clock.cancel()
        if not line:
            raise Unavailable(f"its process ended, or took more than {SECONDS:.0f} s: {self._last_complaint()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Unavailable(answer["error"])
        return answer

    def _last_complaint(self) -> str:
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        return next(filter(None, reversed(lines)), "it says nothing")

    def do(self, task: str, count: int) -> dict[str, float]:
        """Have it do something to so many objects: microseconds for each, by whose they are."""
        return self.ask(call="do", task=task, count=count)


@contextmanager
def worker(python: Path, contender: str, url: str) -> Iterator[Worker]:
    """Start the application of a contender; its first answer is that it has started."""
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            [str(python), "-I", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        try:
            started = Worker(process, complaints)
            started.tell(contender=contender, url=url)
            yield started
        finally:
            process.kill()
            if process.stdin:
                with suppress(BrokenPipeError):  # what it did not read
                    process.stdin.close()
