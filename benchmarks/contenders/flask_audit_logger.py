"""flask-audit-logger: JSONB in one table, statement triggers."""

from benchmarks.contenders.environment import contender

CONTENDER = contender(
    "flask-audit-logger",
    "2.0.0",
    "its default: statement triggers, one JSONB table, actor in a transaction row",
    "Flask==3.1.3",
    "SQLAlchemy==2.1.9",
    # What its listener sends before a flush.
    begin="""INSERT INTO transaction (native_transaction_id, issued_at, client_addr, actor_id)
    VALUES (txid_current(), now() AT TIME ZONE 'UTC', '10.1.2.3', 17)
    ON CONFLICT ON CONSTRAINT transaction_unique_native_tx_id DO NOTHING;""",
)
