"""Making a new key for masks."""

from __future__ import annotations

from sqlalchemy import Engine, MetaData

from ..errors import AuditConfigError
from .render import qualified
from .selection import select_tables


def rotate_mask_key(metadata: MetaData, engine: Engine, *, forget: bool = False) -> str:
    """Make a new key for :func:`~flask_pg_audit.mask.keyed`, with which values are masked from now on.

    Equal values are not equal any more across the two keys.

    :param forget: delete the earlier keys, so that nobody can compute what they made of a value.
    :returns: the id of the new key, with which the values begin that it masks.
    :raises AuditConfigError: no column is masked with a key.
    :raises AuditInstallError: it is not installed yet.

    Locks: none that hinders a writer. A statement that is running goes on with the key that it has.

    .. versionadded:: 0.1
    """
    selection = select_tables(metadata, engine, None)
    shared = selection.declared.infrastructure
    if not shared.is_keyed:
        raise AuditConfigError("no column is masked with a key: none is declared with mask.keyed()")
    selection.require_installed()
    create = f"SELECT pg_catalog.encode(({qualified(shared.create_mask_key)}())[1], 'hex')"
    delete = f"DELETE FROM {qualified(shared.mask_key_table)} WHERE id <> "  # noqa: S608 - names are quoted
    options = {"no_parameters": True}
    with engine.begin() as connection:
        key = str(connection.exec_driver_sql(create, execution_options=options).scalar_one())
        if forget:
            connection.exec_driver_sql(f"{delete}'{key}'", execution_options=options)
    return key
