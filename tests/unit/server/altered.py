"""Requests as somebody on the way would change them."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from ragvec.server.messages import HttpRequest

__all__ = ["with_header", "with_signature"]


def with_header(request: HttpRequest, name: str, value: str) -> HttpRequest:
    """The same with this header, in place of another of the name if there is one."""
    others = tuple(pair for pair in request.headers if pair[0] != name)
    return msgspec.structs.replace(request, headers=(*others, (name, value)))


def with_signature(request: HttpRequest, pattern: str, text: str | Callable[[re.Match[str]], str]) -> HttpRequest:
    """The same with every match of a regular expression replaced in `Authorization`, where there is one at least."""
    before = request.header("authorization")
    assert before is not None
    after = re.sub(pattern, text, before)
    assert after != before
    return with_header(request, "authorization", after)
