"""auditrum: JSONB images and differences in one partitioned table, row triggers."""

from benchmarks.contenders.environment import contender

CONTENDER = contender(
    "auditrum",
    "0.9.0",
    "its default: row triggers, full images and difference as JSONB, monthly partitions, context in a row",
    "SQLAlchemy==2.1.9",
    # What its wrapper puts before each statement.
    begin="""PERFORM set_config('auditrum.context_id', gen_random_uuid()::text, true),
    set_config('auditrum.context_metadata', '{"user_id": 17, "url": "/orders/7"}', true);""",
)
