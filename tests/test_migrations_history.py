"""History outlives the models: no revision drops it unless somebody asks for that."""

from __future__ import annotations

from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ARRAY, BigInteger, Column, Enum, Float, Integer, Numeric, SmallInteger, String, Text

from flask_pg_audit import mask
from tests.catalog import of_kinds, read_history
from tests.revisions import EVERY_KIND, RECORDED, Models, Project, Version, note, other, together

DROP = {"audit_drop_history": True}
RECORDS = "SELECT audit_operation, text FROM note_audit ORDER BY audit_id"


def colour(type_: Any) -> Any:
    return note(Column("colour", type_))


def test_down_to_nothing_and_up_again(project: Project) -> None:
    one = project.start(note())
    project.run(*EVERY_KIND)
    before = project.catalog
    one.downgrade("base")
    assert project.rows(RECORDS) == RECORDED
    assert project.programs == {}
    assert {name for name in of_kinds(project.catalog, "relation")} == {
        "relation note_audit",
        "relation audit_maintenance",
        "relation audit_redaction",
        "relation audit_transaction",
        "relation audit_view",
        "relation audit_seal",
        "relation audit_seal_leaves",
    }
    one.upgrade()
    assert project.catalog == before
    project.run(*EVERY_KIND)
    assert project.rows(RECORDS) == RECORDED + RECORDED
    ids = list(read_history(project.engine))
    assert len(ids) == len(set(ids)) == 8, "the sequence went on where it was"


def test_down_and_up_again_with_a_setting_of_an_enum_type(project: Project) -> None:
    """The type stays with the history, so it is not made a second time."""
    channel: Column[Any] = Column("channel", Enum("web", "cli", name="channel"))
    one = project.start(note(session_settings=[channel]))
    before = project.catalog
    one.downgrade("base")
    one.upgrade()
    assert project.catalog == before
    one.is_settled()
    assert isinstance(channel.type, Enum), "the models are as they were"


def test_no_revision_drops_any_of_it(project: Project) -> None:
    """Neither upwards nor downwards, whatever becomes of the models."""
    project.start(together(note(Column("colour", String)), other("tag")))
    for models in (note(text=False), note(audit=False), lambda db: None):
        project.version(models).migrate_and_upgrade()
    for revision in project.revisions:
        text = revision.read_text()
        for dropping in (
            "drop_table('note_audit'",
            "drop_table('audit_transaction'",
            "drop_table('audit_view'",
            "drop_table('audit_seal",
            "DROP SEQUENCE",
            "DROP TABLE",
        ):
            assert dropping not in text
    columns = {name for name in of_kinds(project.catalog, "column note_audit", "column tag_audit")}
    assert {"column note_audit.colour", "column note_audit.text", "column tag_audit.text"} <= columns


def test_a_developer_may_ask_for_it(project: Project) -> None:
    one = project.start(together(note(Column("colour", String)), other("tag")), migrate=DROP)
    project.run(*EVERY_KIND)
    two = project.version(together(note(), other("tag")), migrate=DROP)
    two.migrate_and_upgrade()
    assert "column note_audit.colour" not in project.catalog
    assert "column note_audit.text" in project.catalog
    three = project.version(other("tag"), migrate=DROP)
    three.flask("db", "migrate")
    three.flask("db", "upgrade")
    three.is_settled()
    assert not {name for name in project.catalog if "note" in name}
    three.flask("db", "downgrade")
    three.flask("db", "downgrade")
    assert "column note_audit.colour" in project.catalog
    project.run(*EVERY_KIND)
    assert project.rows(RECORDS) == RECORDED
    one.flask("db", "downgrade", "base")
    assert project.catalog.keys() == {"schema public"}


