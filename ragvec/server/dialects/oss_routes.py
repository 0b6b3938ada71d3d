"""Which operation of OSS Vectors a request asks for: by its method and the key in its query, of the service or of a
bucket."""

from __future__ import annotations

from typing import Literal

import msgspec

from ragvec.errors import InvalidName
from ragvec.server.messages import HttpRequest
from ragvec.server.refusals import MethodNotAllowed, UnknownOperation
from ragvec.server.signing.oss_target import OssTarget

__all__ = ["ROUTES", "SELECTORS", "Route", "route_of"]


class Route(msgspec.Struct, frozen=True):
    """An operation: its name, which is its action in policies too, and how it is asked for. `selector` is the key in
    the query, "" for none; `operation` its name in the operations layer, its own where that has none."""

    name: str
    method: Literal["GET", "PUT", "POST", "DELETE"]
    selector: str
    operation: str
    status: int = 200
    body: Literal["json", "text", "none"] = "none"
    of_bucket: bool = True


def _posted(name: str, selector: str, operation: str, *, status: int = 200) -> Route:
    return Route(name, "POST", selector, operation, status=status, body="json")


ROUTES = (
    Route("ListVectorBuckets", "GET", "", "ListVectorBuckets", of_bucket=False),
    Route("PutVectorBucket", "PUT", "", "CreateVectorBucket"),
    Route("GetVectorBucket", "GET", "bucketInfo", "GetVectorBucket"),
    Route("DeleteVectorBucket", "DELETE", "", "DeleteVectorBucket", status=204),
    Route("PutBucketPolicy", "PUT", "policy", "PutVectorBucketPolicy", body="text"),
    Route("GetBucketPolicy", "GET", "policy", "GetVectorBucketPolicy"),
    Route("DeleteBucketPolicy", "DELETE", "policy", "DeleteVectorBucketPolicy", status=204),
    Route("PutBucketLogging", "PUT", "logging", "PutBucketLogging", body="json"),
    Route("GetBucketLogging", "GET", "logging", "GetBucketLogging"),
    Route("DeleteBucketLogging", "DELETE", "logging", "DeleteBucketLogging", status=204),
    _posted("PutVectorIndex", "putVectorIndex", "CreateIndex"),
    _posted("PutVectorIndexFusion", "putVectorIndexFusion", "PutVectorIndexFusion"),
    _posted("GetVectorIndex", "getVectorIndex", "GetIndex"),
    _posted("ListVectorIndexes", "listVectorIndexes", "ListIndexes"),
    _posted("DeleteVectorIndex", "deleteVectorIndex", "DeleteIndex", status=204),
    _posted("PutVectors", "putVectors", "PutVectors"),
    _posted("GetVectors", "getVectors", "GetVectors"),
    _posted("ListVectors", "listVectors", "ListVectors"),
    _posted("DeleteVectors", "deleteVectors", "DeleteVectors", status=204),
    _posted("QueryVectors", "queryVectors", "QueryVectors"),
    _posted("QueryVectorsFusion", "queryVectorsFusion", "QueryVectorsFusion"),
)

SELECTORS = frozenset(route.selector for route in ROUTES if route.selector)
_BY_PLACE: dict[tuple[bool, str, str], Route] = {
    (route.of_bucket, route.selector, route.method): route for route in ROUTES
}


def route_of(request: HttpRequest, target: OssTarget) -> Route:
    """The operation. Other keys in the query than `SELECTORS` are ignored, as OSS does.

    Raises:
        UnknownOperation, MethodNotAllowed: there is none.
        InvalidName: it is an operation of buckets, and the request names none.
    """
    if target.path:
        raise UnknownOperation(
            f"A vector bucket holds no objects: expected the path of the bucket alone, got /{target.path[:60]}"
        )
    given = sorted({name for name, _ in request.query} & SELECTORS)
    if len(given) > 1:
        raise UnknownOperation(f"A request asks for one operation; its query names {' and '.join(given)}")
    selector = given[0] if given else ""
    of_bucket = target.bucket is not None
    route = _BY_PLACE.get((of_bucket, selector, request.method))
    if route is not None:
        return route
    if not of_bucket and (selector or request.method != "GET"):
        raise InvalidName(
            "The request names no vector bucket: expected a host <bucket>-<account>.<domain>, or a path /<bucket>/",
            path="/vectorBucketName",
        )
    methods = sorted(method for of, known, method in _BY_PLACE if (of, known) == (of_bucket, selector))
    if selector or request.method != "POST":
        raise MethodNotAllowed(
            f"Expected {' or '.join(methods)} for {selector or 'a bucket'}, got {request.method[:20]}"
        )
    raise UnknownOperation(f"The query names no operation: expected one of {', '.join(sorted(SELECTORS))}")
