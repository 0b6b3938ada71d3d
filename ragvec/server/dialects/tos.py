"""Volcengine TOS Vectors: the account in the host, resource names called TRN, errors in PascalCase."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from ragvec.api.dialects import TOS, WireError
from ragvec.api.responses import ArnOfBucket, ArnOfIndex, BucketList, Described, Response
from ragvec.errors import BucketNotFound, InvalidRequest
from ragvec.server.dialects.posts import PostFace
from ragvec.server.dialects.shared import JSON, JsonObject, encode
from ragvec.server.messages import HttpReply, HttpRequest
from ragvec.server.signing.scheme import Scheme
from ragvec.server.signing.tos4 import Tos4

__all__ = ["TosFace"]

_LABEL = re.compile(r"(?P<bucket>[a-z0-9-]+)-(?P<account>[0-9]+)\..+")
_AGENTS = ("ve-tos-python-sdk", "ve-tos-go-sdk")
_OF_THE_REGION = ("CreateVectorBucket", "ListVectorBuckets")
"""Operations that are asked of the host of the region, not of a bucket's."""


class TosFace(PostFace):
    """TOS Vectors. Operations on a bucket are asked of `{bucket}-{account}.{anything}`, or of any host that does not
    look like one."""

    name = "tos"
    scheme: Scheme = Tos4()
    dialect = TOS
    arn_word = "Trn"
    takes_arns = False
    wording = (
        (re.compile("either vectorBucketName or vectorBucketArn but not both$"), "vectorBucketName"),
        (re.compile("either indexArn or both (vectorBucketName and indexName)$"), r"\1"),
        (re.compile(r", (vectorBucket|index)Arn\b"), ""),
    )
    actions: ClassVar[Mapping[str, str]] = {
        operation: f"tosvectors:{operation}"
        for operation in (
            "CreateVectorBucket",
            "GetVectorBucket",
            "ListVectorBuckets",
            "DeleteVectorBucket",
            "PutVectorBucketPolicy",
            "GetVectorBucketPolicy",
            "DeleteVectorBucketPolicy",
            "CreateIndex",
            "GetIndex",
            "ListIndexes",
            "DeleteIndex",
            "PutVectors",
            "GetVectors",
            "ListVectors",
            "QueryVectors",
            "DeleteVectors",
        )
    }

    def recognizes(self, request: HttpRequest) -> bool:
        """See `Face.recognizes`."""
        authorization = request.header("authorization")
        if authorization:
            return authorization.startswith("TOS4-HMAC-SHA256")
        host = request.header("host") or ""
        return (
            any(name.startswith("x-tos-") for name, _ in request.headers)
            or "x-tos-algorithm=" in request.raw_query.lower()
            or host.startswith("tosvectors-")
            or ".tosvectors-" in host
            or (request.header("user-agent") or "").startswith(_AGENTS)
        )

    def arguments(self, body: JsonObject, request: HttpRequest) -> JsonObject:
        """See `PostFace.arguments`; where the body names no bucket, it is that of the host.

        Raises:
            BucketNotFound: the host names an account that the store is not of.
            InvalidRequest: host and body name different buckets.
        """
        body = super().arguments(body, request)
        label = _LABEL.fullmatch(request.header("host") or "")
        if label is None or request.path[1:] in _OF_THE_REGION:
            return body
        bucket, ours = label["bucket"], label["account"] == self._session.account
        if ours and body.setdefault("vectorBucketName", bucket) != bucket:
            raise InvalidRequest(
                f"vectorBucketName and the host name different buckets: {body['vectorBucketName']!r} and {bucket!r}",
                path="/vectorBucketName",
            )
        if not ours and body.get("vectorBucketName") == bucket:
            raise BucketNotFound(
                "The specified vector bucket could not be found",
                subject=f"the host names the account {label['account'][:40]!r}, which is not that of this server",
            )
        return body

    def document(self, outcome: Response) -> JsonObject:
        """See `PostFace.document`; what was created is not told, and every bucket is of the project "default"."""
        if isinstance(outcome, (ArnOfBucket, ArnOfIndex)):
            return {}
        document = super().document(outcome)
        if isinstance(outcome, Described):
            bucket = document["vectorBucket"]
            bucket.pop("encryptionConfiguration", None)
            bucket["projectName"] = "default"
            # The pages show the members themselves, the SDKs read them from `vectorBucket`.
            document.update(bucket)
        elif isinstance(outcome, BucketList):
            for bucket in document["vectorBuckets"]:
                bucket["projectName"] = "default"
        return document

    def identifying(self, request_id: str) -> tuple[tuple[str, str], ...]:
        """See `PostFace.identifying`."""
        return (("x-tos-request-id", request_id), ("x-tos-id-2", request_id))

    def refused(
        self,
        wire: WireError,
        message: str,
        fields: tuple[tuple[str, str], ...],  # noqa: ARG002 - the message tells them
        *,
        request_id: str,
    ) -> HttpReply:
        """See `PostFace.refused`. The finer code `EC` is left out: no table of them is published."""
        document = {"Code": wire.code, "RequestId": request_id, "HostId": request_id, "Message": message}
        return HttpReply(
            status=wire.status,
            headers=(JSON, *self.identifying(request_id)),
            body=encode(document),
        )
