"""What a process and its worker process say to each other: frames of a length (uint32, little-endian) and MessagePack.

Not pickles: whoever gets to write into the pipe can then send a job or an answer, and nothing else.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import msgspec

from ragvec import errors
from ragvec.engine.local.jobs import Job
from ragvec.errors import RagvecError

__all__ = ["Answer", "Done", "Failed", "Go", "Hello", "Log", "Ready", "Request", "Run", "read_frame", "write_frame"]

_LENGTH = struct.Struct("<I")


class Run(msgspec.Struct, frozen=True, tag=True):
    """To the worker: carry out the job, and send log lines from this level on."""

    job: Job
    level: int


class Go(msgspec.Struct, frozen=True, tag=True):
    """To the worker: make current what you said was ready."""


class Hello(msgspec.Struct, frozen=True, tag=True):
    """From the worker: it has started."""


class Log(msgspec.Struct, frozen=True, tag=True):
    """From the worker: a line of its log."""

    logger: str
    level: int
    text: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """From the worker: this generation is about to become current; it waits for `Go`."""

    generation: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """From the worker: the job is carried out, or somebody else is at work there."""

    carried_out: bool


class Failed(msgspec.Struct, frozen=True, tag=True):
    """From the worker: the job raised an exception of this class, with this traceback. `state` are its attributes."""

    kind: str
    message: str
    state: dict[str, Any]
    traceback: str

    @classmethod
    def of(cls, error: Exception, traceback: str) -> Failed:
        """What is to be told of an exception."""
        state: dict[str, Any] = {}
        if isinstance(error, RagvecError):
            state = vars(error)
        elif isinstance(error, OSError):
            state = {"errno": error.errno, "strerror": error.strerror, "filename": str(error.filename)}
        return cls(type(error).__name__, str(error), state, traceback)

    def error(self) -> Exception:
        """An exception that says the same: of the same class where it is one of ragvec's, or OSError; a RuntimeError
        for any other, which is a bug."""
        found = getattr(errors, self.kind, None) if self.kind in errors.__all__ else None
        if found is not None and issubclass(found, RagvecError):
            error: RagvecError = found.__new__(found)
            Exception.__init__(error, self.message)
            vars(error).update(self.state)
            return error
        if "errno" in self.state:
            return OSError(self.state["errno"], self.state["strerror"], self.state["filename"])
        return RuntimeError(f"{self.kind}: {self.message}")


Request: TypeAlias = "Run | Go"
Answer: TypeAlias = "Hello | Log | Ready | Done | Failed"


def _encodable(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is not part of a message")


def _decoded(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"{kind.__name__} is not part of a message")


_encode = msgspec.msgpack.Encoder(enc_hook=_encodable).encode
_decode = msgspec.msgpack.Decoder(Run | Go | Hello | Log | Ready | Done | Failed, dec_hook=_decoded).decode


def write_frame(stream: BinaryIO, message: Request | Answer) -> None:
    """Send a message. Raises OSError when nobody reads any longer."""
    data = _encode(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def read_frame(stream: BinaryIO) -> Request | Answer | None:
    """The next message; None when the other side has ended. Raises msgspec.DecodeError: it is none."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    message: Request | Answer = _decode(stream.read(_LENGTH.unpack(head)[0]))
    return message
