"""A run: the server, the clients in some processes, the faults and the jobs; and what came of it."""

from __future__ import annotations

import multiprocessing
import queue
import random
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

from sqlalchemy import URL, Engine, create_engine

from flask_pg_audit import install_audit_triggers
from soak import faults
from soak.bank import TABLES, build, create
from soak.client import Client
from soak.disk import NoDiskError, SmallDisk, small_disk
from soak.dump import dump, find_programs, restore
from soak.faults import Place
from soak.jobs import Jobs
from soak.ledger import Ledger
from soak.oracle import Verdict, judge
from soak.server import MortalPostgres

#: Not forked: a process must not share the connections of another.
_PROCESSES = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Plan:
    """How much there is to do.

    :ivar requests: of all clients together that are committed, at least.
    :ivar seconds: after which the run ends, however many there were.
    :ivar pause: seconds between two faults.
    """

    requests: int = 1_000_000
    seconds: float = 3600
    clients: int = 16
    processes: int = 4
    pause: float = 4
    seed: int = 1
    driver: str = "psycopg2"

    def share(self, process: int) -> tuple[int, ...]:
        """The numbers of the clients of a process."""
        return tuple(range(process + 1, self.clients + 1, self.processes))


@dataclass(frozen=True)
class Report:
    """What a process has to tell.

    :ivar error: a traceback, of what should not have gone wrong.
    """

    requests: int = 0
    transactions: int = 0
    rolled_back: int = 0
    met: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    interrupted: Counter[str] = field(default_factory=Counter)
    findings: tuple[str, ...] = ()
    error: str | None = None

    def __add__(self, other: Report) -> Report:
        return Report(
            self.requests + other.requests,
            self.transactions + other.transactions,
            self.rolled_back + other.rolled_back,
            self.met + other.met,
            self.outcomes + other.outcomes,
            self.done + other.done,
            self.interrupted + other.interrupted,
            (*self.findings, *other.findings),
            self.error or other.error,
        )


@dataclass(frozen=True)
class Soaked:
    """What came of a run.

    :ivar faults: how often each was injected.
    :ivar seconds: in which the clients wrote.
    :ivar left_out: what was not possible, with the reason.
    :ivar restored: of a database that was restored from a dump.
    """

    plan: Plan
    postgresql: str
    seconds: float
    report: Report
    faults: Counter[str]
    left_out: dict[str, str]
    verdict: Verdict
    restored: Verdict | None

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found, in the end and meanwhile."""
        verdicts = filter(None, (self.verdict, self.restored))
        return not self.report.findings and all(verdict.is_clean for verdict in verdicts)


def soak(plan: Plan, say: Callable[[str], object] = print) -> Soaked:
    """Do it.

    :raises RuntimeError: a client or a job met something that is no part of the plan.
    """
    left_out: dict[str, str] = {}
    with MortalPostgres() as server, _disk(server, left_out) as disk:
        # Of its own: those who look at the server are in another one.
        server.create_database("bank")
        url = server.url("bank", plan.driver)
        bank = build(url)
        create(bank)
        if disk:
            move_history(bank.desk, disk.folder)
        ledgers = server.folder("ledgers")
        desk = create_engine(url, pool_pre_ping=True)
        place = Place(server, desk, disk, random.Random(plan.seed))
        report, injected, seconds = _run(plan, url, ledgers, place, say)
        say("comparing the history with the ledgers")
        install_audit_triggers(bank.db.metadata, desk)
        files = sorted(ledgers.iterdir())
        verdict = judge(bank, desk, files)
        bank.close()
        restored = _restore(server, plan, files, say, left_out)
        desk.dispose()
        version = ".".join(map(str, server.version))
    return Soaked(plan, version, seconds, report, injected, left_out, verdict, restored)


def _restore(
    server: MortalPostgres, plan: Plan, ledgers: Sequence[Path], say: Callable[[str], object], left_out: dict[str, str]
) -> Verdict | None:
    """The same comparison on what ``pg_restore`` makes of a dump."""
    programs = find_programs()
    if programs is None:
        left_out["dump and restore"] = "there is no pg_dump beside the server's programs"
        return None
    say("the same on a restored dump")
    server.create_database("restored")
    file, copy = server.folder("dump") / "bank", server.url("restored", plan.driver)
    dump(programs, server.url("bank", plan.driver), file)
    restore(programs, copy, file, "--no-tablespaces")
    bank = build(copy)
    verdict = judge(bank, bank.desk, ledgers)
    bank.close()
    return verdict


@contextmanager
def _disk(server: MortalPostgres, left_out: dict[str, str]) -> Iterator[SmallDisk | None]:
    try:
        with small_disk(server.folder("disk")) as disk:
            yield disk
    except NoDiskError as error:
        left_out["disk full"] = str(error)
        yield None


def move_history(engine: Engine, folder: Path) -> None:
    """Onto a disk of its own."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE TABLESPACE history LOCATION '{folder}'")
        for name in (*(f"{table}_audit" for table in TABLES.values()), "audit_transaction"):
            connection.exec_driver_sql(f'ALTER TABLE "{name}" SET TABLESPACE history')
            indexes = connection.exec_driver_sql(
                f"SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '\"{name}\"'::regclass"
            )
            for index in indexes.scalars().all():
                connection.exec_driver_sql(f"ALTER INDEX {index} SET TABLESPACE history")


