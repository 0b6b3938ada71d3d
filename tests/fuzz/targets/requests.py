"""Requests of the vector service: any operation with any arguments in three dialects, tokens, policies and tags.

Whatever a request names, nothing outside of the store's folder appears, changes or vanishes, and no name that a caller
gives becomes the name of a file.
"""

from __future__ import annotations

import base64
import functools
from pathlib import Path
from typing import Any

from ragvec.api.client import Client, connect
from ragvec.api.dialects import DIALECTS
from ragvec.api.operations import OPERATIONS, perform
from ragvec.api.policies import check_policy
from ragvec.api.tags import check_tags
from ragvec.errors import Conflict, InvalidPolicy, InvalidRequest, InvalidToken, RagvecError, StoreError
from ragvec.search.page import decode_token, encode_token, request_digest
from tests.fuzz.harness import ABSENT, Target, decoded, scratch, text_of, told

__all__ = ["TARGETS", "outside"]

_DIGEST = request_digest("fuzz")
_KEY = b"of this store"
_ROOT = ("a", "stores")
MARK = b"nobody writes here"


@functools.cache
def _client(dialect: str) -> Client:
    root = scratch().joinpath(*_ROOT)
    if not root.exists():
        (root / "beside").mkdir(parents=True)
        (root / "marker").write_bytes(MARK)
        (root.parent / "marker").write_bytes(MARK)
    client = connect(root / f"store-{dialect}", dialect=dialect)
    _restore(client)
    return client


def _restore(client: Client) -> None:
    """A bucket and an index for requests to find."""
    bucket = "fuzz-bucket"
    if not any(each["vectorBucketName"] == bucket for each in client.list_vector_buckets()["vectorBuckets"]):
        client.create_vector_bucket(vectorBucketName=bucket)
    found = client.list_indexes(vectorBucketName=bucket)["indexes"]
    if not any(each["indexName"] == "fuzz-index" for each in found):
        client.create_index(
            vectorBucketName=bucket, indexName="fuzz-index", dataType="float32", dimension=2, distanceMetric="cosine"
        )


def outside(root: Path) -> dict[str, bytes | None]:
    """Everything in `root` but what the stores in it hold: paths, and the contents of files."""
    found: dict[str, bytes | None] = {}
    for path in sorted(root.rglob("*")):
        below = path.relative_to(root).as_posix()
        if not below.startswith("stores/store-"):
            found[below] = None if path.is_dir() else path.read_bytes()
    return found


def request(data: bytes) -> None:
    document = decoded(data)
    if not (isinstance(document, list) and len(document) == 2 and isinstance(document[1], dict)):
        return
    operation, arguments = document
    if not isinstance(operation, str):
        return
    for dialect in ("native", "s3", "tos"):
        client = _client(dialect)
        if isinstance(arguments.get("dimension"), (int, float)) and arguments["dimension"] > 64:
            arguments = arguments | {"dimension": 64}
        try:
            perform(client.session, operation, arguments=arguments)
        except StoreError:
            raise
        except RagvecError as error:
            told(error)
        if operation.startswith("Delete"):
            _restore(client)
    if operation.startswith(("Create", "Put")):
        _check_tree(arguments)


def _check_tree(arguments: dict[str, Any]) -> None:
    top = scratch() / _ROOT[0]
    assert outside(top) == {"marker": MARK, "stores": None, "stores/beside": None, "stores/marker": MARK}
    given = {name for name in _texts(arguments) if len(name) > 3} - _own_names()
    for store in (top / "stores").glob("store-*"):
        names = {part.name for part in store.rglob("*")}
        assert not given & names, given & names


@functools.cache
def _own_names() -> frozenset[str]:
    """Names that the files of a store have in any case."""
    client = connect(scratch() / "own")
    _restore(client)
    there = {"vectorBucketName": "fuzz-bucket", "indexName": "fuzz-index"}
    client.put_vectors(**there, vectors=[{"key": "a", "data": {"float32": [1.0, 0.0]}}])
    found = frozenset(part.name for part in (scratch() / "own").rglob("*"))
    client.close()
    return found


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []


