"""What auditing starts with, each in an interpreter where nothing has listened before."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import sqlalchemy as sa
import flask_pg_audit
metadata = sa.MetaData()

def declare(name):
    info = {"audit.options": {"enabled": True}}
    sa.Table(name, metadata, sa.Column("id", sa.Integer, primary_key=True), info=info)

"""

A_AND_ITS_HISTORY = "a a_audit audit_maintenance audit_redaction audit_seal audit_seal_leaves audit_transaction"


def tables_after(program: str) -> str:
    """The names of the metadata's tables at the end of ``program``."""
    source = PROGRAM + textwrap.dedent(program) + "\nprint(*sorted(metadata.tables))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", source], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_importing_the_package_declares_nothing() -> None:
    assert tables_after("declare('a')") == "a"


def test_enable_twice() -> None:
    program = "flask_pg_audit.enable(); flask_pg_audit.enable(); declare('a')"
    assert tables_after(program) == A_AND_ITS_HISTORY


@pytest.mark.parametrize(
    "arguments", ["'postgresql+psycopg2://', plugins=['audit']", "'postgresql+psycopg2:///?plugin=audit'"]
)
def test_the_engine_plugin_enables(arguments: str) -> None:
    assert tables_after(f"sa.create_engine({arguments}); declare('a')") == A_AND_ITS_HISTORY


def test_the_script_picks_up_what_was_declared_before() -> None:
    program = "declare('a'); flask_pg_audit.install_audit_triggers(metadata)"
    assert tables_after(program) == A_AND_ITS_HISTORY
