"""What others hung on tables of history and on audited ones: triggers, rules and policies by which records get lost."""

from __future__ import annotations

from collections.abc import Iterator

from .action import Problem
from .app_role import history_tables
from .declared import Declared
from .installed import Installed
from .render import ident, qualified


def find_meddling(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """A trigger or rule on a table of history may alter or swallow what is recorded, and nothing fails."""
    for history in history_tables(declared, installed):
        on, table = history.name.display, qualified(history.name)
        for found in installed.triggers.get(history.found_as, ()):
            if not installed.is_ours(found.definition.function):
                name = found.definition.name
                what = f"{on} has the trigger {name}, which is not ours"
                yield Problem("history-trigger", history.audited, what, f"DROP TRIGGER {ident(name)} ON {table}")
        for rule in installed.rules.get(history.found_as, {}):
            what = f"{on} has the rule {rule}"
            yield Problem("history-rule", history.audited, what, f"DROP RULE {ident(rule)} ON {table}")
        if history.found_as in installed.policies:
            names = ", ".join(installed.policies[history.found_as]) or "none, so that only its owner sees anything"
            what = f"{on} has row-level security; policies: {names}"
            yield Problem("history-policy", history.audited, what, f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    yield from _find_rules(declared, installed)
    yield from _find_unlogged(declared, installed)
    yield from _find_numbering(declared, installed)
    yield from _find_replicas(declared, installed)


def _find_unlogged(declared: Declared, installed: Installed) -> Iterator[Problem]:
    for history in history_tables(declared, installed):
        relation = installed.relations.get(history.found_as)
        if relation is not None and relation.is_unlogged:
            fix = f"ALTER TABLE {qualified(history.name)} SET LOGGED"
            yield Problem("history-unlogged", history.audited, f"{history.name.display} is unlogged", fix)


def _find_numbering(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """With a cache, each session hands out numbers of its own, and a later change has a lower one."""
    shared = declared.infrastructure
    for name, relation in installed.relations.items():
        numbers = name == shared.sequence or (
            name.schema == shared.schema and relation.numbered == shared.transaction_table.name
        )
        if numbers and relation.is_irregular:
            fix = f"ALTER SEQUENCE {qualified(name)} INCREMENT 1 CACHE 1 NO CYCLE"
            yield Problem("sequence-altered", None, f"{name.display} has a cache, a cycle or another increment", fix)


def _find_replicas(declared: Declared, installed: Installed) -> Iterator[Problem]:
    if all(table.trigger.always for table in declared.tables):
        return
    for whose in installed.replicas:
        what = f"sessions begin with session_replication_role = replica (ALTER {whose} SET ...)"
        fix = f"ALTER {whose} RESET session_replication_role, or set AUDIT_ENABLE_ALWAYS"
        yield Problem("replica-setting", None, what, fix)


def _find_rules(declared: Declared, installed: Installed) -> Iterator[Problem]:
    for table in declared.tables:
        for rule, is_instead in installed.rules.get(table.name, {}).items():
            if is_instead:
                what = f"has the rule {rule}, by which something else is done instead of a statement"
                yield Problem("table-rule", table.name, what, f"DROP RULE {ident(rule)} ON {qualified(table.name)}")
