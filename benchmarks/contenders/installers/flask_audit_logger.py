"""Install flask-audit-logger; run by :mod:`benchmarks.contenders.environment` in its environment."""

import json
import sys

import psycopg2
import sqlalchemy as sa
from flask_audit_logger import AuditLogger
from flask_sqlalchemy import SQLAlchemy

task = json.load(sys.stdin)
db = SQLAlchemy()


class User(db.Model):
    id = sa.Column(sa.BigInteger, primary_key=True)


for table in task["tables"]:
    sa.Table(table["name"], db.metadata, sa.Column("id", sa.BigInteger, primary_key=True), info={"audit_logged": True})
logger = AuditLogger(db)
engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(**task["address"]))
with engine.begin() as connection:
    connection.execute(logger.pg_btree_gist_extension.create_sql)
    db.metadata.create_all(connection)
    connection.execute(sa.insert(User).values(id=17))
    for each in (*logger.pg_functions, *logger.pg_triggers):
        connection.execute(each.create_sql)
