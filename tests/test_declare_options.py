"""Options against the table they are declared on, and what a declaration leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from flask_pg_audit import AuditConfigError, audited, enable
from flask_pg_audit.declare.registry import add_app_settings, audited_tables

enable()


def person(metadata: MetaData, *columns: Column[Any], **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    return Table("person", metadata, key, *columns, info={"audit.options": {"enabled": True, **options}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({1: True}, "unknown key 1 in"),
        ({"enabled": "yes"}, "key 'enabled' must be True or False, not 'yes'"),
        ({"schema_name": 7}, "key 'schema_name' must be a schema name or None, not 7"),
        ({"level": ["row"]}, "key 'level' must be one of 'statement', 'row', not ['row']"),
        ({"exclude": [1]}, "key 'exclude' must be a list of column names, not [1]"),
        ({"exclude": None}, "key 'exclude' must be a list of column names, not None"),
        ({"exclude": {"name": 1}}, "key 'exclude' must be a list of column names, not {'name': 1}"),
        ({"session_settings": Column("username", Text)}, "key 'session_settings' must be a list of Column objects"),
        ({"session_settings": {"username": Column("username", Text)}}, "must be a list of Column objects"),
        ({"session_settings": [Column(Text)]}, "session setting None is no valid name"),
        ({"session_settings": [Column("größe", Text)]}, "session setting 'größe' is no valid name"),
        ({"session_settings": [Column("1st", Text)]}, "session setting '1st' is no valid name"),
        ({"session_settings": [Column("a.b", Text)]}, "session setting 'a.b' is no valid name"),
        ({"session_settings": [Column("", Text)]}, "session setting '' is no valid name"),
        ({"session_settings": [Column("transaction_id", Text)]}, "reserved are context, transaction_id, transaction_"),
        ({"session_settings": [Column("username", Text)]}, 'would have two columns "audit_username"'),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_value_is_one_line_about_the_table_and_the_key(options: dict[Any, Any], message: str) -> None:
    metadata = MetaData()
    columns: list[Column[Any]] = [Column("id", Integer, primary_key=True), Column("name", Text)]
    columns.append(Column("audit_username", Text))
    with pytest.raises(AuditConfigError) as error:
        Table("person", metadata, *columns, schema="hr", info={"audit.options": {"enabled": True, **options}})
    assert str(error.value).startswith('table "hr.person": ')
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert list(metadata.tables) == []


def test_a_mistake_on_a_table_that_is_switched_off_is_one_all_the_same() -> None:
    with pytest.raises(AuditConfigError, match="unknown column 'nmae'"):
        person(MetaData(), enabled=False, exclude=["nmae"])


def test_an_app_wide_setting_that_collides_with_a_column_is_an_error() -> None:
    metadata = MetaData()
    person(metadata, Column("audit_username", Text))
    with pytest.raises(AuditConfigError, match=r'table "person": .* two columns "audit_username"'):
        add_app_settings(metadata, [Column("username", String)])


def test_an_app_wide_setting_that_collides_with_a_later_table_is_an_error() -> None:
    metadata = MetaData()
    add_app_settings(metadata, [Column("username", String)])
    with pytest.raises(AuditConfigError, match=r'table "person": .* two columns "audit_username"'):
        person(metadata, Column("audit_username", Text))


def test_a_tables_own_setting_wins_over_the_app_wide_one() -> None:
    metadata = MetaData()
    add_app_settings(metadata, [Column("username", String)])
    person(metadata, session_settings=[Column("username", String(9), nullable=False)])
    [found] = audited_tables(metadata)
    [setting] = found.settings
    assert (setting.name, str(setting.type), setting.required) == ("username", "VARCHAR(9)", True)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset, dict.fromkeys])
def test_exclude_takes_any_collection_but_a_dictionary(kind: Callable[[list[str]], Any]) -> None:
    metadata = MetaData()
    excluded = kind(["note"])
    if isinstance(excluded, dict):
        excluded = excluded.keys()
    person(metadata, Column("name", Text), Column("note", Text), exclude=excluded)
    assert [column.name for column in audited_tables(metadata)[0].image_columns] == ["id", "name"]


def test_an_excluded_column_may_be_called_like_one_of_ours() -> None:
    metadata = MetaData()
    person(metadata, Column("audit_id", Integer), exclude=["audit_id"])
    [found] = audited_tables(metadata)
    assert [column.name for column in found.image_columns] == ["id"]


def test_columns_are_excluded_by_name_whatever_their_key() -> None:
    metadata = MetaData()
    person(metadata, Column("secret", Text, key="password"), exclude=["secret"])
    assert "password" not in metadata.tables["person_audit"].columns
    with pytest.raises(AuditConfigError, match="unknown column 'password'"):
        person(MetaData(), Column("secret", Text, key="password"), exclude=["password"])


def test_settings_may_be_shared_by_tables_and_stay_unattached() -> None:
    username, app = Column("username", String, nullable=False), Column("app", UUID)
    options = {"session_settings": [username, app]}
    for metadata in (MetaData(), MetaData()):
        for name in ("a", "b"):
            Table(name, metadata, Column("id", Integer, primary_key=True), info=audited(**options))  # type: ignore[arg-type]
        assert [len(found.settings) for found in audited_tables(metadata)] == [2, 2]
    assert [getattr(setting, "table", None) for setting in (username, app)] == [None, None]
    assert not username.nullable


def test_nothing_that_the_user_passes_is_changed() -> None:
    exclude, settings = ["name"], [Column("username", String)]
    options = {"enabled": True, "exclude": exclude, "session_settings": settings}
    info = {"audit.options": options, "mine": {"a": 1}}
    table = Table("person", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), info=info)
    assert info == {"audit.options": options, "mine": {"a": 1}}
    assert options == {"enabled": True, "exclude": exclude, "session_settings": settings}
    assert (exclude, len(settings)) == (["name"], 1)
    assert table.info["mine"] == {"a": 1}
