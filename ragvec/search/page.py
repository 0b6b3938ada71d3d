"""Tokens that carry a reader from one page to the next.

A token is text safe in URLs: a signature, the digest of the request that it continues, and a position. It holds no
secret and names no path. It is signed with the key of the store (BLAKE2b with a key, https://www.rfc-editor.org/rfc/rfc7693),
so that one that was changed, made up, or given by another store is refused, before anything in it is decoded; as is one
that is used with another request.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Any, TypeAlias

import msgspec

from ragvec.errors import InvalidToken

__all__ = ["Position", "decode_token", "encode_token", "request_digest"]

Position: TypeAlias = "str | tuple[str, int]"
"""The name or key to go on after, or a saved ranking and the offset in it."""

_FORM = b"ragvec page 2"
_SIGNATURE_BYTES = 16
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


def encode_token(position: Position, *, digest: bytes, key: bytes) -> str:
    """Return the token that leads to `position` in the results of the request with this digest, signed with the
    store's `key`."""
    place = _NamePosition(position) if isinstance(position, str) else _RankPosition(*position)
    body = digest + msgspec.msgpack.encode(place)
    return base64.b64encode(_signature(body, key) + body, altchars=_ALPHABET).rstrip(b"=").decode("ascii")


def decode_token(token: str, *, digest: bytes, key: bytes) -> Position:
    """Return the position in `token`, which must be signed with `key`.

    Raises:
        InvalidToken: it is damaged, made up, of another store or no token at all, or the digest of the request that it
        was given for is another.
    """
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=_ALPHABET, validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise _damaged() from error
    signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    genuine = hmac.compare_digest(signature, _signature(body, key))
    # The second test refuses tokens whose unused last bits were changed, which decode to the same bytes.
    if not genuine or base64.b64encode(raw, altchars=_ALPHABET).rstrip(b"=") != token.encode("ascii"):
        raise _damaged()
    if body[:_DIGEST_BYTES] != digest:
        raise InvalidToken(
            "nextToken belongs to another request: repeat the request that returned it, changing nothing else",
            path="/nextToken",
        )
    place = _decode_position(body[_DIGEST_BYTES:])
    return place.after if isinstance(place, _NamePosition) else (place.cursor, place.offset)


def _signature(body: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_SIGNATURE_BYTES, key=key, person=_FORM).digest()


def _damaged() -> InvalidToken:
    return InvalidToken(
        "nextToken is damaged or was not returned by this store: pass the nextToken of the previous answer unchanged",
        path="/nextToken",
    )
