"""What the application does; each task within requests, with somebody logged in, and timed without what is around it.

The user is in memory: what loading one costs is the same for all.
"""

import gc
import statistics
import time
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from flask_login import login_user

from .shape import values

#: As a browser sends them.
HEADERS = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "X-Request-ID": "7f3c3f0e8f6c4d4c9a53"}


class Clock:
    """Of each transaction: time that passed, and that the client spent on the processor, in seconds."""

    def __init__(self):
        self.wall, self.client = [], []

    @contextmanager
    def running(self):
        wall, client = time.perf_counter(), time.process_time()
        yield
        self.client.append(time.process_time() - client)
        self.wall.append(time.perf_counter() - wall)


class Tasks:
    """All of them, on one application with one connection.

    :param user: who is logged in.
    """

    def __init__(self, app, db, account, user):
        self._app, self._db, self._account, self._user = app, db, account, user
        with app.app_context():
            pid = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
            db.session.rollback()
        self._schedule = Path(f"/proc/{pid}/schedstat")
        # What is imported stays: to look for garbage in it takes longer than what is measured.
        gc.freeze()

    def do(self, task, count):
        """Do it to so many objects.

        Returns microseconds for each: that passed, the least of them, of the client, and of the server. Medians of the
        transactions, since a busy machine makes some of them wait; of the server it is the mean.
        """
        clock = Clock()
        gc.collect()
        server = self._server()
        getattr(self, f"_{task.replace(' ', '_')}")(clock, count)
        server = self._server() - server
        each = 1e6 * len(clock.wall) / count
        return {
            "wall": statistics.median(clock.wall) * each,
            "least": min(clock.wall) * each,
            "client": statistics.median(clock.client) * each,
            "server": server * 1e6 / count,
        }

    def _server(self):
        # Nanoseconds of the process that serves the connection; elsewhere than on Linux not to be had.
        return int(self._schedule.read_text().split()[0]) / 1e9 if self._schedule.exists() else 0.0

    @contextmanager
    def _request(self):
        with self._app.test_request_context("/accounts/7", method="POST", headers=HEADERS):
            login_user(self._user)
            yield self._db.session

    def _ids(self, count):
        with self._app.app_context():
            return self._db.session.scalars(sa.select(self._account.id).order_by(self._account.id).limit(count)).all()

    def _insert(self, clock, count):
        for number in range(count):
            with self._request() as session, clock.running():
                session.add(self._account(**values(number)))
                session.commit()

    def _update(self, clock, count):
        for key in self._ids(count):
            with self._request() as session, clock.running():
                session.get(self._account, key).amount += 1
                session.commit()

    def _read(self, clock, count):
        newest = sa.select(self._account).order_by(self._account.id.desc()).limit(10)
        for key in self._ids(count):
            with self._request() as session, clock.running():
                session.get(self._account, key)
                session.scalars(newest).all()
                session.rollback()

    def _delete(self, clock, count):
        for key in self._ids(count):
            with self._request() as session, clock.running():
                session.delete(session.get(self._account, key))
                session.commit()

    def _flush_insert(self, clock, count):
        objects = [self._account(**values(number)) for number in range(count)]
        with self._request() as session, clock.running():
            session.add_all(objects)
            session.commit()

    def _flush_update(self, clock, count):
        with self._request() as session:
            objects = session.scalars(sa.select(self._account).limit(count)).all()
            with clock.running():
                for each in objects:
                    each.amount += 1
                session.commit()

    def _bulk_insert(self, clock, count):
        rows = [values(number) for number in range(count)]
        with self._request() as session, clock.running():
            session.execute(sa.insert(self._account), rows)
            session.commit()

    def _bulk_update(self, clock, count):
        with self._request() as session, clock.running():
            session.execute(sa.update(self._account).values(amount=self._account.amount + 1))
            session.commit()

    def _ping(self, clock, count):
        with self._app.app_context(), self._db.engine.connect() as connection:
            for _ in range(count):
                with clock.running():
                    connection.exec_driver_sql("SELECT 1")
