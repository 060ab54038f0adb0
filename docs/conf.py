"""Sphinx configuration."""

project = "flask_pg_audit"
author = "the flask-pg-audit authors"
copyright = "2026, the flask-pg-audit authors"
extensions = ["myst_parser"]
html_theme = "furo"
myst_heading_anchors = 3
exclude_patterns = ["_build"]
suppress_warnings = ["misc.highlighting_failure"]  # Pygments does not know all of PL/pgSQL
