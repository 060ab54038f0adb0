"""This project, as the quickstart has it."""

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers

from .shape import Columns

audit = FlaskAudit()


def declare(db):
    return type("Account", (Columns, db.Model), {"__table_args__": {"info": audited()}})


def start(app, db):
    audit.init_app(app, db)


def install(db):
    db.create_all()
    install_audit_triggers(db.metadata, db.engine)