@pytest.mark.parametrize(
    ("before", "after", "history"),
    [
        pytest.param(String(30), String(3), "character varying(30)", id="narrower text"),
        pytest.param(String(3), String(30), "character varying(30)", id="wider text"),
        pytest.param(Text, String(9), "text", id="text gets a limit"),
        pytest.param(String(9), Text, "text", id="text loses its limit"),
        pytest.param(String, Text, "character varying", id="another text without a limit"),
        pytest.param(Integer, BigInteger, "bigint", id="wider integer"),
        pytest.param(BigInteger, Integer, "bigint", id="narrower integer"),
        pytest.param(BigInteger, SmallInteger, "bigint", id="much narrower integer"),
        pytest.param(Numeric(9, 2), Numeric(12, 4), "numeric(12,4)", id="more digits"),
        pytest.param(Numeric(12, 4), Numeric(9, 2), "numeric(12,4)", id="fewer digits"),
        pytest.param(Numeric(9, 4), Numeric(9, 2), "numeric(11,4)", id="other digits"),
        pytest.param(Numeric(9, 4), Integer, "numeric(14,4)", id="no digits after the point"),
        pytest.param(Float, Integer, "double precision", id="a float becomes an integer"),
        pytest.param(Integer, Float, "double precision", id="an integer becomes a float"),
    ],
)
def test_a_type_of_history_holds_what_was_and_what_is(project: Project, before: Any, after: Any, history: str) -> None:
    project.start(colour(before))
    two = project.version(colour(after))
    two.migrate_and_upgrade()
    assert history_type(project) == history
    two.downgrade()
    assert history_type(project) == history


def history_type(project: Project) -> str:
    return project.catalog["column note_audit.colour"].split(" | ")[0]


def test_history_of_a_table_that_comes_back(project: Project) -> None:
    """A model removed in one release and added again, with another column, in the next."""
    project.start(together(note(), other("tag")))
    project.run(*EVERY_KIND)
    project.version(other("tag")).migrate_and_upgrade()
    back = project.version(together(note(Column("colour", String)), other("tag")))
    revision = back.migrate_and_upgrade()
    assert "create_table('note_audit'" not in revision.read_text()
    project.run("INSERT INTO note (text, colour) VALUES ('a', 'red')")
    assert project.rows("SELECT text, colour FROM note_audit ORDER BY audit_id DESC LIMIT 2") == [
        ("a", "red"),
        ("b", None),
    ]
    back.downgrade()
    back.upgrade()
    back.is_settled()


def test_a_column_that_comes_back_with_another_type(project: Project) -> None:
    """History still has the column, as text; numbers fit in there."""
    project.start(note(Column("colour", Text)))
    project.run("INSERT INTO note (text, colour) VALUES ('a', 'red')")
    project.version(note()).migrate_and_upgrade()
    back = project.version(note(Column("colour", Integer)))
    back.migrate_and_upgrade()
    project.run("INSERT INTO note (text, colour) VALUES ('b', 7)")
    assert project.rows("SELECT colour FROM note_audit ORDER BY audit_id") == [("red",), ("7",)]


def test_an_enum_type_that_history_uses_comes_back(project: Project) -> None:
    """It was left in the database, where Alembic would make it again: with the model, and after a way to nothing."""

    def with_state(db: SQLAlchemy) -> None:
        many: Any = ARRAY(Enum("a", "b", name="letter"))
        note(Column("state", Enum("open", "done", name="state")), Column("letters", many))(db)

    both = project.start(together(with_state, other("tag")))
    project.run("INSERT INTO note (text, state, letters) VALUES ('a', 'open', '{a,b}')")
    project.version(other("tag")).migrate_and_upgrade()
    back = project.version(together(with_state, other("tag")))
    back.migrate_and_upgrade()
    project.run("INSERT INTO note (text, state, letters) VALUES ('b', 'done', '{b}')")
    back.downgrade("base")
    back.upgrade()
    both.is_settled()
    reading = "SELECT text, state::text, letters::text FROM note_audit ORDER BY audit_id"
    assert project.rows(reading) == [("a", "open", "{a,b}"), ("b", "done", "{b}")]


def test_a_table_changes_while_it_is_not_audited(project: Project) -> None:
    """History takes part in what happened meanwhile when auditing begins again."""
    project.start(note(Column("size", Integer), Column("gone", Text)))
    project.run("INSERT INTO note (text, size) VALUES ('a', 1)")
    project.version(note(Column("size", Integer), Column("gone", Text), audit=False)).migrate_and_upgrade()
    project.version(note(Column("size", BigInteger), Column("new", Text), audit=False)).migrate_and_upgrade()
    again = project.version(note(Column("size", BigInteger), Column("new", Text)))
    again.migrate_and_upgrade()
    project.run("INSERT INTO note (text, size, new) VALUES ('b', 5000000000, 'c')")
    reading = "SELECT text, size, new FROM note_audit ORDER BY audit_id"
    assert project.rows(reading) == [("a", 1, None), ("b", 5000000000, "c")]
    project.run("DELETE FROM note WHERE text = 'b'")
    for _ in range(3):
        again.downgrade()
    project.run("INSERT INTO note (text, size) VALUES ('d', 2)")
    assert project.rows(reading)[-1] == ("d", 2, None)
    again.upgrade()
    again.is_settled()


