"""A network of one's own: a process that passes on what it gets, later.

It listens on the loopback interface only, and leads to the socket of a server on this machine.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.application import delay

#: Seconds for each direction: a millisecond for each round trip.
ONE_WAY = 0.0005


@contextmanager
def network(socket: Path, one_way: float = ONE_WAY) -> Iterator[int]:
    """Open one; yields the port on 127.0.0.1 behind which the server is that far away.

    A process of its own: in ours, it would wait for what measures.
    """
    command = [sys.executable, "-I", delay.__file__, str(socket), str(one_way)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline() if process.stdout else "")
        finally:
            process.terminate()
