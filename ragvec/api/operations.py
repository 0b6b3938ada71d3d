"""The table of operations, and `perform`, through which every caller comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ragvec.api import buckets, indexes, policies, requests, tags, text_fields, vectors
from ragvec.api.access import Session
from ragvec.api.decode import decode_request
from ragvec.api.responses import Response
from ragvec.errors import InvalidRequest

__all__ = ["OPERATIONS", "Operation", "perform"]


class Operation(msgspec.Struct, frozen=True):
    """An operation: its name on the wire, its request, and the function that does it."""

    name: str
    request: type[requests.Request]
    run: Callable[[Session, Any], Response]


_ALL: tuple[tuple[type[requests.Request], Callable[[Session, Any], Response]], ...] = (
    (requests.CreateVectorBucket, buckets.create_vector_bucket),
    (requests.GetVectorBucket, buckets.get_vector_bucket),
    (requests.ListVectorBuckets, buckets.list_vector_buckets),
    (requests.DeleteVectorBucket, buckets.delete_vector_bucket),
    (requests.PutVectorBucketDefaultIndexMode, buckets.put_vector_bucket_default_index_mode),
    (requests.PutVectorBucketPolicy, policies.put_vector_bucket_policy),
    (requests.GetVectorBucketPolicy, policies.get_vector_bucket_policy),
    (requests.DeleteVectorBucketPolicy, policies.delete_vector_bucket_policy),
    (requests.CreateIndex, indexes.create_index),
    (requests.GetIndex, indexes.get_index),
    (requests.ListIndexes, indexes.list_indexes),
    (requests.DeleteIndex, indexes.delete_index),
    (requests.UpdateIndexMode, indexes.update_index_mode),
    (requests.UpdateMetadataConfiguration, text_fields.update_metadata_configuration),
    (requests.PutVectors, vectors.put_vectors),
    (requests.GetVectors, vectors.get_vectors),
    (requests.ListVectors, vectors.list_vectors),
    (requests.QueryVectors, vectors.query_vectors),
    (requests.DeleteVectors, vectors.delete_vectors),
    (requests.CountVectors, vectors.count_vectors),
    (requests.TagResource, tags.tag_resource),
    (requests.UntagResource, tags.untag_resource),
    (requests.ListTagsForResource, tags.list_tags_for_resource),
)

OPERATIONS = {request.__name__: Operation(request.__name__, request, run) for request, run in _ALL}

# Made once while the module is imported: msgspec may crash where threads meet a type for the first time together.
for _operation in OPERATIONS.values():
    msgspec.json.Decoder(_operation.request)


def perform(session: Session, name: str, *, arguments: Mapping[str, Any]) -> Response:
    """Do one operation with parameters as they are named on the wire, and return its response.

    Raises:
        InvalidRequest: the dialect has no such operation, or a parameter is at fault.
        RagvecError: whatever else the operation raises.
    """
    operation = OPERATIONS.get(name)
    if operation is None or name in session.dialect.absent:
        raise InvalidRequest(f"The {session.dialect.name} dialect has no operation {name}")
    request = decode_request(operation.request, arguments, operation=name, dialect=session.dialect)
    return operation.run(session, request)
