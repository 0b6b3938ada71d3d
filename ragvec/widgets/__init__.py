"""Widgets for notebooks: search an index, look through a store, compare configurations.

Needs ipywidgets and anywidget (the extra `notebook`), which are imported with this package.
"""

from ragvec.extras import require

require("ipywidgets", extra="notebook", purpose="ragvec.widgets")
require("anywidget", extra="notebook", purpose="ragvec.widgets")

from ragvec.widgets.evaluation import EvaluationWidget  # noqa: E402
from ragvec.widgets.explorer import StoreExplorer  # noqa: E402
from ragvec.widgets.search import SearchWidget  # noqa: E402
from ragvec.widgets.vector_map import VectorMap  # noqa: E402

__all__ = ["EvaluationWidget", "SearchWidget", "StoreExplorer", "VectorMap"]
