"""django-pghistory: a typed table for each, row triggers."""

from benchmarks.contenders.environment import contender

CONTENDER = contender(
    "django-pghistory",
    "3.9.2",
    "`@pghistory.track(InsertEvent(), UpdateEvent(), DeleteEvent())`: row triggers, typed tables, context in a row",
    "Django==5.2.19",
    # What its wrapper puts before each statement.
    begin="""PERFORM set_config('pghistory.context_id', gen_random_uuid()::text, true),
    set_config('pghistory.context_metadata', '{"user": 17, "url": "/orders/7"}', true);""",
)
