"""Sphinx builds the site in docs/; `make docs` calls it. What it needs is on this machine."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import reference_tables

project = "digits"
copyright = "the authors of digits, Apache-2.0"
html_title = "digits"
extensions = ["myst_parser"]
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_copy_source = False
html_show_sphinx = False
exclude_patterns = ["_build", "_tables"]
nitpicky = True
myst_heading_anchors = 3
# no remote picture, font or script: the pages are read from a folder, too
html_theme_options: dict[str, list[str]] = {"footer_icons": []}
suppress_warnings = ["myst.header"]  # a table that is included begins with no title

reference_tables.write(Path(__file__).parent / "_tables")
