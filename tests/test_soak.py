"""``make soak`` in its short form, and that its oracle sees what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_pg_audit.database.baseline import baseline
from soak import page
from soak.bank import Bank
from soak.jobs import JOBS, Jobs
from soak.run import Plan, Soaked, soak
from tests.capture import rewriting, run
from tests.documentation import ROOT
from tests.faults import Scene, do, scene
from tests.server import DRIVER, Database


@pytest.fixture(scope="module")
def soaked() -> Soaked:
    plan = Plan(requests=600, seconds=30, clients=16, processes=2, pause=0.5, seed=7, driver=DRIVER)
    return soak(plan, say=lambda line: None)


def test_nothing_is_lost(soaked: Soaked) -> None:
    assert soaked.is_clean, (soaked.report.findings, soaked.verdict, soaked.restored)


def test_something_was_done(soaked: Soaked) -> None:
    assert soaked.report.transactions >= 600 or soaked.seconds >= 30
    assert soaked.verdict.changes > soaked.report.transactions > 0
    assert soaked.faults.total() >= 1
    assert soaked.report.done.total() >= 1


def test_what_could_not_be_done_is_said(soaked: Soaked) -> None:
    assert ("dump and restore" in soaked.left_out) == (soaked.restored is None)


def test_figures_can_be_shown(soaked: Soaked) -> None:
    shown = page.render(page.figures(soaked))
    assert f"{soaked.verdict.changes:,} changes" in shown
    for meaning in page.MEANING.values():
        assert f"| {meaning} | 0 |" in shown


def test_the_page_shows_the_figures_that_were_kept() -> None:
    text = page.PAGE.read_text()
    assert page.with_figures(text, page.read()) == text


def test_the_figures_that_were_kept_are_good_ones() -> None:
    data = page.read()
    assert data["clients"] == 16
    assert data["changes"] == data["recorded"] > 100_000
    assert not any(data["wrong"].values())
    assert not any(data["restored"].values())
    assert not data["left_out"]


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Scene]:
    with scene(database.url(), tmp_path) as made:
        client = made.client()
        for kind in ("insert", "several statements", "shared rows", "bulk update"):
            do(client, kind, 3)
        yield made


#: Those of the baseline are newer.
NEWEST = "(SELECT max(audit_id) FROM account_audit WHERE audit_operation = 'I')"


def test_the_oracle_sees_nothing_where_nothing_is(place: Scene) -> None:
    place.assert_clean()


@pytest.mark.parametrize(
    ("wrong", "statement"),
    [
        ("lost", f"DELETE FROM account_audit WHERE audit_id = {NEWEST}"),
        ("unexplained", f"UPDATE account_audit SET stamp = 'other' WHERE audit_id = {NEWEST}"),
        (
            "doubled",
            "INSERT INTO account_audit SELECT (jsonb_populate_record(h, jsonb_build_object('audit_id', 0))).* "
            f"FROM account_audit AS h WHERE audit_id = {NEWEST}",
        ),
        ("wrong_user", f"UPDATE account_audit SET audit_username = 'eve' WHERE audit_id = {NEWEST}"),
        ("wrong_user", "UPDATE audit_transaction SET actor_id = 'eve'"),
        ("wrong_image", f"UPDATE account_audit SET note = 'other' WHERE audit_id = {NEWEST}"),
        ("wrong_image", "UPDATE counter_audit SET amount = -amount"),
        ("out_of_order", "UPDATE account_audit SET audit_id = -audit_id"),
        ("out_of_order", "UPDATE counter_audit SET audit_id = -audit_id"),
        (
            "split",
            'UPDATE "Order Line_audit" SET audit_transaction_id = -audit_transaction_id WHERE audit_id % 2 = 0',
        ),
        ("merged", "UPDATE account_audit SET audit_transaction_id = 1"),
        ("orphaned", "DELETE FROM audit_transaction"),
        ("orphaned", "INSERT INTO audit_transaction (issued_at, db_role) VALUES (now(), 'eve')"),
        (
            "baselined_twice",
            "INSERT INTO account_audit SELECT (jsonb_populate_record(h, jsonb_build_object('audit_id', 0))).* "
            "FROM account_audit AS h WHERE audit_operation = 'S' AND id = -1",
        ),
        (
            "not_as_live",
            "ALTER TABLE account DISABLE TRIGGER USER; UPDATE account SET amount = 1000; "
            "ALTER TABLE account ENABLE TRIGGER USER",
        ),
    ],
)
def test_the_oracle_sees(place: Scene, wrong: str, statement: str) -> None:
    baseline(place.bank.db.metadata, place.bank.desk)
    run(place.bank.desk, rewriting(statement))
    verdict = place.judge()
    assert verdict.counts[wrong] > 0
    assert not verdict.is_clean


def test_the_oracle_asks_verify_and_check(place: Scene) -> None:
    place.judge()
    run(place.bank.desk, "ALTER TABLE account ADD COLUMN extra text")
    assert any("column-undeclared" in finding for finding in place.judge().findings)


@pytest.mark.parametrize("name", JOBS)
def test_jobs_find_nothing_on_a_healthy_database(place: Scene, name: str) -> None:
    jobs = Jobs(place.bank)
    for each in ("baseline", name, "install"):
        jobs.do(each, JOBS[each])
    assert (jobs.findings, jobs.interrupted) == ([], {})
    assert jobs.done[name]
    place.assert_clean()


def test_what_a_job_finds_is_told(place: Scene) -> None:
    jobs = Jobs(place.bank)
    jobs.do("a finding", lambda bank: ["something"])
    jobs.do("interrupted", _fail)
    assert jobs.findings == ["a finding: something"]
    assert jobs.interrupted == {"interrupted": 1}


def _fail(bank: Bank) -> list[str]:
    with bank.desk.connect() as connection:
        connection.exec_driver_sql("SELECT 1/0")
    return []


def test_the_command_is_a_target() -> None:
    assert "-m soak $(SOAK_ARGS)" in (ROOT / "Makefile").read_text()
