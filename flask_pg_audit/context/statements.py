"""Which statements are known to be harmless: they cannot change a row, so they need no user.

Everything else counts as a write. Only statements that SQLAlchemy compiled from a ``select()`` are looked at, as
the SQL that is really sent: column properties, type expressions and text fragments are all in it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from sqlalchemy.engine.interfaces import Compiled, ExecutionContext
from sqlalchemy.schema import DDL, ExecutableDDLElement
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.expression import ReleaseSavepointClause, RollbackToSavepointClause, SavepointClause
from sqlalchemy.sql.selectable import SelectBase

from ..declare.tables import IS_VIEW_TABLE

#: Functions that a harmless ``SELECT`` may call: PostgreSQL's own, without side effects.
HARMLESS_FUNCTIONS = frozenset(
    """
    abs array_agg array_length array_position array_to_string avg bool_and bool_or btrim cardinality ceil ceiling
    char_length coalesce concat concat_ws count cume_dist current_date current_setting current_timestamp date_part
    date_trunc dense_rank every extract first_value floor format greatest initcap json_agg json_array_elements
    json_build_array json_build_object json_extract_path json_extract_path_text json_object_agg jsonb_agg
    jsonb_array_elements jsonb_array_length jsonb_build_array jsonb_build_object jsonb_extract_path
    jsonb_extract_path_text jsonb_object_agg lag last_value lead least left length localtimestamp lower ltrim max
    md5 min mod mode now nth_value ntile nullif octet_length overlay percent_rank percentile_cont percentile_disc
    phraseto_tsquery plainto_tsquery position power random range_agg rank regexp_replace repeat replace right round
    row_number row_to_json rtrim sign split_part sqrt statement_timestamp stddev string_agg strpos substr substring
    sum to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector trim trunc ts_headline ts_rank
    to_regclass unnest upper variance websearch_to_tsquery
    col_description format_type generate_series generate_subscripts obj_description pg_get_constraintdef pg_get_expr
    pg_get_indexdef pg_get_serial_sequence pg_partition_tree pg_table_is_visible pg_total_relation_size
    pg_type_is_visible
    """.split()  # noqa: SIM905 (a table to read, not a list to scroll through)
)

#: Settings that a harmless ``SELECT`` may set with ``set_config('<name>', ...)``: how values are written, how queries
#: are planned and how long they may take. The name has to stand in the statement: a parameter could be
#: ``audit.username``.
HARMLESS_SETTINGS = frozenset(
    """
    bytea_output datestyle enable_sort extra_float_digits intervalstyle jit statement_timeout timezone
    """.split()  # noqa: SIM905
)

#: Words that may stand before "(" and are no functions.
_KEYWORDS = frozenset(
    """
    all and any array as between by case cast distinct else except exists filter from group grouping having in
    intersect is join lateral like ilike not of on or order over partition range rows select some sets then to union
    using values when where with within recursive materialized cube rollup escape row limit offset similar
    """.split()  # noqa: SIM905
)

#: Words that make a statement a write wherever they stand, "FOR UPDATE" excepted.
_WRITING_WORDS = frozenset({"insert", "update", "delete", "merge", "into", "call"})

_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*'                     # string
    | "(?:[^"]|"")*"                     # quoted identifier
    | [A-Za-z_\u0080-\uffff][\w$]*       # word
    | ::
    | \S
    """,
    re.VERBOSE,
)

_verdicts: WeakKeyDictionary[Compiled, bool] = WeakKeyDictionary()


def may_write(context: ExecutionContext | None) -> bool:
    """Whether the statement that is about to be executed might change a row.

    True for everything that is not known to be harmless: DML, DDL, raw text, ``CALL``, and a ``SELECT`` that calls
    a function outside :data:`HARMLESS_FUNCTIONS`.
    """
    compiled = getattr(context, "compiled", None)
    if compiled is None:
        return True
    statement = compiled.statement
    if isinstance(statement, SelectBase):
        # SQLAlchemy caches compiled statements, so the text of each is read once.
        verdict = _verdicts.get(compiled)
        if verdict is None:
            verdict = _verdicts[compiled] = not is_harmless_select(compiled.string)
        return verdict
    harmless = isinstance(statement, _SAVEPOINT_CLAUSES) or _is_plain_ddl(statement) or _records_view(statement)
    return not harmless


_SAVEPOINT_CLAUSES = (SavepointClause, ReleaseSavepointClause, RollbackToSavepointClause)


def _is_plain_ddl(statement: object) -> bool:
    """DDL fires no audit trigger, so that ``create_all()`` needs no user; the text of a ``DDL()`` can be anything."""
    return isinstance(statement, ExecutableDDLElement) and not isinstance(statement, DDL)


def _records_view(statement: object) -> bool:
    """``audit_view`` is written when the log is read: no change, so nobody has to be asked who makes it."""
    if not isinstance(statement, Insert) or statement.select is not None:
        return False
    return IS_VIEW_TABLE in getattr(statement.table, "info", {})


def is_harmless_select(sql: str) -> bool:
    """Whether the text of a compiled ``SELECT`` has no writing clause and calls harmless functions only."""
    tokens = _TOKEN.findall(sql)
    return not _writes(tokens) and all(name.lower() in HARMLESS_FUNCTIONS for name in _called(tokens))


def _writes(tokens: list[str]) -> bool:
    for before, token in zip(["", *tokens], tokens, strict=False):
        word = token.lower()
        locking = word == "update" and before.lower() in ("for", "key")  # FOR UPDATE, FOR NO KEY UPDATE
        if word in _WRITING_WORDS and not locking:
            return True
    return False


