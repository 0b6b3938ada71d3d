"""How the tests speak to `ragvec serve` as Volcengine's SDKs do, and as they do not."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from tos.auth import Auth
from tos.exceptions import TosServerError
from tos.http import Request
from tos.models2 import Vector, VectorData

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving

__all__ = [
    "DIMENSION",
    "ENDPOINT",
    "READER",
    "TEMPORARY",
    "TRN",
    "as_go_does",
    "policy_of",
    "post",
    "prepared",
    "refused",
    "sent",
    "some",
]

TEMPORARY = User(
    access_key="AKTEMPORARY0000001",
    secret_key="a-temporary-secret",
    account=ACCOUNT,
    name="temporary",
    owner=True,
    session_token="t0ken/of+signs==",
)
READER = User(access_key="AKREADER0000000001", secret_key="secret-of-the-reader", account=ACCOUNT, name="reader")
TRN = f"trn:tosvectors:{REGION}:{ACCOUNT}:bucket"
ENDPOINT = "tosvectors-cn-beijing.volces.com"
DIMENSION = 24


def some(count: int) -> tuple[np.ndarray, list[Vector]]:
    """Vectors, as rows and as the service takes them; every third one is French."""
    rows = np.random.default_rng(7).standard_normal((count, DIMENSION)).astype(np.float32)
    return rows, [
        Vector(
            key=f"p{i:04}",
            data=VectorData(float32=row.tolist()),
            metadata={"lang": "fr" if i % 3 == 0 else "en", "year": 2000 + i, "text": f"page {i}"},
        )
        for i, row in enumerate(rows)
    ]


def refused(call: Callable[[], object]) -> TosServerError:
    with pytest.raises(TosServerError) as caught:
        call()
    return caught.value


def policy_of(bucket: str, *actions: str) -> str:
    statement = {
        "Sid": "reading",
        "Effect": "Allow",
        "Principal": [f"{ACCOUNT}/{READER.name}"],
        "Action": list(actions),
        "Resource": [f"{TRN}/{bucket}", f"{TRN}/{bucket}/index/*"],
    }
    return json.dumps({"Version": "2025-12-01", "Statement": [statement]})


def prepared(
    server: Serving, operation: str, body: Any, *, method: str = "POST", host: str | None = None
) -> requests.PreparedRequest:
    """A request with any body to any host, signed by the SDK's signer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    host = host or f"{server.host}:{server.port}"
    headers = {"x-tos-content-sha256": "UNSIGNED-PAYLOAD"}
    request = Request(method, f"{server.url}/{operation}", f"/{operation}", host, data=data, headers=headers)
    Auth(OWNER.access_key, OWNER.secret_key, "cn-beijing", service="tosvectors").sign_request(request)
    return requests.Request(method, request.url, data=data, headers=request.headers).prepare()


def as_go_does(server: Serving, operation: str, body: bytes, at: datetime.datetime) -> requests.PreparedRequest:
    """As the client for vectors of the Go SDK signs: no marker of the payload, and an empty one in the signature."""
    host, date = f"{server.host}:{server.port}", at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/cn-beijing/tosvectors/request"
    nothing = hashlib.sha256(b"").hexdigest()
    canonical = f"POST\n/{operation}\n\nhost:{host}\nx-tos-date:{date}\n\nhost;x-tos-date\n{nothing}"
    key = OWNER.secret_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    text = f"TOS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    header = f"Credential={OWNER.access_key}/{scope},SignedHeaders=host;x-tos-date,Signature={signature}"
    headers = {"host": host, "x-tos-date": date, "authorization": f"TOS4-HMAC-SHA256 {header}"}
    return requests.Request("POST", f"{server.url}/{operation}", data=body, headers=headers).prepare()


def sent(request: requests.PreparedRequest) -> requests.Response:
    with requests.Session() as session:
        return session.send(request, timeout=30)


def post(
    server: Serving, operation: str, body: Any, *, method: str = "POST", host: str | None = None
) -> requests.Response:
    return sent(prepared(server, operation, body, method=method, host=host))
