"""Everything this package raises on purpose: one base class, three children."""


class AuditError(Exception):
    """Base class of every error this package raises on purpose."""


class AuditConfigError(AuditError):
    """A declaration or a configuration is wrong; nothing was changed.

    Raised while tables are declared, when the Flask extension starts, or when a command reads its
    options. The message names the table or the key and lists what is allowed.
    """


class AuditContextError(AuditError):
    """A change was refused because the database could not be told who made it.

    Raised from the driver's error when a mandatory session setting is missing, and when the actor or
    the request's metadata cannot be worked out. The transaction has to be rolled back; after that the
    session is usable again.
    """


class AuditInstallError(AuditError):
    """Installing, uninstalling or inspecting the database failed; the database is as it was before.

    Taking a baseline and repairing are done batch by batch: what was committed before the error stays.
    """


def sqlstate(error: BaseException) -> str | None:
    """The five-character SQLSTATE of a SQLAlchemy or driver error; ``None`` when there is none."""
    original = getattr(error, "orig", None) or error
    # psycopg 3 and asyncpg call it sqlstate, psycopg2 pgcode.
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return str(code) if code else None


def driver_message(error: BaseException) -> str:
    """The first line of what the server or driver said, without SQLAlchemy's additions."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
