"""How the documentation is built: `make docs`; a warning is an error."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "rac"
author = "the authors of rac"
release = version = installed("rac")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
html_theme = "furo"
html_title = f"rac {release}"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# Links to files of the source tree, which are no pages: they are for who reads the pages there.
suppress_warnings = ["myst.xref_missing"]
autodoc_typehints = "description"
autodoc_member_order = "bysource"
nitpicky = False
# Two dashes are an option, and quotes are a shell's.
smartquotes = False
