"""What writing costs with auditing: ``python -m benchmarks.writing``, or ``make bench``.

``tables``
    the tables that are written to, and what their rows look like.
``changes``
    the statements, plain and with a second insert by hand.
``session``
    runs them and tells what they cost the server.
``series``
    which statements one after the other, in how many rounds.
``sizes``, ``clients``, ``long_session``, ``curves``
    bytes, many at a time, for hours, and how cost grows.
``targets``
    what is promised, and whether it holds.
``chart``, ``page``
    pictures and tables for the documentation.
"""
