"""Tokens that carry a reader from one page to the next.

A token is text safe in URLs: a checksum, the digest of the request that it continues, and a position. It holds no
secret and names no path; it is refused when a character of it changed or when it is used with another request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, TypeAlias

import msgspec

from ragvec.errors import InvalidToken

__all__ = ["Position", "decode_token", "encode_token", "request_digest"]

Position: TypeAlias = "str | tuple[str, int]"
"""The name or key to go on after, or a saved ranking and the offset in it."""

_FORM = b"ragvec page 1"
_CHECK_BYTES = 9
_DIGEST_BYTES = 16
# Not the usual "-_": boto3's paginator takes a token with "___" in it apart.
_ALPHABET = b"-."


class _NamePosition(msgspec.Struct, tag=0, array_like=True):
    after: str


class _RankPosition(msgspec.Struct, tag=1, array_like=True):
    cursor: str
    offset: int


_decode_position = msgspec.msgpack.Decoder(_NamePosition | _RankPosition).decode


def request_digest(*parts: Any) -> bytes:
    """Return 16 bytes that differ for different `parts`: bytes, text, numbers, None, filters, and tuples of these."""
    encoded = msgspec.msgpack.encode(parts, order="deterministic")
    return hashlib.blake2b(encoded, digest_size=_DIGEST_BYTES).digest()


def encode_token(position: Position, *, digest: bytes) -> str:
    """Return the token that leads to `position` in the results of the request with this digest."""
    place = _NamePosition(position) if isinstance(position, str) else _RankPosition(*position)
    body = digest + msgspec.msgpack.encode(place)
    return base64.b64encode(_checksum(body) + body, altchars=_ALPHABET).rstrip(b"=").decode("ascii")


def decode_token(token: str, *, digest: bytes) -> Position:
    """Return the position in `token`.

    Raises:
        InvalidToken: it is damaged or no token at all, or the digest of the request that it was given for is another.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=_ALPHABET, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _damaged() from error
    check, body = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    # The second test refuses tokens whose unused last bits were changed, which decode to the same bytes.
    if check != _checksum(body) or base64.b64encode(raw, altchars=_ALPHABET).rstrip(b"=") != token.encode("ascii"):
        raise _damaged()
    if body[:_DIGEST_BYTES] != digest:
        raise InvalidToken(
            "nextToken belongs to another request: repeat the request that returned it, changing nothing else",
            path="/nextToken",
        )
    place = _decode_position(body[_DIGEST_BYTES:])
    return place.after if isinstance(place, _NamePosition) else (place.cursor, place.offset)


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECK_BYTES, key=_FORM).digest()


def _damaged() -> InvalidToken:
    return InvalidToken(
        "nextToken is damaged or was not returned by this store: pass the nextToken of the previous answer unchanged",
        path="/nextToken",
    )
