"""Sphinx configuration: `pip install -e ".[docs]"`, then `sphinx-build docs docs/_build`."""

project = "dtws_sio"
extensions = ["sphinx.ext.autodoc"]
html_theme = "furo"
exclude_patterns = ["_build"]
