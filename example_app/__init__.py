"""The back office of a small tea shop: an example of a Flask application with an audit trail.

How it is put together::

    __init__.py     create_app(): configuration, extensions, pages
    config.py       the settings, from the environment
    extensions.py   db, login_manager, migrate and audit, created once, before any model
    models.py       users, customers, products, tags, orders; each model opts in with ``audited(...)``
    auditing.py     the audit trail's two rules: who may read it, and what each change carries along
    access.py       who may open which page
    csrf.py         a token in every form
    forms.py        typed values out of submitted forms
    commands.py     ``flask create-user``
    views/          the pages, one module and one template folder per noun
    migrations/     Flask-Migrate's; the audit tables and triggers are in there too
    demo/           ``python -m example_app.demo``: starts all of it and fills it with a day's work

What is there because of auditing: ``audit = FlaskAudit()`` and ``audit.init_app(app, db)``, the
``__table_args__`` of the models, and ``auditing.py``. No view mentions it.

To run it on a PostgreSQL of your own::

    export DATABASE_URL=postgresql://localhost/shop FLASK_APP=example_app
    flask db upgrade
    flask audit check
    flask create-user ada --role admin
    flask run

Users are admins, clerks or auditors. Auditors and admins see the audit log, at ``/audit``; admins may bring old rows
back from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask

from . import access, commands, config, csrf, views
from . import auditing as auditing  # importing it registers its rules
from .extensions import audit, db, login_manager, migrate

__all__ = ["create_app"]


def create_app(settings: Mapping[str, Any] | None = None) -> Flask:
    """Build the application.

    :param settings: overrides of what ``config.py`` says, for tests for instance.
    """
    app = Flask(__name__)
    app.config.from_mapping(config.from_environment())
    app.config.from_mapping(settings)

    db.init_app(app)
    migrate.init_app(app, db)
    login_manager.init_app(app)
    audit.init_app(app, db)

    csrf.init_app(app)
    access.init_app(app)
    views.init_app(app)
    commands.init_app(app)
    return app
