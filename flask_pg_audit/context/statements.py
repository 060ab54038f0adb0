"""Which statements are known to be harmless: they cannot change a row, so they need no user.

Everything else counts as a write. Only statements that SQLAlchemy compiled from a ``select()`` are looked at, as
the SQL that is really sent: column properties, type expressions and text fragments are all in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from sqlalchemy.engine.interfaces import Compiled, ExecutionContext
from sqlalchemy.sql.expression import ReleaseSavepointClause, RollbackToSavepointClause, SavepointClause
from sqlalchemy.sql.selectable import SelectBase

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
    unnest upper variance websearch_to_tsquery
    """.split()  # noqa: SIM905 (a table to read, not a list to scroll through)
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
    return not isinstance(statement, (SavepointClause, ReleaseSavepointClause, RollbackToSavepointClause))


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
        yield name if before != "." else f"{before}{name}"


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
