"""Tencent Cloud COS Vectors: one host for everything, resource names called Qcs, codes of errors in a header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from ragvec.api.dialects import COS, WireError
from ragvec.errors import InvalidRequest
from ragvec.server.dialects.face import Call
from ragvec.server.dialects.posts import PostFace
from ragvec.server.dialects.shared import JsonObject, encode
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.signing.cos import CosSha1
from ragvec.server.signing.scheme import Scheme

__all__ = ["CosFace"]

_HOSTS = (".coslake.com", ".tencentcos.com", ".myqcloud.com")
_AGENTS = ("cos-python-sdk", "cos-go-sdk")
_MEMBERS = (b'"vectorBucketQcs"', b'"indexQcs"', b'"returnMetaData"')
"""Members of a body that no other service has."""


class CosFace(PostFace):
    """COS Vectors."""

    name = "cos"
    scheme: Scheme = CosSha1()
    dialect = COS
    arn_word = "Qcs"
    takes_arns = True
    # The Python SDK reads a body as JSON under this very spelling of the name only.
    json_type = ("Content-Type", "application/json")
    wording = (
        (re.compile(r"\b(vectorBucket|index)Arn\b"), r"\1Qcs"),
        (re.compile(" but not both$"), ""),
    )
    actions: ClassVar[Mapping[str, str]] = {
        operation: f"name/cos:{action}"
        for operation, action in {
            "CreateVectorBucket": "PutVectorBucket",
            "GetVectorBucket": "GetVectorBucket",
            "ListVectorBuckets": "ListVectorBuckets",
            "DeleteVectorBucket": "DeleteVectorBucket",
            "PutVectorBucketPolicy": "PutVectorBucketPolicy",
            "GetVectorBucketPolicy": "GetVectorBucketPolicy",
            "DeleteVectorBucketPolicy": "DeleteVectorBucketPolicy",
            "CreateIndex": "PutVectorIndex",
            "GetIndex": "GetVectorIndex",
            "ListIndexes": "ListVectorIndexes",
            "DeleteIndex": "DeleteVectorIndex",
            "PutVectors": "PutVectors",
            "GetVectors": "GetVectors",
            "ListVectors": "ListVectors",
            "QueryVectors": "QueryVectors",
            "DeleteVectors": "DeleteVectors",
        }.items()
    }

    def recognizes(self, request: HttpRequest) -> bool:
        """See `Face.recognizes`."""
        authorization = request.header("authorization")
        if authorization:
            return authorization.startswith("q-sign-algorithm=")
        return (
            # The Python SDK signs nothing by an empty header, where others send none.
            authorization == ""
            or any(name.startswith("x-cos-") for name, _ in request.headers)
            or (request.header("host") or "").partition(":")[0].endswith(_HOSTS)
            or (request.header("user-agent") or "").startswith(_AGENTS)
            or (request.path[1:] in self.actions and any(member in request.body for member in _MEMBERS))
        )

    def arguments(self, body: JsonObject, request: HttpRequest) -> JsonObject:
        """See `PostFace.arguments`; the Python SDK says `returnMetaData`, the pages and the Go SDK `returnMetadata`."""
        body = super().arguments(body, request)
        if "returnMetaData" in body:
            given = body.pop("returnMetaData")
            if body.setdefault("returnMetadata", given) != given:
                raise InvalidRequest("returnMetaData and returnMetadata differ", path="/returnMetaData")
        return body

    def resource(self, call: Call) -> str:
        """See `PostFace.resource`; ListVectorBuckets lists those of all regions, so its resource has none."""
        if call.operation == "ListVectorBuckets":
            return f"qcs::cosvector:uid/{self._session.account}:bucket/*"
        return super().resource(call)

    def identifying(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """See `PostFace.identifying`."""
        return (("x-cos-request-id", request_id),)

    def refused(
        self, wire: WireError, message: str, fields: tuple[tuple[str, str], ...], *, request_id: str
    ) -> HttpReply:
        """See `PostFace.refused`. The Python SDK takes the code from the header, and the whole body as the message."""
        document: JsonObject = {"message": message}
        if fields:
            document["fieldList"] = [{"message": text, "path": path} for path, text in fields]
        return HttpReply(
            status=wire.status,
            headers=(
                self.json_type,
                ("x-cos-error-code", wire.code),
                *self.identifying(request_id),
            ),
            body=encode(document),
        )
