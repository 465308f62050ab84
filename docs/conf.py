"""How Sphinx builds these pages: ``sphinx-build -W -n docs build/docs``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from faasd_async import __version__

project = "faasd-async"
author = "the authors of faasd-async"
copyright = "the authors of faasd-async"
release = version = __version__

extensions = ["files_as_pages", "settings_reference", "rest_reference", "command_reference"]
exclude_patterns = ["examples", "extensions"]

_COLOURED = ("color-brand-primary", "color-brand-content", "color-api-name", "color-api-pre-name")

html_theme = "furo"
html_title = f"faasd-async {__version__}"
html_show_copyright = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": dict.fromkeys(_COLOURED, "#1d5c63"),
    "dark_css_variables": dict.fromkeys(_COLOURED, "#7cc4cc"),
}
highlight_language = "none"
