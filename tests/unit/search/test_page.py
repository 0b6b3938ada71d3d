"""Page tokens: round trip, damage, and use with another request."""

from __future__ import annotations

import base64
import hashlib
import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragvec.errors import InvalidToken
from ragvec.filters.nodes import Eq
from ragvec.search.page import decode_token, encode_token, request_digest

DIGEST = request_digest("query", "uid", 10)
KEY = bytes(range(32))
POSITIONS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=340),
    st.tuples(st.text("0123456789abcdef", max_size=64), st.integers(0, 10**9)),
)
SAFE = set(string.ascii_letters + string.digits + "-.")


@given(POSITIONS)
def test_a_token_leads_back_to_its_position(position: str | tuple[str, int]) -> None:
    token = encode_token(position, digest=DIGEST, key=KEY)

    assert decode_token(token, digest=DIGEST, key=KEY) == position
    assert set(token) <= SAFE
    assert len(token) <= 2048


def test_the_longest_key_fits_a_token_of_2048_characters() -> None:
    assert len(encode_token("k" * 1024, digest=DIGEST, key=KEY)) <= 2048
    assert len(encode_token("𝄞" * 256, digest=DIGEST, key=KEY)) <= 2048


@given(POSITIONS, st.data())
def test_any_changed_character_is_noticed(position: str | tuple[str, int], data: st.DataObject) -> None:
    token = encode_token(position, digest=DIGEST, key=KEY)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from(sorted(SAFE - {token[at]})))

    with pytest.raises(InvalidToken):
        decode_token(token[:at] + other + token[at + 1 :], digest=DIGEST, key=KEY)


@pytest.mark.parametrize("token", ["", "x", "abc", "not a token", "🙂", "A" * 100, "===="])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken, match="nextToken is damaged or was not returned by this store"):
        decode_token(token, digest=DIGEST, key=KEY)


@given(POSITIONS)
def test_a_cut_or_longer_token_is_refused(position: str | tuple[str, int]) -> None:
    token = encode_token(position, digest=DIGEST, key=KEY)
    for wrong in (token[:-1], token[1:], token + "A", token + "=", " " + token):
        with pytest.raises(InvalidToken):
            decode_token(wrong, digest=DIGEST, key=KEY)


def test_a_token_of_another_request_is_told_apart_from_a_damaged_one() -> None:
    token = encode_token(("cursor", 100), digest=DIGEST, key=KEY)

    with pytest.raises(InvalidToken, match="nextToken belongs to another request: repeat the request that returned it"):
        decode_token(token, digest=request_digest("query", "uid", 11), key=KEY)


@given(POSITIONS, st.binary(min_size=32, max_size=32).filter(lambda key: key != KEY))
def test_a_token_of_another_store_or_a_forged_one_is_refused(position: str | tuple[str, int], key: bytes) -> None:
    token = encode_token(position, digest=DIGEST, key=key)

    with pytest.raises(InvalidToken, match="was not returned by this store"):
        decode_token(token, digest=DIGEST, key=KEY)


def test_a_token_of_the_form_without_signature_is_refused() -> None:
    body = DIGEST + msgspec.msgpack.encode([0, "key"])
    check = hashlib.blake2b(body, digest_size=9, key=b"ragvec page 1").digest()
    token = base64.b64encode(check + body, altchars=b"-.").rstrip(b"=").decode()

    with pytest.raises(InvalidToken, match="nextToken is damaged or was not returned by this store"):
        decode_token(token, digest=DIGEST, key=KEY)


def test_the_signature_is_keyed_blake2b_over_the_rest() -> None:
    raw = base64.b64decode(encode_token("after", digest=DIGEST, key=KEY) + "==", altchars=b"-.")

    assert raw[16:] == DIGEST + msgspec.msgpack.encode([0, "after"])
    assert raw[:16] == hashlib.blake2b(raw[16:], digest_size=16, key=KEY, person=b"ragvec page 2").digest()


def test_digests_differ_with_every_part() -> None:
    digests = [
        request_digest(),
        request_digest("a"),
        request_digest(b"a"),
        request_digest("a", "b"),
        request_digest("ab"),
        request_digest("a", None),
        request_digest("a", 1),
        request_digest("a", 1.5),
        request_digest("a", repr(Eq("f", 1))),
        request_digest("a", repr(Eq("f", True))),
        request_digest("a", repr(Eq("f", 1.0))),
    ]

    assert len(set(digests)) == len(digests)
    assert {len(digest) for digest in digests} == {16}
    assert request_digest("query", "uid", 10) == DIGEST


@given(POSITIONS)
def test_the_paginator_of_boto3_takes_a_token_as_one_opaque_text(position: str | tuple[str, int]) -> None:
    token = encode_token(position, digest=DIGEST, key=KEY)

    assert "___" not in token
    try:
        document = json.loads(base64.b64decode(token))
    except ValueError:
        return
    assert not isinstance(document, dict)
