"""flask-audit-logger, as its README has it; what its migration does is done here."""

from flask_audit_logger import AuditLogger

from .shape import Columns

made = []


def declare(db):
    account = type("Account", (Columns, db.Model), {"__table_args__": {"info": {"audit_logged": True}}})
    made.append(AuditLogger(db))
    return account


def start(app, db):
    pass


def install(db):
    (logger,) = made
    with db.engine.begin() as connection:
        connection.execute(logger.pg_btree_gist_extension.create_sql)
        db.metadata.create_all(connection)
        for each in (*logger.pg_functions, *logger.pg_triggers):
            connection.execute(each.create_sql)
