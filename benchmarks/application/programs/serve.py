"""The process of a contender: reads what to do, a JSON object a line, and answers in the same way."""

import importlib
import json
import sys
import traceback

from flask import Flask
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy

from .shape import declare_user
from .tasks import Tasks


class Server:
    """:ivar tasks: made when they are first needed: before, there may be no tables."""

    def __init__(self, contender, url):
        self._program = importlib.import_module(f"{__package__}.{contender}")
        self._app, self._db = Flask("shop"), SQLAlchemy()
        self._user_class = declare_user(self._db)
        self._account = self._program.declare(self._db)
        self._app.config.update(SECRET_KEY="bench", SQLALCHEMY_DATABASE_URI=url)
        # One connection, so that it is known which process serves it.
        self._app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 1, "max_overflow": 0}
        self._db.init_app(self._app)
        LoginManager(self._app).user_loader(lambda key: None)
        self._program.start(self._app, self._db)
        self._tasks = None

    def install(self):
        with self._app.app_context():
            self._program.install(self._db)
            self._db.session.add(self._user_class(id=17, username="alice"))
            self._db.session.commit()
        return {}

    def log(self, on=True):
        """From now on, the server logs the statements of this connection, or does not."""
        with self._app.app_context(), self._db.engine.connect() as connection:
            connection.exec_driver_sql(f"SET log_statement = '{'all' if on else 'none'}'")
            connection.commit()
        return {}

    def do(self, task, count):
        if self._tasks is None:
            self._tasks = Tasks(self._app, self._db, self._account, self._user_class(id=17, username="alice"))
        return self._tasks.do(task, count)


def main():
    answers, sys.stdout = sys.stdout, sys.stderr  # whatever else prints
    server = None
    for line in sys.stdin:
        message = json.loads(line)
        try:
            if server is None:
                server, answer = Server(**message), {}
            else:
                answer = getattr(server, message.pop("call"))(**message)
        except Exception as error:
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(answer), file=answers, flush=True)
