"""A database as the classic library of the example leaves it: the SQL that it sends, written by hand."""

from __future__ import annotations

from sqlalchemy import Column, Engine, Integer, MetaData, String
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.util import immutabledict

from tests.capture import audited_table, run

CONVENTION = immutabledict({"pk": "pk_%(table_name)s", "audit.table": "%(table_name)s_audr"})

TABLES = """
CREATE TABLE bar (foo VARCHAR);
CREATE TABLE bar_audr (
    audit_operation VARCHAR(1) NOT NULL,
    audit_operation_timestamp TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    audit_current_user VARCHAR(64) NOT NULL,
    foo VARCHAR
);
CREATE TABLE foo (id INTEGER NOT NULL, bar VARCHAR, CONSTRAINT pk_foo PRIMARY KEY (id));
CREATE TABLE foo_audr (
    audit_operation VARCHAR(1) NOT NULL,
    audit_operation_timestamp TIMESTAMP WITHOUT TIME ZONE NOT NULL,
    audit_current_user VARCHAR(64) NOT NULL,
    audit_username VARCHAR NOT NULL,
    audit_app_uuid UUID,
    id INTEGER,
    bar VARCHAR
);
"""

BAR_TRIGGER = """
CREATE OR REPLACE FUNCTION public_bar_audit() RETURNS TRIGGER AS $public_bar_audit$
BEGIN
    IF (TG_OP = 'DELETE') THEN
        INSERT INTO bar_audr (audit_operation, audit_operation_timestamp, audit_current_user, foo)
        SELECT 'D', now(), current_user, OLD.foo;
    ELSIF (TG_OP = 'UPDATE') THEN
        INSERT INTO bar_audr (audit_operation, audit_operation_timestamp, audit_current_user, foo)
        SELECT 'U', now(), current_user, NEW.foo;
    ELSIF (TG_OP = 'INSERT') THEN
        INSERT INTO bar_audr (audit_operation, audit_operation_timestamp, audit_current_user, foo)
        SELECT 'I', now(), current_user, NEW.foo;
    END IF;
    RETURN NULL;
END;
$public_bar_audit$ LANGUAGE plpgsql;
DROP TRIGGER IF EXISTS public_bar_audit ON bar;
CREATE TRIGGER public_bar_audit AFTER INSERT OR UPDATE OR DELETE ON bar
FOR EACH ROW EXECUTE PROCEDURE public_bar_audit();
"""

FOO_TRIGGER = """
CREATE OR REPLACE FUNCTION public_foo_audit() RETURNS TRIGGER AS $public_foo_audit$
BEGIN
    IF current_setting('audit.username', false)::VARCHAR = '' THEN
        RAISE EXCEPTION 'audit.username session setting must be set to a non null/empty value';
    END IF;
    IF (TG_OP = 'DELETE') THEN
        INSERT INTO foo_audr (audit_operation, audit_operation_timestamp, audit_current_user, audit_username,
            audit_app_uuid, id, bar)
        SELECT 'D', now(), current_user, current_setting('audit.username', false)::VARCHAR,
            current_setting('audit.app_uuid', true)::UUID, OLD.id, OLD.bar;
    ELSIF (TG_OP = 'UPDATE') THEN
        INSERT INTO foo_audr (audit_operation, audit_operation_timestamp, audit_current_user, audit_username,
            audit_app_uuid, id, bar)
        SELECT 'U', now(), current_user, current_setting('audit.username', false)::VARCHAR,
            current_setting('audit.app_uuid', true)::UUID, NEW.id, NEW.bar;
    ELSIF (TG_OP = 'INSERT') THEN
        INSERT INTO foo_audr (audit_operation, audit_operation_timestamp, audit_current_user, audit_username,
            audit_app_uuid, id, bar)
        SELECT 'I', now(), current_user, current_setting('audit.username', false)::VARCHAR,
            current_setting('audit.app_uuid', true)::UUID, NEW.id, NEW.bar;
    END IF;
    RETURN NULL;
END;
$public_foo_audit$ LANGUAGE plpgsql;
DROP TRIGGER IF EXISTS public_foo_audit ON foo;
CREATE TRIGGER public_foo_audit AFTER INSERT OR UPDATE OR DELETE ON foo
FOR EACH ROW EXECUTE PROCEDURE public_foo_audit();
"""


def classic(engine: Engine) -> MetaData:
    """Make the database, and return what the application declares."""
    run(engine, TABLES, BAR_TRIGGER, FOO_TRIGGER)
    return models()


def models() -> MetaData:
    metadata = MetaData(naming_convention=CONVENTION)
    audited_table(metadata, "bar", Column("foo", String))
    settings = [Column("username", String, nullable=False), Column("app_uuid", UUID)]
    columns = Column("id", Integer, primary_key=True, autoincrement=False), Column("bar", String)
    audited_table(metadata, "foo", *columns, options={"session_settings": settings})
    return metadata
