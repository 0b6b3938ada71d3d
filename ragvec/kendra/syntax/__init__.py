"""The advanced query syntax: read from a query's text, and made a condition on documents."""

from __future__ import annotations

from ragvec.kendra.syntax.read import ParsedQuery, cut_words, read
from ragvec.kendra.syntax.restrict import restrict

__all__ = ["ParsedQuery", "cut_words", "read", "restrict"]
