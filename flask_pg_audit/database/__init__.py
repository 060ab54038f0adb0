"""From a declaration to the database.

``declared`` (compiled with ``trigger`` and ``function``, rendered from ``sql/``) and ``installed`` (read by
``catalog``) meet in ``plan``. Its actions come from ``infrastructure``, ``audit_table`` and ``recording``, and from
``orphans`` and ``removal``; what no action can mend from ``problems`` and ``weaknesses``. ``install`` carries a plan
out, ``status`` and ``check`` report it.

What is in the tables is looked at by ``baseline`` and ``verify``: a ``selection`` of tables, each a ``pairing`` of a
live table with its history, walked through in ``batches``.
"""
