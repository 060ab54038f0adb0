"""Compares the history with the ledgers: every committed change is recorded once, as it was, by who made it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from flask_pg_audit import AuditSealError
from flask_pg_audit.database.baseline import baseline
from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from flask_pg_audit.seal import seal, verify_seals
from soak.bank import TABLES, Bank
from soak.ledger import COLUMNS, read_rows

#: Rows of a ledger that are loaded at a time.
BATCH = 10_000

#: Counted, with how each is; ``l`` is the ledger's side of a change, ``r`` the history's.
COUNTS = {
    "lost": "SELECT count(*) FROM soak_matched WHERE r_id IS NULL",
    "unexplained": "SELECT count(*) FROM soak_matched WHERE l_id IS NULL",
    "doubled": "SELECT count(*) - count(DISTINCT (tbl, operation, stamp)) FROM soak_matched",
    "wrong_user": """
        SELECT count(*) FROM soak_matched
        WHERE l_id IS NOT NULL AND r_id IS NOT NULL AND (
            (r_username, t_username, t_actor_id) IS DISTINCT FROM (l_username, l_username, l_actor_id)
        )
    """,
    "wrong_image": """
        SELECT count(*) FROM soak_matched
        WHERE l_id IS NOT NULL AND r_id IS NOT NULL
            AND (r_id, r_amount, r_note) IS DISTINCT FROM (l_id, l_amount, l_note)
    """,
    # A client's own rows change in its order; the shared ones count up one by one.
    "out_of_order": """
        SELECT count(*) FROM (
            SELECT tbl, r_amount, (number, ordinal) <= lag((number, ordinal)) OVER row AS is_earlier,
                r_amount - lag(r_amount, 1, CASE tbl WHEN 'counter' THEN 0 END) OVER row AS step
            FROM soak_matched WHERE l_id IS NOT NULL AND r_id IS NOT NULL
            WINDOW row AS (PARTITION BY tbl, r_id ORDER BY audit_id)
        ) AS changes
        WHERE CASE tbl WHEN 'counter' THEN step <> 1 ELSE is_earlier END
    """,
    "split": """
        SELECT count(*) FROM (
            SELECT FROM soak_matched WHERE l_id IS NOT NULL AND r_id IS NOT NULL
            GROUP BY client, number HAVING count(DISTINCT audit_transaction_id) > 1
        ) AS transactions
    """,
    "merged": """
        SELECT count(*) FROM (
            SELECT FROM soak_matched WHERE l_id IS NOT NULL AND r_id IS NOT NULL
            GROUP BY audit_transaction_id HAVING count(DISTINCT (client, number)) > 1
        ) AS transactions
    """,
    "orphaned": """
        SELECT count(*) FROM (SELECT DISTINCT audit_transaction_id AS id FROM soak_recorded) AS h
        FULL JOIN audit_transaction AS t USING (id)
        WHERE h IS NULL OR t IS NULL
    """,
    "baselined_twice": """
        SELECT count(*) - count(DISTINCT (tbl, id)) FROM soak_recorded WHERE audit_operation = 'S'
    """,
    "not_as_live": """
        SELECT count(*) FROM (
            SELECT DISTINCT ON (tbl, id) tbl, id, amount, note, stamp, audit_operation
            FROM soak_recorded ORDER BY tbl, id, audit_id DESC
        ) AS last
        FULL JOIN soak_live AS live USING (tbl, id)
        WHERE CASE WHEN last.audit_operation = 'D' THEN live.id IS NOT NULL AND live.stamp IS NOT NULL
            ELSE (last.amount, last.note, last.stamp) IS DISTINCT FROM (live.amount, live.note, live.stamp) END
    """,
}


@dataclass(frozen=True)
class Verdict:
    """What was found.

    :ivar changes: in the ledgers.
    :ivar recorded: in the history, first images of a baseline not included.
    :ivar counts: how many changes, or transactions, are not as they should be; see :data:`COUNTS`.
    :ivar findings: of ``flask audit check``, ``verify`` and ``verify --seals``, a line for each.
    """

    changes: int
    recorded: int
    counts: dict[str, int]
    findings: tuple[str, ...]

    @property
    def is_clean(self) -> bool:
        """Whether the history tells what the ledgers tell."""
        return self.changes == self.recorded and not any(self.counts.values()) and not self.findings


def judge(bank: Bank, engine: Engine, ledgers: Iterable[Path]) -> Verdict:
    """Compare; nobody may write meanwhile. Rows from before auditing get their first image, if they have none yet."""
    baseline(bank.db.metadata, engine)
    with engine.begin() as connection:
        _load(connection, ledgers)
        counts = {name: int(connection.exec_driver_sql(query).scalar_one()) for name, query in COUNTS.items()}
        changes, recorded = connection.exec_driver_sql("SELECT count(l_id), count(r_id) FROM soak_matched").one()
        _forget(connection)
    return Verdict(changes, recorded, counts, tuple(_findings(bank, engine)))


def _findings(bank: Bank, engine: Engine) -> Iterable[str]:
    with engine.connect() as connection:
        yield from map(str, check(bank.db.metadata, connection))
    for one in verify(bank.db.metadata, engine):
        yield from map(str, one.differences)
    try:
        seal(bank.db.metadata, engine)
        yield from map(str, verify_seals(bank.db.metadata, engine).findings)
    except AuditSealError as error:
        yield str(error)


def _load(connection: Connection, ledgers: Iterable[Path]) -> None:
    connection.exec_driver_sql(f"CREATE TEMPORARY TABLE soak_ledger ({COLUMNS})")
    # As JSON, which every driver can send, from a file that the server need not be able to read.
    fill = text("INSERT INTO soak_ledger SELECT * FROM json_populate_recordset(NULL::soak_ledger, CAST(:rows AS json))")
    for path in ledgers:
        rows = read_rows(path)
        while batch := list(islice(rows, BATCH)):
            connection.execute(fill, {"rows": json.dumps(batch)})
    _match(connection)


def _match(connection: Connection) -> None:
    recorded, live = (
        " UNION ALL ".join(query.format(purpose=purpose, name=name) for purpose, name in TABLES.items())
        for query in (
            "SELECT '{purpose}' AS tbl, audit_transaction_id, audit_id, audit_operation, audit_username, "
            'id, amount, note, stamp FROM "{name}_audit"',
            "SELECT '{purpose}' AS tbl, id, amount, note, stamp FROM \"{name}\"",
        )
    )
    for statement in (
        f"CREATE TEMPORARY VIEW soak_live AS {live}",
        f"CREATE TEMPORARY TABLE soak_recorded AS {recorded}",
        "ANALYZE soak_ledger",
        "ANALYZE soak_recorded",
        """
        CREATE TEMPORARY TABLE soak_matched AS
        SELECT tbl, operation, stamp, l.client, l.number, l.ordinal,
            l.id AS l_id, l.amount AS l_amount, l.note AS l_note, l.username AS l_username, l.actor_id AS l_actor_id,
            r.id AS r_id, r.amount AS r_amount, r.note AS r_note, r.audit_username AS r_username,
            r.audit_id, r.audit_transaction_id, t.username AS t_username, t.actor_id AS t_actor_id
        FROM soak_ledger AS l
        FULL JOIN (
            SELECT *, audit_operation::text AS operation FROM soak_recorded WHERE audit_operation <> 'S'
        ) AS r USING (tbl, operation, stamp)
        LEFT JOIN audit_transaction AS t ON t.id = r.audit_transaction_id
        """,
        "ANALYZE soak_matched",
    ):
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def _forget(connection: Connection) -> None:
    connection.exec_driver_sql("DROP VIEW soak_live")
    connection.exec_driver_sql("DROP TABLE soak_ledger, soak_recorded, soak_matched")
