"""A disk of its own for the history, in memory, that can be full from one moment to the next."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

#: Larger than any run's history.
ROOMY = "16g"

#: Bytes that are left on a full disk. No size is smaller than what is in use, which grows.
MARGIN = 64 * 1024


class NoDiskError(RuntimeError):
    """No file system can be mounted here; the message says why."""


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system of memory pages."""

    folder: Path

    def fill(self) -> None:
        """Leave next to no room beyond what is in use."""
        while not self._resize(str(self._used() + MARGIN)):
            pass  # somebody wrote more than that meanwhile

    def make_room(self) -> None:
        """As much as in the beginning."""
        self._resize(ROOMY)

    def _used(self) -> int:
        found = os.statvfs(self.folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    def _resize(self, size: str) -> bool:
        done = subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], capture_output=True)
        return done.returncode == 0


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """Mount one there.

    :raises NoDiskError: not as this user, or not on this system.
    """
    if os.geteuid() != 0:
        raise NoDiskError("only root can mount a disk that is full")
    owner = folder.stat()
    options = f"size={ROOMY},uid={owner.st_uid},gid={owner.st_gid},mode=700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "soak", folder], capture_output=True, text=True)
    if done.returncode:
        raise NoDiskError(f"no disk can be mounted that is full: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a server that has just been killed may not have let go of it yet.
        subprocess.run(["umount", "--lazy", folder], check=False)
