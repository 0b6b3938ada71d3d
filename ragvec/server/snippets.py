"""How each vendor's own client is told to come to this server: code to paste, printed at start."""

from __future__ import annotations

import msgspec

from ragvec.server.users import User

__all__ = ["Place", "Snippet", "snippets"]


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where the server is, as clients reach it."""

    host: str
    port: int
    region: str
    secure: bool = False

    @property
    def url(self) -> str:
        """The address with its scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"


class Snippet(msgspec.Struct, frozen=True):
    """What a client needs: `language` is python or sh; the code ends with a client that is ready, or a first call."""

    dialect: str
    title: str
    language: str
    code: str


def snippets(place: Place, user: User, *, dialects: tuple[str, ...]) -> tuple[Snippet, ...]:
    """For each client of these dialects the shortest code that reaches the server as `user`."""
    facts = {
        "url": place.url,
        "host": place.host,
        "port": place.port,
        "region": place.region,
        "scheme": "https" if place.secure else "http",
        "key": user.access_key,
        "secret": user.secret_key,
        "account": user.account,
        "token": f', aws_session_token="{user.session_token}"' if user.session_token else "",
        "export": f" AWS_SESSION_TOKEN={user.session_token}" if user.session_token else "",
    }
    return tuple(
        Snippet(dialect, title, language, template.format(**facts))
        for dialect, title, language, template in _TEMPLATES
        if dialect in dialects
    )


_TEMPLATES = (
    (
        "s3vectors",
        "boto3, S3 Vectors",
        "python",
        """\
import boto3

client = boto3.client(
    "s3vectors", endpoint_url="{url}", region_name="{region}",
    aws_access_key_id="{key}", aws_secret_access_key="{secret}"{token},
)
""",
    ),
    (
        "s3vectors",
        "AWS CLI, S3 Vectors",
        "sh",
        """\
export AWS_ACCESS_KEY_ID={key} AWS_SECRET_ACCESS_KEY={secret}{export}
aws s3vectors list-vector-buckets --endpoint-url {url} --region {region}
""",
    ),
    (
        "kendra",
        "boto3, Kendra",
        "python",
        """\
import boto3

client = boto3.client(
    "kendra", endpoint_url="{url}", region_name="{region}",
    aws_access_key_id="{key}", aws_secret_access_key="{secret}"{token},
)
""",
    ),
    (
        "oss",
        "alibabacloud-oss-v2",
        "python",
        """\
import alibabacloud_oss_v2 as oss
import alibabacloud_oss_v2.vectors as oss_vectors

config = oss.config.load_default()
config.credentials_provider = oss.credentials.StaticCredentialsProvider("{key}", "{secret}")
config.region, config.account_id = "{region}", "{account}"
config.endpoint = "{url}"
config.proxy_host = {{"{scheme}": "{url}"}}  # buckets are part of the host name, which only the server resolves
client = oss_vectors.Client(config)
""",
    ),
    (
        "cos",
        "cos-python-sdk-v5",
        "python",
        """\
from qcloud_cos import CosConfig, CosVectorsClient

client = CosVectorsClient(
    CosConfig(
        Region="{region}", SecretId="{key}", SecretKey="{secret}",
        Scheme="{scheme}", Domain="{host}:{port}",
    )
)
""",
    ),
    (
        "tos",
        "tos",
        "python",
        """\
from tos.vector_client import VectorClient

client = VectorClient(
    "{key}", "{secret}", "{url}", "{region}",
    proxy_host="{host}", proxy_port={port},  # buckets are part of the host name, which only the server resolves
)
""",
    ),
)
