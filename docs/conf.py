"""Sphinx: ``make docs``."""

from importlib.metadata import version as installed_version

project = "flask-pg-audit"
author = "the flask-pg-audit authors"
copyright = "2026, the flask-pg-audit authors"
release = installed_version("flask-pg-audit")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

html_theme = "furo"
html_title = f"flask-pg-audit {release}"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
