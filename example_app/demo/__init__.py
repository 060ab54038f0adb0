"""The example application with a day's work in it, on a PostgreSQL of its own: ``python -m example_app.demo``.

Set ``DATABASE_URL`` to use a database of yours instead (a fresh one: it gets the shop's tables), and ``PORT`` for
another port than 5000.

    __main__.py    from the command line to a running server, and back
    database.py    the database, its tables and triggers
    server.py      the application behind a port
    browser.py     what a person's browser does
    activity.py    what the people do
"""


class DemoError(Exception):
    """The demo cannot go on; the message is one line for the person who started it."""
