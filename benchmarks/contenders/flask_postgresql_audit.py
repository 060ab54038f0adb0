"""flask-postgresql-audit: JSONB in one table with the key of each row, statement triggers."""

from benchmarks.contenders.environment import contender

CONTENDER = contender(
    "flask-postgresql-audit",
    "1.1.3",
    "its default: statement triggers, one JSONB table with row keys, actor in a transaction row",
    "Flask==3.1.3",
    "SQLAlchemy==2.1.9",
    # What its listener sends before a flush.
    begin="""INSERT INTO pga_transaction (native_transaction_id, issued_at, client_addr, actor_id)
    VALUES (txid_current(), now() AT TIME ZONE 'UTC', '10.1.2.3', '17')
    ON CONFLICT ON CONSTRAINT pga_transaction_unique_native_tx_id DO NOTHING;""",
)
