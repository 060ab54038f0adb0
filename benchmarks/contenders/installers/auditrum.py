"""Install auditrum; run by :mod:`benchmarks.contenders.environment` in its environment."""

import json
import sys

import psycopg
import sqlalchemy as sa
from auditrum.integrations.sqlalchemy import bootstrap_schema, sync, track_table

task = json.load(sys.stdin)
engine = sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(**task["address"]))
metadata = sa.MetaData()
for table in task["tables"]:
    track_table(sa.Table(table["name"], metadata, *map(sa.Column, table["columns"])))
bootstrap_schema(engine)
sync(engine)
