"""Install flask-postgresql-audit; run by :mod:`benchmarks.contenders.environment` in its environment."""

import json
import sys

import psycopg2
import sqlalchemy as sa
from flask import Flask
from flask_postgresql_audit import Audit, PostgreSQLAudit
from flask_sqlalchemy import SQLAlchemy

task = json.load(sys.stdin)
db = SQLAlchemy()
for table in task["tables"]:
    key = {"id": sa.Column(sa.BigInteger, primary_key=True)}
    type(table["name"].title(), (db.Model, Audit), {"__tablename__": table["name"], **key})
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://"
db.init_app(app)
audit = PostgreSQLAudit()
audit.init_app(app, db)
engine = sa.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(**task["address"]))
entities = list(audit.pg_audit_entities)
extensions = [each for each in entities if type(each).__name__ == "PGExtension"]
with engine.begin() as connection:
    for each in extensions:
        connection.execute(each.to_sql_statement_create())
    db.metadata.create_all(connection)
    for each in entities:
        if each not in extensions:
            connection.execute(each.to_sql_statement_create())
