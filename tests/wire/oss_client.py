"""The vendor's client for OSS Vectors, unmodified, and requests signed by its signer, to a server on this machine."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from typing import Any

import alibabacloud_oss_v2 as oss
import pytest
from alibabacloud_oss_v2 import vectors
from alibabacloud_oss_v2.credentials import Credentials
from alibabacloud_oss_v2.signer.vectors_v4 import VectorsSignerV4
from alibabacloud_oss_v2.types import HttpRequest, SigningContext

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving

__all__ = ["connect", "refused", "send", "signed"]


def connect(server: Serving, user: User = OWNER, *, account: str = ACCOUNT, **options: Any) -> Any:
    """A client. Names such as docs-123456789012.localhost are not resolved everywhere, so it takes the server for a
    proxy, as the guide says."""
    options.setdefault(
        "credentials_provider",
        oss.credentials.StaticCredentialsProvider(user.access_key, user.secret_key, user.session_token),
    )
    options.setdefault("retry_max_attempts", 1)
    config = oss.config.Config(
        region=REGION,
        account_id=account,
        endpoint=f"http://localhost:{server.port}",
        proxy_host={"http": server.url},
        **options,
    )
    return vectors.Client(config)


def refused(call: Callable[[], Any]) -> oss.exceptions.ServiceError:
    """The error of the service that the call must raise."""
    with pytest.raises(oss.exceptions.OperationError) as caught:
        call()
    error = caught.value.unwrap()
    assert isinstance(error, oss.exceptions.ServiceError), repr(error)
    return error


def signed(
    method: str,
    url: str,
    *,
    bucket: str | None = None,
    key: str | None = None,
    headers: dict[str, str] | None = None,
    user: User = OWNER,
    link: bool = False,
) -> HttpRequest:
    """A request as the SDK's signer leaves it; with `link`, signed in its query. `key` is what follows the bucket."""
    request = HttpRequest(method, url, headers=dict(headers or {}))
    context = SigningContext(
        product="oss",
        region=REGION,
        bucket=bucket,
        key=key,
        request=request,
        credentials=Credentials(user.access_key, user.secret_key, user.session_token),
    )
    context.auth_method_query = link
    VectorsSignerV4(account_id=ACCOUNT).sign(context)
    return request


def send(
    server: Serving, method: str, target: str, *, headers: dict[str, str] | None = None, body: bytes | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Send a request as it is; returns status, headers in small letters, and body."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
    finally:
        connection.close()
