"""The site of `make docs`, built by Sphinx from the pages in docs/, the notebooks, and the docstrings of the package.

The source folder is the root of the repository, so that a link leads to the same place here as where the repository is
read. Nothing in the built pages asks another machine for anything.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

import ragvec  # noqa: E402  (of this checkout)

project = "ragvec"
author = "The ragvec authors"
project_copyright = f"2026, {author}"
version = release = ragvec.__version__

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/**", "CONTRIBUTING.md", "datasets/handbook/README.md"]
exclude_patterns = ["docs/extensions", ".*", "**/.ipynb_checkpoints", "benchmarks", "build", "dist", "ragvec", "tests"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
extensions = ["myst_nb", "sphinx.ext.autodoc", "docstrings", "public_names", "command_line"]

# Headings can be linked to, as on the pages of a forge; "$eq" is an operator of filters here, never mathematics.
myst_heading_anchors = 4
myst_enable_extensions = []
# Notebooks are shown with the outputs that they are kept with; the tests run them. Their widgets would come from a
# network of others, and a page without a kernel has none to move.
nb_execution_mode = "off"
nb_ipywidgets_js = {}

default_role = "code"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = f"ragvec {release}"
html_extra_path = ["front"]
html_static_path = []
html_copy_source = False
html_show_sphinx = False