def _run(
    plan: Plan, url: URL, ledgers: Path, place: Place, say: Callable[[str], object]
) -> tuple[Report, Counter[str], float]:
    stop, jobs_stop, results = _PROCESSES.Event(), _PROCESSES.Event(), _PROCESSES.Queue()
    clients = [
        _PROCESSES.Process(target=_write, args=(plan, url, ledgers, number, stop, results))
        for number in range(plan.processes)
    ]
    helper = _PROCESSES.Process(target=_help, args=(url, jobs_stop, results))
    reports, injected = [], Counter[str]()
    for process in (*clients, helper):
        process.start()
    try:
        # The first report of each says that it has begun.
        reports += [results.get(timeout=120) for _ in (*clients, helper)]
        start = time.monotonic()
        deadline = start + plan.seconds
        while len(reports) < 2 * len(clients) + 1 and not any(one.error for one in reports):
            if time.monotonic() > deadline:
                stop.set()
            elif not stop.is_set():
                injected[_inject(place)] += 1
                say(f"{time.monotonic() - start:5.0f} s: {_shown(injected)}")
            try:
                reports.append(results.get(timeout=min(plan.pause, max(0.1, deadline - time.monotonic()))))
            except queue.Empty:
                continue
        seconds = time.monotonic() - start
        stop.set()
        jobs_stop.set()
        while len(reports) < 2 * (len(clients) + 1):
            reports.append(results.get(timeout=120))
    finally:
        # Those that have told all there is end by themselves; the others are in the middle of something.
        for process in (*clients, helper):
            process.join(10 if len(reports) == 2 * (len(clients) + 1) else 0)
            process.kill()
    whole = sum(reports, Report())
    if whole.error:
        raise RuntimeError(whole.error)
    return whole, injected, seconds


def _inject(place: Place) -> str:
    name = faults.draw(place)
    faults.FAULTS[name][0](place)
    return name


def _shown(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _goes_on(stop: Event) -> bool:
    """Nobody goes on when the process that has the server is gone."""
    parent = multiprocessing.parent_process()
    return not stop.is_set() and parent is not None and parent.is_alive()


def _write(plan: Plan, url: URL, ledgers: Path, process: int, stop: Event, results: Queue[Report]) -> None:
    """A process of clients, each a thread; they take turns on fewer connections than they are."""
    numbers = plan.share(process)
    bank = build(url, connections=max(1, len(numbers) - 1))
    results.put(Report())

    def write(number: int) -> Report:
        ledger = Ledger(ledgers / f"{number}.csv", number)
        client = Client(number, bank, ledger, random.Random(plan.seed * 1000 + number))
        share = -(-plan.requests // plan.clients)
        try:
            client.run(lambda: ledger.transactions < share and _goes_on(stop))
        finally:
            ledger.close()
        return Report(client.requests, ledger.transactions, client.rolled_back, client.met, client.outcomes)

    def reported(number: int) -> Report:
        try:
            return write(number)
        except BaseException:
            stop.set()
            return Report(error=traceback.format_exc())

    with ThreadPoolExecutor(len(numbers)) as threads:
        results.put(sum(threads.map(reported, numbers), Report()))
    bank.close()


def _help(url: URL, stop: Event, results: Queue[Report]) -> None:
    """The process of the jobs."""
    results.put(Report())
    bank = build(url)
    running = Jobs(bank)
    try:
        running.run(lambda: _goes_on(stop))
        report = Report(done=running.done, interrupted=running.interrupted, findings=tuple(running.findings))
    except BaseException:
        report = Report(error=traceback.format_exc())
    results.put(report)
    bank.close()
