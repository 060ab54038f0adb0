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


def _find_rules(declared: Declared, installed: Installed) -> Iterator[Problem]:
    for table in declared.tables:
        for rule, is_instead in installed.rules.get(table.name, {}).items():
            if is_instead:
                what = f"has the rule {rule}, by which something else is done instead of a statement"
                yield Problem("table-rule", table.name, what, f"DROP RULE {ident(rule)} ON {qualified(table.name)}")
