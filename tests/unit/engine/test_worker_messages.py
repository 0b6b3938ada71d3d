"""The frames between a process and its worker: round trips, and nothing else."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import msgspec
import pytest

from ragvec.engine.local.jobs import Job
from ragvec.engine.local.worker_messages import Done, Failed, Go, Hello, Log, Ready, Run, read_frame, write_frame
from ragvec.engine.protocol import IndexSpec
from ragvec.errors import IndexNotFound, InvalidName, MissingExtra, StoreFull

SPEC = IndexSpec("uid", "bucket", "index", 3, "cosine", 1.5, ("text",), {"sseType": "AES256"}, "ENHANCED")
JOB = Job("merge", Path("/a/b"), 3, SPEC, "scann", 0.98, 10, 20)


@pytest.mark.parametrize("message", [Run(JOB, 20), Go(), Hello(), Log("ragvec", 30, "é"), Ready(7), Done(True)])
def test_a_message_comes_as_it_was_sent(message: Go) -> None:
    stream = io.BytesIO()
    write_frame(stream, message)
    write_frame(stream, Go())
    stream.seek(0)
    assert read_frame(stream) == message
    assert read_frame(stream) == Go()
    assert read_frame(stream) is None


@pytest.mark.parametrize(
    "error",
    [
        StoreFull("no space", store="/a"),
        IndexNotFound("not found", subject="'i'"),
        InvalidName("bad", path="/name", detail="too short"),
        MissingExtra(package="p", extra="e", purpose="It"),
        FileNotFoundError(2, "No such file", "/x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_comes_as_it_was_raised(error: Exception) -> None:
    stream = io.BytesIO()
    write_frame(stream, Failed.of(error, "trace"))
    stream.seek(0)
    found = read_frame(stream)
    assert isinstance(found, Failed)
    again = found.error()
    assert (type(again), str(again), found.traceback) == (type(error), str(error), "trace")
    assert getattr(again, "store", None) == getattr(error, "store", None)
    assert getattr(again, "subject", None) == getattr(error, "subject", None)


def test_a_bug_comes_as_one() -> None:
    assert repr(Failed.of(KeyError("x"), "").error()) == """RuntimeError("KeyError: 'x'")"""
    assert isinstance(Failed("Popen", "", {}, "").error(), RuntimeError)
    assert isinstance(Failed("_rebuild", "", {}, "").error(), RuntimeError)


def test_anything_else_is_refused() -> None:
    for data in (pickle.dumps(("done", True)), msgspec.msgpack.encode(["Done", True]), b""):
        with pytest.raises(msgspec.DecodeError):
            read_frame(io.BytesIO(len(data).to_bytes(4, "little") + data))
