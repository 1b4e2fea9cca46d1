"""The site of these pages, made by `make docs` (Sphinx, MyST) without a network: no fonts, scripts
or inventories of others. What a link names must be there, or the build fails."""

project = "certledger"
author = "certledger"
copyright = "certledger, Apache-2.0"
language = "en"

extensions = ["myst_parser"]
exclude_patterns = ["schemas"]
myst_enable_extensions: list[str] = []
myst_heading_anchors = 4
# Tables of tests and members of statements are wide; code is of no language that has to be guessed.
highlight_language = "none"

html_theme = "furo"
html_title = "certledger"
html_copy_source = False
html_show_sphinx = False
html_permalinks_icon = "#"
