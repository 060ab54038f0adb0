"""Install postgresql-audit; run by :mod:`benchmarks.contenders.environment` in its environment."""

import json
import sys

import psycopg2
import sqlalchemy as sa
from postgresql_audit import versioning_manager
from sqlalchemy.orm import configure_mappers, declarative_base

task = json.load(sys.stdin)
Base = declarative_base()
versioning_manager.init(Base)
configure_mappers()
engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(**task["address"]))
with engine.begin() as connection:
    Base.metadata.create_all(connection)
    for table in task["tables"]:
        connection.execute(versioning_manager.build_audit_table_query(sa.table(table["name"])))
