"""postgresql-audit: JSONB in one table, statement triggers."""

from benchmarks.contenders.environment import contender

CONTENDER = contender(
    "postgresql-audit",
    "0.18.0",
    "its default: statement triggers, one JSONB table, actor in a transaction row",
    "SQLAlchemy==2.1.9",
    # What its listener sends before a flush.
    begin="""INSERT INTO transaction (native_transaction_id, issued_at, actor_id, client_addr)
    VALUES (pg_current_xact_id(), now() AT TIME ZONE 'UTC', '17', '10.1.2.3')
    ON CONFLICT ON CONSTRAINT transaction_unique_native_tx_id DO NOTHING;""",
)
