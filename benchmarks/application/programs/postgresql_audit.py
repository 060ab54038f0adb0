"""postgresql-audit, as its README has it for Flask."""

from postgresql_audit.flask import versioning_manager
from sqlalchemy.orm import configure_mappers

from .shape import Columns


def declare(db):
    versioning_manager.init(db.Model)
    return type("Account", (Columns, db.Model), {"__versioned__": {}})


def start(app, db):
    configure_mappers()


def install(db):
    # What the triggers need goes before the tables that get them.
    first = [versioning_manager.transaction_cls.__table__, versioning_manager.activity_cls.__table__]
    db.metadata.create_all(db.engine, tables=first)
    db.create_all()
