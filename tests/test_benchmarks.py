"""The benchmark of writing, on tiny sizes: that its pieces run and mean what they say, not how fast anything is.

``make bench`` measures; ``python -m benchmarks.guard`` is the one that fails when auditing has become dearer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine

from benchmarks import guard
from benchmarks.application import tabulate as of_applications
from benchmarks.contenders import Contender, Unavailable, environment, from_pypi, own
from benchmarks.guard import regressions
from benchmarks.writing import clients, long_session, page, series, sizes, tabulate
from benchmarks.writing.__main__ import SHAPES, Plan, measure
from benchmarks.writing.arena import Arena, Lane, add_lane, arena
from benchmarks.writing.chart import Chart
from benchmarks.writing.curves import Extent
from benchmarks.writing.figures import Figures, from_json, read_all
from benchmarks.writing.series import Result, Rounds, Series, overhead, ratio
from benchmarks.writing.session import Session
from benchmarks.writing.tables import CHILD, NARROW, ORDINARY, PARENT, WIDE, Shape, create_plain
from benchmarks.writing.targets import TARGETS, verdict

TINY = Plan(
    size="quick",
    single=20,
    bulk=40,
    rounds=1,
    seconds=0,
    clients=(1, 4),
    transactions=8,
    steps=1,
    extent=Extent(rows=(1, 10), columns=(3, 10), tables=(1, 2), history=(0, 100), rounds=1, statements=10),
)


@pytest.fixture(scope="module")
def place() -> Iterator[Arena]:
    with arena(own(), (*SHAPES, PARENT, CHILD), say=lambda line: None) as place:
        yield place


@pytest.fixture(scope="module")
def figures(place: Arena) -> Figures:
    return measure(place, TINY, say=lambda line: None)


def test_everything_is_measured(figures: Figures) -> None:
    names = {one.name for one in figures.entrants}
    assert names == {"none", "floor", "ours", "minimal"}
    for each in figures.series:
        assert {one.contender for one in figures.results if one.series == each.name} == names
    assert {(one.contender, one.clients) for one in figures.throughput} == {(name, n) for name in names for n in (1, 4)}
    assert {one.contender for one in figures.long_sessions} == names
    assert {one.curve for one in figures.points} == {"rows", "columns", "tables", "history"}


def test_steps_of_a_round_leave_nothing(place: Arena, figures: Figures) -> None:
    for lane in place.lanes:
        with lane.session() as session:
            for table in (*lane.tables, *lane.history):
                assert session.ask(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize("shape", [NARROW, ORDINARY, WIDE], ids=lambda shape: shape.name)
def test_a_history_takes_bytes(place: Arena, shape: Shape) -> None:
    found = [one for one in sizes.measure(place.lane("ours"), shape, 30) if one.operation == "insert"]
    plain = [one for one in sizes.measure(place.lane("none"), shape, 30) if one.operation == "insert"]
    assert found[0].heap > 0
    assert found[0].indexes > 0
    assert plain[0].heap == plain[0].indexes == 0
    assert found[0].wal > plain[0].wal > 0


def history(place: Arena, contender: str, table: str) -> list[str]:
    lane = place.lane(contender)
    name = f"{table}_log" if contender == "floor" else f"{table}_audit"
    with lane.session() as session:
        return list(session.ask(f"SELECT array_agg(audit_operation::text ORDER BY audit_id) FROM {name}"))


def test_the_floor_records_what_ours_records(place: Arena) -> None:
    """A cascade needs two statements by hand."""
    both = series.cascade(2)
    for name in ("floor", "ours"):
        lane = place.lane(name)
        with lane.session() as session:
            for step in both.steps:
                session.loop(step.sql(lane), 2)
            assert [history(place, name, table) for table in ("parent", "child")] == [["I", "I", "D", "D"]] * 2
            lane.empty(session, both.tables)


def test_who_is_recorded_with_each_transaction(place: Arena) -> None:
    with place.lane("ours").session() as session:
        session.statement(f"INSERT INTO {NARROW.name} VALUES (1, 'a', 0)")
        session.transactions(f"UPDATE {NARROW.name} SET amount = i", 3)
        assert session.ask("SELECT count(*) FROM audit_transaction WHERE username = 'alice'") == 4
        assert session.ask(f"SELECT count(DISTINCT audit_transaction_id) FROM {NARROW.name}_audit") == 4
        place.lane("ours").empty(session, [NARROW.name])


def test_who_records_nothing_takes_no_part(place: Arena) -> None:
    def install(engine: Engine, shapes: object) -> None:
        create_plain(engine, [NARROW])
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE history (id bigint)")

    with pytest.raises(Unavailable, match="recorded 0 of 3 changes"):
        add_lane(place.server, Contender("idle", "idle", "records nothing", install), [NARROW])


def test_who_cannot_be_installed_is_left_out_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(environment, "CACHE", tmp_path / "file")
    none = own()[0]
    with arena([none, environment.contender("some-audit", "1.0", "any")], [NARROW], say=lambda line: None) as place:
        assert [lane.contender for lane in place.lanes] == [none]
        assert "NotADirectoryError" in place.skipped["some_audit"]


def test_contenders_are_pinned_and_say_their_configuration() -> None:
    for one in from_pypi():
        assert re.search(r" \d+\.\d+\.\d+$", one.title)
        assert one.configuration
        assert one.begin.endswith(";")
        assert (environment.INSTALLERS / f"{one.name}.py").exists()


def results(**costs: float) -> list[Result]:
    return [Result("single account", "update", name, cost, cost, cost, 1) for name, cost in costs.items()]


def test_overhead_is_above_none_and_relative_to_the_floor() -> None:
    found = results(none=10, floor=14, ours=20)
    assert overhead(found, "single account", "update", "ours") == 10
    assert ratio(found, "single account", "update", "ours") == 2.5
    assert overhead(found, "single account", "update", "minimal") is None


def test_targets_are_met_or_missed() -> None:
    target = next(one for one in TARGETS if (one.series, one.step) == ("single account", "update"))
    assert verdict(target, results(none=10, floor=14, ours=20)) == "2.50 ×, met"
    assert verdict(target, results(none=10, floor=14, ours=30)) == "5.00 ×, missed"
    assert verdict(target, []) == "not measured"


def test_figures_survive_being_kept(figures: Figures) -> None:
    kept = from_json(figures.to_json())
    assert kept.entrants == figures.entrants
    assert from_json(kept.to_json()) == kept


def test_every_table_is_made_of_the_figures(figures: Figures) -> None:
    for name, table in page.TABLES.items():
        assert table(figures).count("|") > 10 or name == "machine"
    assert "flask-pg-audit" in tabulate.series(figures, "single account")


def test_curves_are_pictures(figures: Figures) -> None:
    pictures = page.pictures(figures)
    assert len(pictures) == len(page.CURVES)
    for picture in pictures.values():
        assert ElementTree.fromstring(picture).tag.endswith("svg")
        assert picture.count("<polyline") >= 3


def test_a_chart_names_its_lines() -> None:
    chart = Chart("T", "x", "y & z", {"a < b": [(0, 1.0), (10, 2.0)], "c": [(0, -1.0), (10, 0.5)]})
    texts = [each.text for each in ElementTree.fromstring(chart.render()).iter() if each.tag.endswith("text")]
    assert {"a < b", "c", "x", "y & z", "0", "10"} <= set(texts)


def test_the_page_is_that_of_the_figures() -> None:
    """``make bench BENCH_ARGS=--write`` makes both."""
    text = page.PAGE.read_text()
    assert page.with_figures(text, read_all(page.DATA)) == text


def test_the_pictures_are_those_of_the_figures() -> None:
    """Of the newest version, which are those that the page shows."""
    versions = read_all(page.DATA)
    drawn = page.pictures(versions[max(versions)])
    assert {path.name: path.read_text() for path in page.PICTURES.glob("cost-*.svg")} == drawn


def test_the_page_has_a_place_for_every_figure() -> None:
    places = set(re.findall("<!-- figures: (.*?) -->", page.PAGE.read_text()))
    curves = {f"curve {name}" for name in page.CURVES}
    assert places == {*page.TABLES, "targets", *of_applications.TABLES, "application targets", *curves}


RECORDED = {"single insert": 2.0, "bulk update": 1.6}


def test_the_guard_lets_a_quarter_pass() -> None:
    assert regressions(RECORDED, {"single insert": 2.49, "bulk update": 2.0}) == []
    assert regressions(RECORDED, {"single insert": 0.5, "bulk update": 1.0}) == []


def test_the_guard_says_what_has_grown() -> None:
    (line,) = regressions(RECORDED, {"single insert": 3.0, "bulk update": 1.6})
    assert line == ("single insert: the overhead is 3.00 times the floor's, recorded are 2.00: +50%, allowed are +25%")


def test_the_guard_measures_again_before_it_says_no(place: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SINGLE", 5)
    monkeypatch.setattr(guard, "BULK", 10)
    monkeypatch.setattr(guard, "MORE_ROUNDS", 1)
    rounds: list[str] = []
    run_once = series.run_once

    def counted(each: Series, lane: Lane, session: Session, measured: Rounds) -> None:
        rounds.append(lane.contender.name)
        run_once(each, lane, session, measured)

    monkeypatch.setattr(series, "run_once", counted)
    impossible = {f"{size} {step}": -1e9 for size in ("single", "bulk") for step in guard.STEPS}
    measured = guard.measure(place, impossible, rounds=2, tries=3)
    assert rounds.count("ours") == (2 + 1 + 1) * 2
    assert set(measured) == set(impossible)
    rounds.clear()
    guard.measure(place, dict.fromkeys(impossible, 1e9), rounds=2, tries=3)
    assert rounds.count("ours") == 2 * 2


def test_many_clients_write_each_their_own(place: Arena) -> None:
    found = clients.run_once(place.lane("ours"), 4, 5)
    assert found.per_second > 0
    assert found.cpu > 0


def test_a_long_session_has_statements_on_one_row_and_on_many(place: Arena) -> None:
    lane = place.lane("ours")
    found = long_session.run(lane, steps=2, seconds=0)
    assert found.statements == 2 * (3 * long_session.SINGLE_PER_STEP + 1)
    assert min(found.fresh, found.after_one, found.first, found.last) > 0
