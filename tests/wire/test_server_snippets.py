"""What `ragvec serve` prints for each client to be pasted reaches it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ragvec.server.faces import FACES
from ragvec.server.snippets import Place, Snippet, snippets
from tests.wire.serving import OWNER, REGION, Serving

LISTING = {
    "boto3, S3 Vectors": "print(client.list_vector_buckets()['vectorBuckets'])",
    "boto3, Kendra": "print(client.list_indices()['IndexConfigurationSummaryItems'])",
    "alibabacloud-oss-v2": (
        "print(client.list_vector_buckets(oss_vectors.models.ListVectorBucketsRequest()).status_code)"
    ),
    "cos-python-sdk-v5": "print(client.list_vector_buckets())",
    "tos": f"print(client.list_vector_buckets({OWNER.account!r}))",
}
TITLES = [snippet.title for snippet in snippets(Place(host="h", port=1, region="r"), OWNER, dialects=tuple(FACES))]


def made(server: Serving, title: str) -> Snippet:
    place = Place(host="127.0.0.1", port=server.port, region=REGION)
    (found,) = [one for one in snippets(place, OWNER, dialects=tuple(FACES)) if one.title == title]
    return found


@pytest.mark.parametrize("title", TITLES)
def test_the_snippet_reaches_the_server(server: Serving, tmp_path: Path, title: str) -> None:
    snippet = made(server, title)
    if snippet.language == "sh":
        command = ["sh", "-ec", snippet.code]
    else:
        command = [sys.executable, "-c", f"{snippet.code}\n{LISTING[title]}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout


def test_the_snippets_are_what_is_printed(server: Serving) -> None:
    printed = "".join(server.output)
    for title in TITLES:
        assert made(server, title).code.rstrip() in printed


def test_an_address_of_version_6_is_in_brackets() -> None:
    assert Place(host="::1", port=9, region="r", secure=True).url == "https://[::1]:9"
