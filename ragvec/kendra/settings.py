"""The choices a query index leaves to its user."""

from __future__ import annotations

import msgspec

from ragvec.kendra.limits import KENDRA, Limits
from ragvec.kendra.relevance import Scale

__all__ = ["Settings"]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a query index answers; by default with Kendra's limits.

    `language`: queries see documents of this language only, unless their filter asks for one itself; None, the default,
    shows every language. Kendra behaves as "en".
    `depth`: how many of the nearest passages are considered; totals, facets and sorting are over their documents.
    `scale`: how similarity is judged; None takes the calibration for the embedder of the index.
    `strict_fields`: fields have the flags of a Kendra index nobody has configured, as `Schema.of` tells.
    """

    limits: Limits = KENDRA
    language: str | None = None
    depth: int = 1000
    scale: Scale | None = None
    strict_fields: bool = False
