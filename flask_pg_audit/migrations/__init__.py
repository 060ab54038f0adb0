"""Alembic: what it needs to know about audited tables. Registered as a plugin, so ``env.py`` needs no line for it."""
