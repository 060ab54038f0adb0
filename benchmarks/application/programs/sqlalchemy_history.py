"""SQLAlchemy-History, as its README has it; it has nothing for Flask, so nobody is recorded."""

from sqlalchemy.orm import configure_mappers
from sqlalchemy_history import make_versioned

from .shape import Columns

make_versioned(user_cls=None)


def declare(db):
    return type("Account", (Columns, db.Model), {"__versioned__": {}})


def start(app, db):
    configure_mappers()


def install(db):
    db.create_all()
