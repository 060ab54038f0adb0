"""What is audited: from ``Table.info`` to audit tables in the same ``MetaData``. Knows SQLAlchemy only."""
