"""The settings travel with what the application sends: what that must not change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.blog import ONE_CONNECTION, Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def test_percent_signs_and_parameters_arrive_as_they_are(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="100% ann"):
        site.db.session.execute(text("INSERT INTO post (title) VALUES ('5%s of 100%%')"))
        site.db.session.commit()
        site.db.session.execute(text("INSERT INTO post (title) VALUES ('%' || :what || '%s')"), {"what": "%(x)s; '\\"})
        site.db.session.commit()
        with site.db.engine.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO post (title) VALUES ('%s')", execution_options={"no_parameters": True}
            )
        with site.db.engine.begin() as connection:
            connection.exec_driver_sql("INSERT INTO post (title) VALUES (%(title)s || '%%')", {"title": "50"})
    assert site.posts() == [(title, "100% ann", None) for title in ("5%s of 100%%", "%%(x)s; '\\%s", "%s", "50%")]


def test_a_result_is_that_of_the_applications_statement(site: Blog) -> None:
    with site.app.app_context():
        inserted = site.db.session.execute(text("INSERT INTO post (title) VALUES ('a'), ('b') RETURNING title"))
        assert inserted.keys() == ["title"]
        assert inserted.all() == [("a",), ("b",)]
        site.db.session.commit()
        updated = site.db.session.execute(text("UPDATE post SET title = 'c'"))
        assert updated.rowcount == 2  # type: ignore[attr-defined]
        site.db.session.commit()


def test_an_error_quotes_the_applications_statement_and_not_the_settings(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="ann", reason="secret"):
        with pytest.raises(DBAPIError) as caught:
            site.db.session.execute(text("INSERT INTO nowhere VALUES (1)"))
        site.db.session.rollback()
    assert "INSERT INTO nowhere" in str(caught.value.orig)
    assert "set_config" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_after_a_refused_write_the_next_one_is_told_again(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="ann"):
        with pytest.raises(DBAPIError):
            site.db.session.execute(text("INSERT INTO post (id, title) VALUES (1, 'a'), (1, 'b')"))
        site.db.session.rollback()
        with site.db.session.begin():
            site.db.session.execute(text("SELECT 1"))
            with pytest.raises(DBAPIError), site.db.session.begin_nested():
                site.db.session.execute(text("INSERT INTO post (id, title) VALUES (1, 'a'), (1, 'b')"))
            site.db.session.execute(text("INSERT INTO post (title) VALUES ('c')"))
    assert site.posts() == [("c", "ann", None)]


@pytest.mark.parametrize("level", ["SERIALIZABLE", "REPEATABLE READ", "READ COMMITTED"])
def test_a_transaction_begins_as_the_application_wants_it(database: Database, level: str) -> None:
    pool = {**ONE_CONNECTION, "isolation_level": level}
    with blog(database.url(), pool=pool) as site, site.app.app_context(), site.audit.context(username="ann"):
        site.db.session.execute(text("INSERT INTO post (title) VALUES ('a')"))
        assert site.db.session.scalar(text("SHOW transaction_isolation")) == level.lower()
        site.db.session.commit()
        assert site.posts() == [("a", "ann", None)]


def test_a_transaction_that_only_reads_is_told_so(site: Blog) -> None:
    with site.app.app_context(), site.db.engine.connect() as connection:
        connection.execution_options(postgresql_readonly=True)
        assert connection.execute(text("SHOW transaction_read_only")).scalar() == "on"
