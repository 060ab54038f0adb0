"""Each change of the models that a developer makes, through ``flask db``: there, back, and there again.

Auditing is right in both versions and at every step, and no step loses history.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ARRAY, BigInteger, Column, Date, DateTime, Enum, Integer, Numeric, String, Text

from tests.catalog import of_kinds
from tests.revisions import EVERY_KIND, RECORDED, Models, Project, Step, note, other, together


def step(
    models: Models,
    *writes: str,
    recorded: list[tuple[Any, ...]] | None = None,
    columns: str = "text",
    history: str = "note_audit",
    **arguments: Any,
) -> Step:
    """What is written is every kind of change unless told; ``columns`` are those of ``recorded``."""
    reading = f"SELECT audit_operation, {columns} FROM {history}"
    return Step(models, writes or EVERY_KIND, RECORDED if recorded is None else recorded, reading, arguments)


@dataclass(frozen=True)
class Change:
    """Two versions, and what the developer edits in the generated revision.

    :ivar in_scripts: whether ``--sql`` can write it; Alembic doubles each ``%`` of a comment there.
    """

    before: Step
    after: Step
    edit: Callable[[str], str] | None = None
    in_scripts: bool = True


CHANGES: list[Any] = []


def change(make: Callable[[], Change]) -> Callable[[], Change]:
    """Test what the function makes."""
    CHANGES.append(pytest.param(make, id=make.__name__))
    return make


@pytest.mark.parametrize("make", CHANGES)
def test_cycle(project: Project, production: Project, make: Callable[[], Change]) -> None:
    """Online in one database, and by the scripts of ``--sql`` in another, which is the same at every step."""
    step_one, step_two = make().before, make().after
    one = project.start(step_one.models, **step_one.arguments)
    one.is_settled()
    step_one.is_recorded(project)
    at_one = project.catalog
    production.run(one.sql("upgrade"))
    assert production.catalog == at_one
    (first,) = project.revisions

    two = project.version(step_two.models, **step_two.arguments)
    revision = two.migrate()
    assert revision is not None
    if edit := make().edit:
        revision.write_text(edit(revision.read_text()))
    two.upgrade()
    step_two.is_recorded(project)
    two.is_settled()
    at_two = project.catalog
    production.run(two.sql("upgrade", f"{name_of(first)}:{name_of(revision)}"))
    assert production.catalog == at_two or not make().in_scripts

    two.downgrade()
    back = project.catalog
    production.run(two.sql("downgrade", f"{name_of(revision)}:{name_of(first)}"))
    assert production.catalog == back
    assert of_kinds(back, "function", "trigger") == of_kinds(at_one, "function", "trigger")
    step_one.is_recorded(project)
    without(revision, one.is_settled)

    two.upgrade()
    assert project.catalog == at_two
    step_two.is_recorded(project)
    two.is_settled()


def name_of(revision: Path) -> str:
    return revision.stem.split("_")[0]


def without(revision: Any, then: Callable[[], None]) -> None:
    """As in a checkout of the version before."""
    aside = revision.rename(revision.with_suffix(".aside"))
    then()
    aside.rename(revision)


# --- tables and columns -----------------------------------------------------------------------------------------


@change
def a_table_is_new() -> Change:
    to_tag = step(
        together(note(), other("tag")),
        "INSERT INTO tag (text) VALUES ('a')",
        recorded=[("I", "a")],
        history="tag_audit",
    )
    return Change(step(note()), to_tag)


@change
def a_column_is_added() -> Change:
    return Change(
        step(note()),
        step(
            note(Column("colour", String(9))),
            "INSERT INTO note (text, colour) VALUES ('a', 'red')",
            "UPDATE note SET colour = 'blue' WHERE text = 'a'",
            "DELETE FROM note WHERE text = 'a'",
            columns="text, colour",
            recorded=[("I", "a", "red"), ("U", "a", "blue"), ("D", "a", "blue")],
        ),
    )


@change
def a_mandatory_column_is_added() -> Change:
    return Change(
        step(note()),
        step(
            note(Column("colour", String(9), nullable=False, server_default="red")),
            "INSERT INTO note (text) VALUES ('kept')",
            columns="text, colour",
            recorded=[("I", "kept", "red")],
        ),
    )


@change
def a_column_is_dropped() -> Change:
    with_colour = step(
        note(Column("colour", String(9))),
        "INSERT INTO note (text, colour) VALUES ('kept', 'red')",
        columns="text, colour",
        recorded=[("I", "kept", "red")],
    )
    return Change(with_colour, step(note()))


@change
def a_column_is_renamed() -> Change:
    renamed = step(
        note(Column("body", Text), text=False),
        *(statement.replace("text", "body") for statement in EVERY_KIND),
        columns="body",
    )
    return Change(step(note()), renamed, partial(rename, "text", "body"))


def rename(old: str, new: str, revision: str) -> str:
    """What a developer makes of the lines that add one column and drop the other, and mark both."""
    revision = re.sub(r"^ +# (?:undo: )?mark column.*?^ {4}\)$\n", "", revision, flags=re.DOTALL | re.MULTILINE)
    upgrade, downgrade = revision.split("def downgrade")
    return f"{_rename(old, new, upgrade)}def downgrade{_rename(new, old, downgrade)}"


def _rename(old: str, new: str, body: str) -> str:
    lines = []
    for line in body.splitlines():
        start = line[: len(line) - len(line.lstrip())]
        if f"batch_op.add_column(sa.Column('{new}'" in line:
            line = f"{start}batch_op.alter_column('{old}', new_column_name='{new}')"
        elif f"batch_op.drop_column('{old}'" in line:
            line = f"{start}pass"
        elif "stays" in line and old in line:
            line = f"{start}op.alter_column('note_audit', '{old}', new_column_name='{new}')"
        lines.append(line)
    return "\n".join(lines) + "\n"


def colour(type_: Any, long: str, short: str, cast: str = "text") -> Step:
    """The long value is gone again afterwards: a column that becomes shorter could not keep it.

    :param cast: the type to read history in, whose own may hold more.
    """
    return step(
        note(Column("colour", type_)),
        f"INSERT INTO note (text, colour) VALUES ('kept', {long})",
        f"UPDATE note SET colour = {short} WHERE colour = {long}",
        columns=f"colour::{cast}::text",
        recorded=[("I", long.strip("'")), ("U", short.strip("'"))],
    )


@change
def a_type_is_widened() -> Change:
    return Change(colour(String(3), "'tan'", "'red'"), colour(String(30), "'ultramarine'", "'red'"))


@change
def a_type_is_narrowed() -> Change:
    return Change(colour(String(30), "'ultramarine'", "'red'"), colour(String(3), "'tan'", "'red'"))


@change
def a_limit_is_lifted() -> Change:
    return Change(colour(String(30), "'ultramarine'", "'red'"), colour(Text, f"'{'x' * 99}'", "'red'"))


@change
def an_integer_becomes_a_bigint() -> Change:
    return Change(colour(Integer, "2", "1"), colour(BigInteger, "5000000000", "1"))


@change
def a_number_becomes_text() -> Change:
    def cast(revision: str) -> str:
        """PostgreSQL does not cast text to a number by itself."""
        upgrade, downgrade = revision.split("def downgrade")
        assert downgrade.count("type_=sa.INTEGER(),") == 1, "history, which is text now, can hold numbers"
        using = "type_=sa.INTEGER(), postgresql_using='colour::integer',"
        return f"{upgrade}def downgrade{downgrade.replace('type_=sa.INTEGER(),', using)}"

    return Change(colour(Integer, "2", "1"), colour(Text, "'12'", "'13'"), cast)


@change
def a_number_loses_digits() -> Change:
    """PostgreSQL would round what is in the history, without a word."""
    before = colour(Numeric(9, 4), "1.2345", "1.5", cast="float")
    return Change(before, colour(Numeric(9, 2), "1.25", "1.5", cast="float"))


@change
def a_number_becomes_an_integer() -> Change:
    return Change(colour(Numeric(9, 4), "1.2345", "1", cast="float"), colour(Integer, "2", "1", cast="integer"))


@change
def a_time_becomes_a_date() -> Change:
    before = colour(DateTime, "'2024-02-29 12:34:56'", "'2024-03-01 00:00:00'")
    return Change(before, colour(Date, "'2024-02-29'", "'2024-03-01'", cast="date"))


@change
def the_key_gets_a_column() -> Change:
    def change_the_key(revision: str) -> str:
        """Alembic does not see primary keys."""
        upgrade, downgrade, rest = revision.split("# ### end Alembic commands ###")
        there = 'op.execute("ALTER TABLE note DROP CONSTRAINT note_pkey, ADD PRIMARY KEY (id, part)")'
        back = 'op.execute("ALTER TABLE note ADD PRIMARY KEY (id)")'
        return f"{upgrade}{there}\n{downgrade}{back}\n{rest}"

    with_part = step(
        note(Column("part", Integer, primary_key=True, server_default="1", autoincrement=False)),
        "INSERT INTO note (text) VALUES ('a')",
        "INSERT INTO note (id, part, text) SELECT id, 2, text FROM note WHERE text = 'a'",
        "UPDATE note SET text = 'kept' WHERE text = 'a'",
        "DELETE FROM note WHERE part = 2",
        columns="text",
        recorded=[("I", "a"), ("I", "a"), ("U", "kept"), ("U", "kept"), ("D", "kept")],
    )
    return Change(step(note()), with_part, change_the_key)


@change
def a_comment_changes() -> Change:
    before, after = (note(Column("colour", Text, comment=comment)) for comment in ("what it's like", "100 % :colour"))
    return Change(step(before), step(after), in_scripts=False)


@change
def a_model_is_removed() -> Change:
    tag = step(other("tag"), "INSERT INTO tag (text) VALUES ('a')", recorded=[("I", "a")], history="tag_audit")
    return Change(step(together(note(), other("tag"))), tag)


@change
def the_last_model_is_removed() -> Change:
    return Change(step(note()), step(lambda db: db.Table("plain", Column("id", Integer)), "SELECT 1", recorded=[]))


# --- enum types: Alembic makes one with every table, and drops none --------------------------------------------------


def state(audit: bool = True) -> Models:
    """Two columns of enum types."""
    one, many = Enum("open", "done", name="state"), Enum("a", "b", name="letter")
    return note(Column("state", one), Column("letters", ARRAY(many)), audit=audit)


def with_state() -> Step:
    return step(
        state(),
        "INSERT INTO note (text, state, letters) VALUES ('kept', 'open', '{a,b}')",
        columns="state::text, letters::text",
        recorded=[("I", "open", "{a,b}")],
    )


@change
def audited_is_added_to_a_table_with_an_enum() -> Change:
    return Change(step(state(audit=False), recorded=[]), with_state())


@change
def a_column_of_a_new_enum_type_is_added() -> Change:
    return Change(step(note()), with_state())


@change
def a_model_with_an_enum_is_removed() -> Change:
    tag = step(other("tag"), "INSERT INTO tag (text) VALUES ('a')", recorded=[("I", "a")], history="tag_audit")
    both = with_state()
    return Change(replace(both, models=together(both.models, other("tag"))), tag)


# --- options ----------------------------------------------------------------------------------------------------


@change
def a_column_is_excluded() -> Change:
    without_text = [("I", None), ("I", None), ("D", None)]  # an update of nothing else leaves no row
    return Change(step(note()), step(note(exclude=["text"]), recorded=without_text))


@change
def a_column_is_no_longer_excluded() -> Change:
    nothing_but_the_key = step(
        note(exclude=["text"]), columns="id IS NOT NULL", recorded=[("I", True)] * 2 + [("D", True)]
    )
    return Change(nothing_but_the_key, step(note()))


def with_setting(setting: Column[Any], value: str) -> Step:
    return step(
        note(session_settings=[setting]),
        f"SET LOCAL audit.channel = '{value}'",
        *EVERY_KIND,
        columns="text, audit_channel::text",
        recorded=[(operation, text, value) for operation, text in RECORDED],
    )


@change
def a_setting_is_added() -> Change:
    return Change(step(note()), with_setting(Column("channel", Text), "web"))


@change
def a_setting_is_removed() -> Change:
    return Change(with_setting(Column("channel", Text), "web"), step(note()))


@change
def a_setting_with_an_enum_is_added() -> Change:
    return Change(step(note()), with_setting(Column("channel", Enum("web", "cli", name="channel")), "web"))


@change
def a_setting_with_an_enum_is_removed() -> Change:
    return Change(with_setting(Column("channel", Enum("web", "cli", name="channel")), "web"), step(note()))


@change
def a_setting_becomes_mandatory() -> Change:
    named = ("SET LOCAL audit.username = 'alice'", *EVERY_KIND)
    return Change(step(note()), step(note(), *named, AUDIT_REQUIRE_USERNAME=True))


@change
def the_level_becomes_row() -> Change:
    return Change(step(note()), step(note(level="row")))


@change
def the_level_becomes_statement() -> Change:
    return Change(step(note(level="row")), step(note(level="statement")))


@change
def unchanged_rows_are_recorded() -> Change:
    same = (*EVERY_KIND, "UPDATE note SET text = text WHERE id = (SELECT min(id) FROM note)")
    return Change(step(note(), *same), step(note(skip_unchanged=False), *same, recorded=[*RECORDED, ("U", "kept")]))


@change
def audited_is_removed() -> Change:
    tag = other("tag")
    return Change(step(together(note(), tag)), step(together(note(audit=False), tag), recorded=[]))


@change
def audited_is_removed_from_the_only_table() -> Change:
    return Change(step(note()), step(note(audit=False), recorded=[]))


@change
def audited_is_added_to_a_table_with_rows() -> Change:
    return Change(step(note(audit=False), recorded=[]), step(note()))


# --- where things are -------------------------------------------------------------------------------------------


@change
def audit_tables_are_called_otherwise() -> Change:
    named = step(note(), history="history_of_note", naming={"audit.table": "history_of_%(table_name)s"})
    return Change(step(note()), named)


@change
def triggers_are_called_otherwise() -> Change:
    return Change(step(note()), step(note(), naming={"audit.trigger": "zz_%(table_name)s"}))


@change
def functions_are_called_otherwise() -> Change:
    return Change(step(note()), step(note(), naming={"audit.function": "record_%(table_name)s"}))


@change
def everything_is_called_otherwise() -> Change:
    kinds = ("table", "function", "trigger")
    naming = {f"audit.{kind}": f"%(table_name)s_{kind}_%%_:x" for kind in kinds}
    return Change(step(note()), step(note(), history='"note_table_%_:x"', naming=naming))


SCHEMAS = {"include_schemas": True}


@change
def history_moves_to_a_schema() -> Change:
    moved = step(note(schema_name="history"), history="history.note_audit", migrate=SCHEMAS)
    return Change(step(note(), migrate=SCHEMAS), moved)


@change
def history_moves_out_of_a_schema() -> Change:
    return Change(
        step(note(schema_name="history"), history="history.note_audit", migrate=SCHEMAS), step(note(), migrate=SCHEMAS)
    )


@change
def history_moves_to_a_schema_and_alembic_looks_at_one() -> Change:
    return Change(step(note()), step(note(schema_name="history"), history="history.note_audit"))


@change
def history_in_a_schema_gets_a_column_and_alembic_looks_at_one() -> Change:
    grown = note(Column("colour", String(9)), schema_name="history")
    return Change(
        step(note(schema_name="history"), history="history.note_audit"), step(grown, history="history.note_audit")
    )


@change
def audit_tables_are_called_otherwise_and_get_a_column() -> Change:
    grown = note(Column("colour", String(9)))
    return Change(step(note()), step(grown, history="note_history", naming={"audit.table": "%(table_name)s_history"}))


def size(type_: Any, value: str, history: str, options: dict[str, Any] | None = None, **arguments: Any) -> Step:
    """The value is gone again afterwards, as in :func:`colour`."""
    return step(
        note(Column("size", type_), **(options or {})),
        f"INSERT INTO note (text, size) VALUES ('a', {value})",
        "DELETE FROM note WHERE text = 'a'",
        columns="size",
        recorded=[("I", int(value)), ("D", int(value))],
        history=history,
        **arguments,
    )


@change
def audit_tables_are_called_otherwise_and_a_type_changes() -> Change:
    naming = {"audit.table": "%(table_name)s_history"}
    return Change(size(Integer, "1", "note_audit"), size(BigInteger, "5000000000", "note_history", naming=naming))


@change
def a_type_changes_in_a_schema_and_alembic_looks_at_one() -> Change:
    there, options = "history.note_audit", {"schema_name": "history"}
    return Change(size(Integer, "1", there, options), size(BigInteger, "5000000000", there, options))


@change
def auditing_moves_to_a_schema() -> Change:
    return Change(step(note(), migrate=SCHEMAS), step(note(), migrate=SCHEMAS, AUDIT_SCHEMA="audit"))


@change
def auditing_moves_to_a_schema_and_alembic_looks_at_one() -> Change:
    return Change(step(note()), step(note(), AUDIT_SCHEMA="audit"))


@change
def auditing_moves_between_schemas() -> Change:
    before, after = (step(note(), migrate=SCHEMAS, AUDIT_SCHEMA=schema) for schema in ("audit", "trail"))
    return Change(before, after)


@change
def auditing_moves_to_a_schema_and_audit_tables_are_called_otherwise() -> Change:
    naming = {"audit.table": "%(table_name)s_history"}
    return Change(step(note()), step(note(), history="note_history", naming=naming, AUDIT_SCHEMA="audit"))
