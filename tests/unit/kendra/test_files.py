"""Files that requests name by S3Path."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ragvec.errors import InvalidRequest
from ragvec.kendra.files import read_named_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bucket" / "in" / "deep").mkdir(parents=True)
    (tmp_path / "bucket" / "in" / "file").write_bytes(b"content")
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "bucketful").mkdir()
    (tmp_path / "bucketful" / "file").write_bytes(b"secret")
    return tmp_path / "bucket"


def read(folder: Path, key: Any, *, bucket: Any = "own", most: int = 100) -> bytes:
    return read_named_file({"own": folder}, {"Bucket": bucket, "Key": key}, most=most)


def test_a_file_of_the_folder_is_read(folder: Path) -> None:
    assert read(folder, "in/file") == b"content"
    assert read(folder, "in/deep/../file") == b"content"
    assert read(folder, "in/file", most=7) == b"content"
    assert read_named_file({"own": str(folder)}, {"Bucket": "own", "Key": "in/file"}, most=7) == b"content"


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("../outside", "leads out of the bucket"),
        ("../bucketful/file", "leads out of the bucket"),
        ("link", "leads out of the bucket"),
        ("/etc/passwd", "leads out of the bucket"),
        ("in", "has no file 'in'"),
        ("none", "has no file 'none'"),
        ("circle", "at `S3Path.Key`"),
        ("pipe", "has no file 'pipe'"),
        ("x" * 1025, "Expected a key of 1 to 1024 characters"),
        ("n" * 300, "at `S3Path.Key`"),
        ("a\0b", "Expected a key"),
        ("", "Expected a key"),
        (None, "Expected a key"),
        ("\ud800", "at `S3Path.Key`"),
    ],
)
def test_nothing_else_is(folder: Path, key: Any, message: str) -> None:
    (folder / "link").symlink_to(folder.parent / "outside")
    (folder / "circle").symlink_to(folder / "circle")
    os.mkfifo(folder / "pipe")
    with pytest.raises(InvalidRequest) as caught:
        read(folder, key)
    assert message in str(caught.value)


def test_a_bucket_needs_a_folder_and_a_file_has_a_size(folder: Path) -> None:
    with pytest.raises(InvalidRequest, match="No folder stands for the bucket 'other'.*known are 'own'"):
        read(folder, "in/file", bucket="other")
    with pytest.raises(InvalidRequest, match="a bucket's name of 3 to 63 characters"):
        read(folder, "in/file", bucket="ow")
    with pytest.raises(InvalidRequest, match="a file of at most 6 bytes, got more"):
        read(folder, "in/file", most=6)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="whoever is root may read everything")
def test_a_closed_file_is_told(folder: Path) -> None:
    (folder / "in" / "file").chmod(0)
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read(folder, "in/file")
