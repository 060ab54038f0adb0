"""What the history keeps of masked columns, and what it does not."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from sqlalchemy import Engine, Integer, MetaData, Numeric, String, Text

from flask_pg_audit import mask
from tests.capture import audited_table, column, install, recorded, rows, run


def person(**options: object) -> MetaData:
    metadata = MetaData()
    masks = {
        "email": mask.partial(keep_first=1, keep_last=4),
        "iban": mask.keyed(),
        "secret": "fixed",
        "salary": "fixed",
    }
    audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("email", String(100)),
        column("iban", String(34)),
        column("secret", Text),
        column("salary", Numeric(9, 2)),
        options={"mask": masks, **options},
    )
    return metadata


INSERT = (
    "INSERT INTO person VALUES (1, 'Ann', 'ann@example.org', 'DE00', 'hush', 100), (2, 'Bob', NULL, 'DE00', NULL, NULL)"
)


@pytest.mark.parametrize("level", ["statement", "row"])
def test_masked(engine: Engine, level: str) -> None:
    install(engine, person(level=level))
    run(
        engine,
        INSERT,
        "UPDATE person SET email = 'other@example.com' WHERE id = 1",
        "UPDATE person SET iban = 'DE01'",
        "UPDATE person SET iban = iban",
        "DELETE FROM person",
    )
    for row in recorded(engine, "person", "id", "name", "email", "iban", "secret", "salary"):
        print(row)
    [(inner,)] = rows(engine, "SELECT inner_pad FROM audit_mask_key")
    assert 0, [k for k in rows(engine, "select * from audit_mask_key")]
