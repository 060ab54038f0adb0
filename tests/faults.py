"""A bank that is written to while something goes wrong, for the tests of faults."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import Event

from sqlalchemy import URL

from soak.bank import Bank, build, create
from soak.client import Client
from soak.ledger import Ledger
from soak.oracle import Verdict, judge
from soak.server import MortalPostgres
from soak.works import PREPARED, WORKS, Work
from tests.server import DRIVER

KINDS = {work.name: work for work in (*WORKS, PREPARED)}


@dataclass
class Scene:
    """The bank, and those who write to it."""

    bank: Bank
    folder: Path
    clients: list[Client] = field(default_factory=list)

    def client(self) -> Client:
        """A new one; what it does is the same in each run."""
        number = len(self.clients) + 1
        ledger = Ledger(self.folder / f"{number}.csv", number)
        self.clients.append(Client(number, self.bank, ledger, random.Random(number)))
        return self.clients[-1]

    @contextmanager
    def load(self, clients: int = 4) -> Iterator[None]:
        """So many write, each at least once before and once after what happens meanwhile."""
        working = [self.client() for _ in range(clients)]
        stop = Event()
        with ThreadPoolExecutor(clients) as threads:
            running = [threads.submit(client.run, lambda: not stop.is_set()) for client in working]

            def have_written(before: Sequence[int]) -> bool:
                for each in running:
                    if each.done():  # it was not told to stop, so this is the error that it stopped with
                        each.result()
                return all(map(int.__gt__, (one.ledger.transactions for one in working), before))

            try:
                wait_until(lambda: have_written([0] * clients))
                yield
                before = [client.ledger.transactions for client in working]
                wait_until(lambda: have_written(before))
            finally:
                stop.set()
        for each in running:
            each.result()

    @property
    def met(self) -> Counter[str]:
        """What went wrong for all clients."""
        return sum((client.met for client in self.clients), Counter[str]())

    def move(self, url: URL) -> None:
        """The bank's database is at another address from now on."""
        self.bank.close()
        self.bank = build(url)
        for client in self.clients:
            client.bank = self.bank

    def judge(self) -> Verdict:
        """What the history tells, compared with what was committed."""
        for client in self.clients:
            client.finish_prepared()
            client.ledger.flush()
        return judge(self.bank, self.bank.desk, [self.folder / f"{client.number}.csv" for client in self.clients])

    def assert_clean(self) -> None:
        """Nothing is lost, nothing is wrong, and there was something."""
        verdict = self.judge()
        assert verdict.is_clean, verdict
        assert verdict.changes


@contextmanager
def scene(url: URL, folder: Path) -> Iterator[Scene]:
    """A new bank."""
    made = Scene(build(url), folder)
    create(made.bank)
    try:
        yield made
    finally:
        for client in made.clients:
            client.ledger.close()
        made.bank.close()


_names = (f"scene_{number}" for number in count())


def new_database(server: MortalPostgres) -> URL:
    """An empty one."""
    name = next(_names)
    server.create_database(name)
    return server.url(name, DRIVER)


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    """Look again and again."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def do(client: Client, kind: str, times: int = 1) -> None:
    """Transactions of a kind."""
    work: Work = KINDS[kind]
    for _ in range(times):
        client.do(work)
