"""How the tests speak to `ragvec serve` as Tencent Cloud's SDK does, and as it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import requests
from qcloud_cos import CosConfig, CosServiceError
from qcloud_cos.cos_auth import CosS3Auth

from ragvec.server.users import User
from tests.wire.serving import ACCOUNT, OWNER, REGION, Serving

__all__ = [
    "DIMENSION",
    "QCS",
    "READER",
    "TEMPORARY",
    "policy_of",
    "post",
    "prepared",
    "refused",
    "sent",
    "settings",
    "some",
    "told",
]

TEMPORARY = User(
    access_key="AKIDTEMPORARY00001",
    secret_key="a-temporary-secret",
    account=ACCOUNT,
    name="temporary",
    owner=True,
    session_token="t0ken/of+signs==",
)
READER = User(access_key="AKIDREADER00000001", secret_key="secret-of-the-reader", account=ACCOUNT, name="700001234567")
QCS = f"qcs::cosvector:{REGION}:uid/{ACCOUNT}:bucket"
DIMENSION = 24


def settings(server: Serving, user: User = OWNER, **given: Any) -> CosConfig:
    return CosConfig(
        **{
            "Region": "ap-guangzhou",
            "SecretId": user.access_key,
            "SecretKey": user.secret_key,
            "Token": user.session_token,
            "Scheme": "http",
            "Domain": f"{server.host}:{server.port}",
            **given,
        }
    )


def some(count: int) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Vectors, as rows and as the service takes them; every third one is French."""
    rows = np.random.default_rng(7).standard_normal((count, DIMENSION)).astype(np.float32)
    return rows, [
        {
            "key": f"p{i:04}",
            "data": {"float32": row.tolist()},
            "metadata": {"lang": "fr" if i % 3 == 0 else "en", "year": 2000 + i, "text": f"page {i}"},
        }
        for i, row in enumerate(rows)
    ]


def refused(call: Callable[[], object]) -> CosServiceError:
    with pytest.raises(CosServiceError) as caught:
        call()
    return caught.value


def told(error: CosServiceError) -> dict[str, Any]:
    """The body of an error, all of which the SDK takes as the message."""
    document: dict[str, Any] = json.loads(error.get_error_msg())
    return document


def policy_of(bucket: str, *actions: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "statement": [
            {
                "effect": "allow",
                "principal": {"qcs": [f"qcs::cam::uin/{ACCOUNT}:uin/{READER.name}"]},
                "action": list(actions),
                "resource": [f"{QCS}/{bucket}/*"],
            }
        ],
    }


def prepared(
    server: Serving, operation: str, body: Any, *, method: str = "POST", expire: int = 600
) -> requests.PreparedRequest:
    """A request with any body, signed by the SDK's signer."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    path = f"/{operation}"
    auth = CosS3Auth(settings(server), path, expire=expire)
    headers = {"Content-Type": "application/json"}
    return requests.Request(method, server.url + path, data=data, headers=headers, auth=auth).prepare()


def sent(request: requests.PreparedRequest) -> requests.Response:
    with requests.Session() as session:
        return session.send(request, timeout=30)


def post(server: Serving, operation: str, body: Any, *, method: str = "POST") -> requests.Response:
    return sent(prepared(server, operation, body, method=method))
