"""The choices a query index leaves to its user."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from ragvec.kendra.access.keys import GivenKeys
from ragvec.kendra.answers.reader import Reader
from ragvec.kendra.limits import KENDRA, Limits
from ragvec.kendra.rank.versions import Versions
from ragvec.kendra.relevance import Scale

__all__ = ["Interval", "Settings"]

Interval: TypeAlias = Literal["year", "quarter", "month", "week", "day", "hour"]
"""What a facet over dates may count by, in UTC; weeks begin on Monday."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a query index answers; by default with Kendra's limits.

    `language`: queries see documents of this language only, unless their filter asks for one itself; None, the default,
    shows every language. Kendra behaves as "en".
    `depth`: how many of the nearest passages are considered; totals, facets and sorting are over their documents.
    `scale`: how similarity is judged; None takes the calibration for the embedder of the index.
    `date_interval`: facets over dates count by "year", "quarter", "month", "week", "day" or "hour" instead of by value.
    `disjunctive_facets`: a facet counts as if the filter did not restrict its own field.
    Kendra has neither.
    `journal`: queries are recorded with the index, for suggestions, feedback and analytics.
    `reader`: what reads answers from passages; None takes the one that comes with ragvec, which needs no model but the
    embedder.
    `versions`: which documents give place to others that were found (superseded ones, near-duplicates, older versions);
    None, the default, keeps all.
    `strict_fields`: fields have the flags of a Kendra index nobody has configured, as `Schema.of` tells.
    `strict_overrides`: the service's two rules for tuning by a query hold, see `ragvec.kendra.rank.tuning.effective`.
    `token_keys`: by the URL or ARN that an index names, a file with the keys by which JSON Web Tokens are verified, or
    its content: a JSON Web Key Set, a key, or PEM. Nothing is fetched then.
    """

    limits: Limits = KENDRA
    language: str | None = None
    depth: int = 1000
    scale: Scale | None = None
    versions: Versions | None = None
    strict_fields: bool = False
    strict_overrides: bool = False
    date_interval: Interval | None = None
    disjunctive_facets: bool = False
    token_keys: GivenKeys = {}
    journal: bool = True
    reader: Reader | None = None
