"""What auditing costs a Flask application: ``python -m benchmarks.application``, and a part of ``make bench``.

``programs``
    run in an environment of each contender: the application, and what it does.
``worker``
    one of them from outside: a process that is told what to do, a line at a time.
``contenders``
    who takes part, with what installed.
``network``
    a wire with a delay, and the program that is one: ``delay``.
``steps``
    what is done one after the other, and how often.
``seats``
    contenders in their databases.
``run``
    the rounds in which the contenders take turns.
``figures``, ``targets``, ``tabulate``
    what came out, whether that is what is promised, and tables for the documentation.
"""