def test_down_through_many_changes_of_one_function(project: Project, production: Project) -> None:
    """Each downgrade brings back the function that was there before, and up again is as it was."""
    named = {"audit.table": "history_of_%(table_name)s"}

    def sized(type_: Any = BigInteger, **options: Any) -> Models:
        return note(Column("size", type_), **options)

    versions: list[Version] = [project.start(note())]
    programs = [project.programs]
    for models, arguments in (
        (sized(Integer), {}),
        (sized(Integer, exclude=["size"]), {}),
        (sized(level="row", skip_unchanged=False), {}),
        (sized(session_settings=[Column("channel", Text)]), {}),
        (sized(audit=False), {}),
        (sized(), {}),
        (sized(), {"naming": {"audit.function": "record_%(table_name)s"}}),
        (sized(), {"naming": named}),
        (sized(), {"naming": named, "AUDIT_SCHEMA": "audit"}),
        (sized(), {"naming": named}),
        (note(), {}),
    ):
        versions.append(project.version(models, **arguments))
        versions[-1].migrate_and_upgrade()
        programs.append(project.programs)
        project.run("INSERT INTO note (text) VALUES ('up')")
    at_last = project.catalog
    production.run(versions[-1].sql("upgrade"))
    assert production.catalog == at_last
    for before in programs[-2::-1]:
        versions[-1].downgrade()
        assert project.programs == before
        project.run("INSERT INTO note (text) VALUES ('down')")
    versions[-1].downgrade("base")
    assert project.programs == {}
    versions[-1].upgrade()
    versions[-1].is_settled()
    assert project.catalog == at_last
    recorded = [text for (text,) in project.rows("SELECT text FROM note_audit ORDER BY audit_id")]
    assert recorded == ["up"] * 10 + ["down"] * 10, "all but what was written while it was not audited"


def test_text_becomes_an_enum_and_history_stays_text(project: Project) -> None:
    """It may have what is no label; and a developer may have made it text to take a label away."""
    project.start(note(Column("state", Text)))
    project.run("INSERT INTO note (text, state) VALUES ('a', 'no label')", "DELETE FROM note")
    two = project.version(note(Column("state", Enum("open", "done", name="state"))))
    revision = two.migrate()
    assert revision is not None
    make = "op.execute(\"CREATE TYPE state AS ENUM ('open', 'done')\")"
    text = revision.read_text().replace("###\n", f"###\n    {make}\n", 1)
    head, found, rest = text.partition("type_=sa.Enum('open', 'done', name='state'),")
    assert found
    revision.write_text(f"{head}{found} postgresql_using='state::state',{rest}")
    two.upgrade()
    project.run("INSERT INTO note (text, state) VALUES ('b', 'open')")
    assert project.rows("SELECT state FROM note_audit ORDER BY audit_id") == [("no label",), ("no label",), ("open",)]
    assert two.migrate() is None


def test_a_mask_comes_and_goes(project: Project) -> None:
    def card(**options: Any) -> Models:
        return note(Column("pin", Integer), **options)

    insert = "INSERT INTO note (id, text, pin) SELECT count(*), 'someone', 1234 FROM note"
    recorded = "SELECT text, pin::text FROM note_audit ORDER BY audit_id"
    one = project.start(card())
    project.run(insert)
    two = project.version(card(mask={"text": mask.partial(1), "pin": "keyed"}))
    two.migrate_and_upgrade()
    two.is_settled()
    project.run(insert)
    assert "UNLOGGED" in "".join(path.read_text() for path in project.revisions)
    (clear, (text, pin)) = project.rows(recorded)
    assert (clear, text, len(pin)) == (("someone", "1234"), "s***", 73)
    three = project.version(card())
    three.migrate_and_upgrade()
    three.is_settled()
    project.run(insert)
    assert project.rows(recorded) == [clear, (text, pin), clear]
    one.downgrade("base")
    assert project.rows(recorded) == [clear, (text, pin), clear]
    one.upgrade()
    project.run(insert)
    assert project.rows(recorded) == [clear, (text, pin), clear, clear]
