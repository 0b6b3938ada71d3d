"""Requests signed by botocore's signer and sent as they are: what no SDK would send, too."""

from __future__ import annotations

import http.client
import json
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ragvec.server.users import User
from tests.wire.serving import REGION, Serving

__all__ = ["Answer", "SignedHttp"]


class Answer:
    """A reply: its status, its headers by lower-case name, its body as bytes."""

    def __init__(self, reply: http.client.HTTPResponse) -> None:
        self.status = reply.status
        self.headers = {name.lower(): value for name, value in reply.getheaders()}
        self.body = reply.read()

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        return self.headers.get("x-amzn-errortype")


class SignedHttp:
    """A connection that is kept, on which everything is signed as `user`."""

    def __init__(self, server: Serving, user: User | None = None, *, service: str = "s3vectors") -> None:
        user = user or server.owner
        self._url = server.url
        self._signer = SigV4Auth(Credentials(user.access_key, user.secret_key, user.session_token), service, REGION)
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)

    def __enter__(self) -> SignedHttp:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def send(
        self,
        target: str,
        body: bytes | dict[str, Any] = b"",
        *,
        method: str = "POST",
        headers: dict[str, str] | None = None,
        unsigned: dict[str, str] | None = None,
    ) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = AWSRequest(
            method, self._url + target, {"content-type": "application/json", **(headers or {})}, content
        )
        self._signer.add_auth(request)
        self._connection.request(method, target, content, {**dict(request.headers.items()), **(unsigned or {})})
        return Answer(self._connection.getresponse())