def names(data: bytes) -> None:
    """The text as the name of a bucket, of an index, and as a key."""
    name = text_of(data)
    for dialect in ("native", "s3"):
        client = _client(dialect)
        session = client.session
        made: list[tuple[str, dict[str, str]]] = []
        try:
            perform(session, "CreateVectorBucket", arguments={"vectorBucketName": name})
            made.append(("DeleteVectorBucket", {"vectorBucketName": name}))
        except (Conflict, InvalidRequest):
            pass
        here = {"vectorBucketName": "fuzz-bucket"}
        shape = {"dataType": "float32", "dimension": 2, "distanceMetric": "cosine"}
        try:
            perform(session, "CreateIndex", arguments={**here, "indexName": name, **shape})
            made.append(("DeleteIndex", {**here, "indexName": name}))
        except (Conflict, InvalidRequest):
            pass
        there = {**here, "indexName": "fuzz-index"}
        try:
            vector = {"key": name, "data": {"float32": [1.0, 0.0]}}
            perform(session, "PutVectors", arguments={**there, "vectors": [vector]})
        except InvalidRequest:
            pass
        else:
            (record,) = perform(session, "GetVectors", arguments={**there, "keys": [name]}).document()["vectors"]
            assert record["key"] == name
            perform(session, "DeleteVectors", arguments={**there, "keys": [name]})
        _check_tree({"name": name})
        for operation, arguments in made:
            perform(session, operation, arguments=arguments)


def token(data: bytes) -> None:
    text = text_of(data)
    try:
        position = decode_token(text, digest=_DIGEST, key=_KEY)
    except InvalidToken:
        pass
    else:
        # Nothing but what this gives is taken.
        assert encode_token(position, digest=_DIGEST, key=_KEY) == text
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    for position in (text, (text, len(text))):
        made = encode_token(position, digest=_DIGEST, key=_KEY)
        assert decode_token(made, digest=_DIGEST, key=_KEY) == position
        at = len(data) % len(made)
        damaged = made[:at] + ("A" if made[at] != "A" else "B") + made[at + 1 :]
        changed = ((damaged, _DIGEST, _KEY), (made + "A", _DIGEST, _KEY), (made[:-1], _DIGEST, _KEY))
        for wrong, digest, key in (*changed, (made, bytes(16), _KEY), (made, _DIGEST, b"of another store")):
            try:
                decode_token(wrong, digest=digest, key=key)
            except InvalidToken:
                continue
            raise AssertionError(f"a token that was changed is taken: {wrong!r}")


def resume(data: bytes) -> None:
    """The token of boto3's form with which a paginator goes on."""
    client = _client("s3")
    there = {"vectorBucketName": "fuzz-bucket", "indexName": "fuzz-index"}
    for text in (text_of(data), base64.b64encode(data).decode()):
        pages = client.get_paginator("list_vectors").paginate(**there, PaginationConfig={"StartingToken": text})
        try:
            for page in pages:
                assert len(page["vectors"]) <= 500
        except client.exceptions.ValidationException:
            continue


def policy(data: bytes) -> None:
    for dialect in DIALECTS.values():
        try:
            check_policy(text_of(data), dialect.policies)
        except InvalidPolicy as error:
            told(error)


def tags(data: bytes) -> None:
    document = decoded(data)
    if document is ABSENT or not isinstance(document, dict):
        return
    if not all(isinstance(value, str) for value in document.values()):
        return
    try:
        check_tags(document, _client("s3").session)
    except InvalidRequest as error:
        told(error)


