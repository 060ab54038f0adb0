"""Whether the audit trail can be believed after everything that goes wrong: ``make soak``. Nothing here is installed.

Clients write through an application, and each keeps a ledger of what it has committed. Meanwhile the server is killed,
sessions are cut off, the disk is full, and the commands of the package run. In the end the history must tell what the
ledgers tell: no change more, none less, each by who made it.

``server``
    a PostgreSQL server that can be killed and started again.
``disk``
    a small disk, for the history, that can be full.
``bank``
    the application that is written to.
``ledger``
    what was committed.
``attempt``
    a transaction that is being made: what it changes.
``works``
    what transactions there are, those that go wrong by themselves included.
``client``
    makes them one after the other, and finds out what became of those whose commit was never answered.
``faults``
    what is done to the server.
``jobs``
    what else runs: the package's own commands, and readers.
``oracle``
    compares the history with the ledgers.
``dump``
    takes the database to another one, with ``pg_dump``.
``run``
    all of it, in processes.
``page``
    puts the figures into the documentation.
"""