def _called(tokens: list[str]) -> Iterator[str]:
    """The names that are called: what stands before "(" and is neither a keyword, a type nor a CTE's name."""
    for index, text in enumerate(tokens):
        if text != "(" or index == 0:
            continue
        name = tokens[index - 1]
        before = tokens[index - 2].lower() if index > 1 else ""
        if not _is_name(name) or name.lower() in _KEYWORDS:
            continue
        if before in ("as", "::") or _names_columns_of_cte(tokens, index):
            continue  # CAST(x AS numeric(10, 2)), x::varchar(5), "AS alias(a, b)", "WITH cte(a, b) AS (...)"
        if name.lower() == "set_config" and before != "." and _names_harmless_setting(tokens[index + 1 : index + 3]):
            continue
        qualified = before == "." and tokens[max(index - 3, 0)] != "pg_catalog"
        yield f".{name}" if qualified else name


def _names_harmless_setting(arguments: list[str]) -> bool:
    """The first argument is a literal, the whole of it, and names one of :data:`HARMLESS_SETTINGS`."""
    name, *comma = arguments or [""]
    return comma == [","] and name[:1] == "'" and name[1:-1].lower() in HARMLESS_SETTINGS


def _is_name(token: str) -> bool:
    return token[0] == '"' or token[0] == "_" or token[0].isalpha()


def _names_columns_of_cte(tokens: list[str], opening: int) -> bool:
    """``name(a, b) AS [NOT] [MATERIALIZED] (SELECT``; ``FROM function(1) AS (a int)`` is a call."""
    try:
        closing = tokens.index(")", opening)
    except ValueError:
        return False
    after = [t.lower() for t in tokens[closing + 1 : closing + 6] if t.lower() not in ("not", "materialized")]
    return after[:2] == ["as", "("] and after[2:3] in (["select"], ["with"], ["("])


_HARMLESS_TEXT = re.compile(r"\s*(?:|SELECT\s+1|SHOW\s+[\w.]+(?:\s+[\w.]+)*)\s*;?\s*", re.IGNORECASE)

_ENDS_SETTINGS = frozenset(
    "ABORT BEGIN CALL COMMIT DISCARD DO END PREPARE RELEASE RESET ROLLBACK SAVEPOINT SET START".split()  # noqa: SIM905
)

_FIRST_WORD = re.compile(r"(?:\s|;|\(|--[^\n]*\n|/\*.*?\*/)*(\w*)", re.DOTALL)


#: ``SET CONSTRAINTS`` and ``COMMIT`` are not among them: they run deferred triggers, which may write.
_CONTROL = re.compile(
    r"""
      (?: \s | --[^\n]*\n | /\*.*?\*/ )*
      (?: SET\s+ (?!CONSTRAINTS\b) ["\w]
        | (?: RESET | SHOW | BEGIN | START\s+TRANSACTION | SAVEPOINT | RELEASE | ROLLBACK | ABORT ) \b )
      [^;]* ;? \s*
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)


def is_control_text(statement: object) -> bool:
    """Whether a statement does nothing but control the transaction or set settings.

    It changes no row, so it needs no user. And it must not be preceded by anything: ``SET TRANSACTION ISOLATION
    LEVEL`` has to be the first statement, and ``ROLLBACK TO SAVEPOINT`` is all that a failed transaction takes. It may
    set *our* settings too, or undo them, so that nothing that was applied before is known to be in force after it.
    """
    text = _text(statement)
    return text is not None and _CONTROL.fullmatch(text) is not None


def is_harmless_text(statement: object) -> bool:
    """Whether a statement that an application sends on the raw connection is known to be harmless.

    Nothing but an empty statement, ``SELECT 1`` (a ping) and ``SHOW``.
    """
    return isinstance(statement, str) and _HARMLESS_TEXT.fullmatch(statement) is not None


def ends_settings(statement: object) -> bool:
    """Whether a statement might end the transaction or take settings back, by its first word.

    Of several statements in one text nothing is known, so they might.
    """
    text = _text(statement)
    return text is None or _first_word(text).upper() in _ENDS_SETTINGS or ";" in text.rstrip("; \n")


class Autocommit(enum.Enum):
    """What to do about a statement on an AUTOCOMMIT connection."""

    TRANSACTION = "give it a transaction of its own"
    SESSION = "set the session's settings around it: a procedure may commit"
    LEAVE = "let it pass: it fires no audit trigger, and many of its kind refuse to run in a transaction"


_AUTOCOMMIT = {
    Autocommit.SESSION: frozenset({"CALL", "DO"}),
    Autocommit.LEAVE: frozenset(
        """
        ABORT ALTER ANALYZE BEGIN CHECKPOINT CLOSE CLUSTER COMMENT COMMIT CREATE DEALLOCATE DISCARD DROP END GRANT
        LISTEN LOAD LOCK NOTIFY REASSIGN REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SET SHOW START
        UNLISTEN VACUUM
        """.split()  # noqa: SIM905
    ),
}


def plan_autocommit(statement: object) -> Autocommit:
    """What to do about ``statement`` on an AUTOCOMMIT connection, by its first word."""
    word = _first_word(statement).upper()
    return next((plan for plan, words in _AUTOCOMMIT.items() if word in words), Autocommit.TRANSACTION)


def _first_word(statement: object) -> str:
    match = _FIRST_WORD.match(_text(statement) or "")
    return match.group(1) if match else ""


def _text(statement: object) -> str | None:
    if isinstance(statement, bytes):
        return statement.decode(errors="replace")
    return statement if isinstance(statement, str) else None