_PATHS = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../../b",
    "C:\\x",
    ".",
    "~root",
    "$HOME",
    "%2e%2e%2f",
    "\\\\server\\share",
)
_DEVICES = ("CON", "nul.txt", "aux", "COM1", "-rf", "catalog.sqlite", "name.", "name ", "abc", "abc.def-1")
_UNUSUAL = ("a\0b", "\udcff\udcfe", "a\u202egnp.exe", "ａ", " ", "\n", "a\tb", "kx" * 256, "k" * 1025, "é" * 600)
_NAMES = (*_PATHS, *_DEVICES, *_UNUSUAL)
_THERE = b'"vectorBucketName": "fuzz-bucket", "indexName": "fuzz-index"'
_STATEMENT = b'{"Sid": "s", "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "s3vectors:*", "Resource": "*"}'
TARGETS = [
    Target(
        "request",
        request,
        (
            *(b'["%s", {%s}]' % (name.encode(), _THERE) for name in OPERATIONS),
            b'["PutVectors", {%s, "vectors": [{"key": "a", "data": {"float32": [1, 2]}, "metadata": {"n": 1}}]}]'
            % _THERE,
            b'["PutVectors", {%s, "vectors": [{"key": "\\ud800", "data": {"float32": [NaN, 1e999]}}]}]' % _THERE,
            b'["PutVectors", {%s, "vectors": [{"key": "a", "data": {"float32": [1, 2]}, "metadata": {"a": %s}}]}]'
            % (_THERE, b"[" * 200 + b"]" * 200),
            b'["PutVectors", {%s, "vectors": [{"key": "a", "data": {"float32": [1, 2]}, "metadata": {"a": %s}}]}]'
            % (_THERE, b"9" * 40),
            b'["QueryVectors", {%s, "queryVector": {"float32": [1, 2]}, "topK": 3, "filter": {"a": 1}, '
            b'"returnMetadata": true, "returnDistance": true}]' % _THERE,
            b'["ListVectors", {%s, "maxResults": 1, "nextToken": "x", "segmentCount": 2, "segmentIndex": 1}]' % _THERE,
            b'["CreateVectorBucket", {"vectorBucketName": "../../evil", "tags": {"a": "b"}}]',
            b'["CreateIndex", {"vectorBucketName": "fuzz-bucket", "indexName": "..", "dataType": "float32", '
            b'"dimension": 3, "distanceMetric": "euclidean", "metadataConfiguration": '
            b'{"nonFilterableMetadataKeys": ["x"]}}]',
            b'["CreateIndex", {"vectorBucketName": "fuzz-bucket", "indexName": "abc", "dataType": "float32", '
            b'"dimension": 1e9, "distanceMetric": "cosine"}]',
            b'["PutVectorBucketPolicy", {"vectorBucketName": "fuzz-bucket", "policy": "{}"}]',
            b'["TagResource", {"resourceArn": "arn:aws:s3vectors:us-east-1:1:bucket/fuzz-bucket", "tags": {"a": "b"}}]',
            b'["GetVectors", {%s, "keys": ["a", "\\u0000"], "returnData": true}]' % _THERE,
        ),
    ),
    Target("names", names, tuple(text.encode("utf-8", "surrogateescape") for text in _NAMES)),
    Target("token", token, (b"", b"AAAA", b"key", "ключ".encode(), b"\x00", b"x" * 900, b"=" * 9, b"-.-.", b"___")),
    Target(
        "resume",
        resume,
        (
            b'{"nextToken": null}',
            b'{"nextToken": "x", "boto_truncate_amount": 3}',
            b'{"nextToken": 1, "boto_truncate_amount": "x"}',
            b'{"nextToken": null, "boto_truncate_amount": -5}',
            b'{"nextToken": null, "boto_truncate_amount": 1e999}',
            b"[" * 5_000,
            b"",
        ),
    ),
    Target(
        "policy",
        policy,
        (
            b'{"Version": "2012-10-17", "Statement": [%s]}' % _STATEMENT,
            b'{"version": "1", "statement": [%s]}' % _STATEMENT,
            b'{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "NotPrincipal": "*", "NotAction": ["a"], '
            b'"NotResource": ["*"], "Condition": {"StringEquals": {"a": "b"}}}}',
            b"[" * 100_000,
            b'{"Version": ' * 5_000,
            b'{"Version": ' + b"[" * 900 + b"]" * 900 + b"}",
            b'{"Version": "2012-10-17", "Statement": ' + b"[" * 900 + b"]" * 900 + b"}",
            b'{"Version": 1' + b"0" * 400 + b"}",
            b'{"' + b"x" * 30_000 + b'": 1}',
            b'{"\xed\xa0\x80": 1}',
            b'"\\ud800"',
            b"NaN",
            b'{"a": 1, "A": 2}',
            b'{"a": 1, "a": 2}',
        ),
    ),
    Target(
        "tags",
        tags,
        (
            b'{"a": "b"}',
            b'{"": ""}',
            b'{"aws:x": "y"}',
            b'{"\\ud800": "\\u0000"}',
            b'{"AWS:x": "y"}',
            b'{"\\u00e9": "_"}',
        ),
    ),
]
