"""Access control: who sees which passages, as a filter over the access lists stored with them.

This restricts results. Ids given in a request are trusted, as in Kendra; of tokens, JSON Web Tokens are verified.
"""

from __future__ import annotations

from ragvec.kendra.access.context import restriction, user_context
from ragvec.kendra.access.lists import access_metadata, is_access_field, principals, read_access
from ragvec.kendra.access.rules import Rules, allowed, not_denied, note_levels, visible_to

__all__ = [
    "Rules",
    "access_metadata",
    "allowed",
    "is_access_field",
    "not_denied",
    "note_levels",
    "principals",
    "read_access",
    "restriction",
    "user_context",
    "visible_to",
]
