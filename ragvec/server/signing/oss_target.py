"""What a request of OSS Vectors is about: the service or a bucket, told by the host or by the path.

docs-1234567890.localhost:9000/         bucket `docs` of account 1234567890 (virtual host, any domain)
127.0.0.1:9000/docs/                    bucket `docs` (path style, as SDKs do where the endpoint is an address)
127.0.0.1:9000/                         the service
"""

from __future__ import annotations

import re

import msgspec

from ragvec.server.messages import HttpRequest

__all__ = ["OssTarget", "oss_target"]

# Labels of regions end in digits too (us-east-1), those of the Internet's own hosts as well (ip-10-0-0-12): accounts
# have more of them.
_VIRTUAL = re.compile(r"(?P<bucket>.+)-(?P<account>[0-9]{6,})")


class OssTarget(msgspec.Struct, frozen=True):
    """`bucket` is None for the service. `account` is the one that the host names, None where it names none. `service`
    is the host without the label of the bucket, with its port; `path` is what follows the bucket, "" for nothing."""

    bucket: str | None
    account: str | None
    service: str
    path: str


def oss_target(request: HttpRequest, *, account: str = "") -> OssTarget:
    """What the request is about. `account` is that of the store: labels that end in it are buckets, however short it
    is. Names may be wrong, and nothing may be there."""
    host = (request.header("host") or "").lower()
    label, _, domain = host.partition(".")
    path = request.path.removeprefix("/")
    if domain:
        if account and label.endswith(f"-{account}") and len(label) > len(account) + 1:
            return OssTarget(label[: -len(account) - 1], account, domain, path)
        named = _VIRTUAL.fullmatch(label)
        if named is not None:
            return OssTarget(named["bucket"], named["account"], domain, path)
    bucket, _, rest = path.partition("/")
    return OssTarget(bucket or None, None, host, rest)
