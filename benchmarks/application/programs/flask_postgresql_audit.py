"""flask-postgresql-audit, as its README has it; what its migration does is done here."""

from flask_postgresql_audit import Audit, PostgreSQLAudit

from .shape import Columns

audit = PostgreSQLAudit()


def declare(db):
    return type("Account", (Columns, db.Model, Audit), {})


def start(app, db):
    audit.init_app(app, db)


def install(db):
    entities = list(audit.pg_audit_entities)
    extensions = [each for each in entities if type(each).__name__ == "PGExtension"]
    with db.engine.begin() as connection:
        for each in extensions:
            connection.execute(each.to_sql_statement_create())
        db.metadata.create_all(connection)
        for each in entities:
            if each not in extensions:
                connection.execute(each.to_sql_statement_create())
