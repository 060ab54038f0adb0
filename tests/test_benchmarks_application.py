"""The benchmark of applications, with few objects: that its pieces run and mean what they say, not how fast they are.

The one thing that is measured for good is how often the server is asked.
"""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.application import contenders, programs, run, tabulate
from benchmarks.application.contenders import Application, from_pypi, own
from benchmarks.application.figures import Applications, Sent, Taken, of_data
from benchmarks.application.network import network
from benchmarks.application.steps import ONE, STAGES, Plan, Size
from benchmarks.application.targets import TARGETS, extra_statements, verdict
from benchmarks.application.worker import worker
from benchmarks.contenders import Unavailable
from benchmarks.writing import page
from benchmarks.writing.figures import from_json, read_all

TINY = Plan("quick", ("psycopg2", "psycopg"), 60, Size(2, 10, (2, 1, 1)), Size(1, 4, (1, 1, 1)), check=3)

TASKS = [step.task for stage in STAGES for step in stage]


def missing() -> Path:
    raise Unavailable("there is no such package")


@pytest.fixture(scope="module")
def figures() -> Applications:
    return run.measure([*own(), Application("absent", "absent 1.0", "any", missing)], TINY, lambda line: None)


def test_everything_is_measured(figures: Applications) -> None:
    measured = {(one.task, one.contender, one.driver, one.route) for one in figures.taken}
    assert measured == {
        (task, contender, driver, route)
        for task in TASKS
        for contender in ("none", "ours")
        for driver in TINY.drivers
        for route in ("socket", "network")
    }
    for one in figures.taken:
        assert one.wall >= one.least > 0
        assert one.client > 0
        assert one.ratio > 0
        assert one.rounds == (2 if one.task in [step.task for step in ONE] and one.route == "socket" else 1)


def test_the_network_is_a_millisecond_away(figures: Applications) -> None:
    assert figures.round_trip >= 1_000
    assert figures.near_round_trip < figures.round_trip


@pytest.mark.parametrize("driver", TINY.drivers)
def test_a_transaction_that_only_reads_sends_nothing_more(figures: Applications, driver: str) -> None:
    assert extra_statements(figures, driver, "read") == 0


@pytest.mark.parametrize(("driver", "task", "more"), [
    ("psycopg2", "insert", 0),
    ("psycopg2", "update", 0),
    ("psycopg2", "delete", 0),
    ("psycopg", "insert", 0),
    ("psycopg", "update", 1),
    ("psycopg", "delete", 1),
])  # fmt: skip
def test_a_write_waits_for_the_server_as_often_as_the_page_says(
    figures: Applications, driver: str, task: str, more: int
) -> None:
    assert extra_statements(figures, driver, task) == more


def test_ours_records_every_task_and_no_auditing_none(figures: Applications) -> None:
    for driver in TINY.drivers:
        for task in TASKS:
            ours, none = (figures.statements(task, name, driver) for name in ("ours", "none"))
            assert ours is not None
            assert none is not None
            assert ours.recorded is (None if task == "read" else True)
            assert not none.recorded


def test_who_cannot_take_part_is_left_out_with_the_reason(figures: Applications) -> None:
    assert [one.skipped for one in figures.participants] == [None, None, "there is no such package"]
    assert "| absent 1.0 | not measured: there is no such package |" in tabulate.contenders(figures)


def test_contenders_are_pinned_and_have_a_program() -> None:
    for one in from_pypi():
        assert re.search(r" \d+\.\d+\.\d+$", one.title)
        assert one.configuration
        assert (Path(programs.__path__[0]) / f"{one.name}.py").exists()
    assert all("==" in each for each in contenders.REQUIREMENTS)


def test_a_program_that_fails_says_why() -> None:
    here = Path(sys.executable)
    with (
        pytest.raises(Unavailable, match=r"No module named '.*\.unheard_of'"),
        worker(here, "unheard_of", "postgresql://") as started,
    ):
        started.answer()


def test_a_process_that_ends_says_why(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no more memory' >&2\n")
    program.chmod(0o700)
    with pytest.raises(Unavailable, match="no more memory"), worker(program, "none", "postgresql://") as started:
        started.answer()


def test_a_network_holds_back_each_piece_and_keeps_their_order(tmp_path: Path) -> None:
    path, delay, received = tmp_path / "s", 0.05, b""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        echo = threading.Thread(target=_echo, args=[listener])
        echo.start()
        with network(path, delay) as port, socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            start = time.perf_counter()
            for number in range(100):
                connection.sendall(f"{number},".encode())
            while received.count(b",") < 100:
                received += connection.recv(65_536)
            passed = time.perf_counter() - start
            connection.shutdown(socket.SHUT_WR)
            echo.join()
    assert received == b"".join(f"{number},".encode() for number in range(100))
    # There and back once, not once for each of them.
    assert 2 * delay <= passed < 50 * delay


def _echo(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        while piece := connection.recv(65_536):
            connection.sendall(piece)


def taken(contender: str, ratio: float, task: str = "insert") -> Taken:
    return Taken(task, contender, "psycopg2", "socket", 100 * ratio, 90, 50, 50, ratio, ratio, 1)


def of(*many: Taken, sent: tuple[Sent, ...] = ()) -> Applications:
    return Applications("full", "18.6", 10, 10, 50, 1_100, (), many, sent)


def test_targets_are_met_or_missed() -> None:
    insert, read = (next(one for one in TARGETS if one.task == task) for task in ("insert", "read"))
    assert verdict(insert, of(taken("ours", 1.25)), "psycopg2") == "1.25 ×, met"
    assert verdict(insert, of(taken("ours", 1.26)), "psycopg2") == "1.26 ×, missed"
    assert verdict(insert, of(), "psycopg2") == "not measured"
    # Nothing is done: less than a twentieth is noise.
    assert verdict(read, of(taken("ours", 1.04, "read")), "psycopg2") == "1.04 ×, met"
    assert verdict(read, of(taken("ours", 1.06, "read")), "psycopg2") == "1.06 ×, missed"


def test_what_is_not_recorded_is_marked(figures: Applications) -> None:
    [known] = [one for one in figures.sent if (one.task, one.contender, one.driver) == ("insert", "ours", "psycopg2")]
    forgetful = replace(figures, sent=(replace(known, recorded=False),))
    assert "(nothing)" in tabulate.times(forgetful, ONE, "socket")
    assert "(nothing)" not in tabulate.times(figures, ONE, "socket")


def test_a_ratio_is_that_of_the_same_round() -> None:
    rounds = run.Rounds()
    for none, ours in ((100, 120), (1_000, 1_200), (200, 240)):
        for name, wall in (("none", none), ("ours", ours)):
            rounds.add("insert", name, {"wall": wall, "least": wall, "client": wall, "server": 0})
    found = next(one for one in rounds.taken("psycopg2", "socket") if one.contender == "ours")
    assert (found.wall, found.least, found.ratio, found.work, found.rounds) == (240, 120, 1.2, 1.2, 3)


def test_figures_survive_being_kept(figures: Applications) -> None:
    [kept, *_] = read_all(page.DATA).values()
    again = from_json(replace(kept, application=figures).to_json()).application
    assert again is not None
    assert again.participants == figures.participants
    assert of_data(None) is None


def test_every_table_is_made_of_the_figures(figures: Applications) -> None:
    for name, table in tabulate.TABLES.items():
        assert table(figures).count("|") > 10 or name == "application conditions"
    assert "flask-pg-audit" in tabulate.statements(figures)
    assert tabulate.targets({18: figures}).count("read only") == 2
