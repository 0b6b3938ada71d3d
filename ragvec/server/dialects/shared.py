"""What the faces of the vector services have in common: JSON bodies, times, and how an error is told."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from ragvec.api.dialects import Dialect, WireError, wire_error
from ragvec.errors import RagvecError
from ragvec.server.refusals import MalformedBody

__all__ = ["JSON", "JsonObject", "decode_object", "encode", "told_code", "told_message", "written_time"]

JSON = ("content-type", "application/json")

JsonObject = dict[str, Any]

_decoder = msgspec.json.Decoder(JsonObject)
_encoder = msgspec.json.Encoder()


def decode_object(body: bytes) -> JsonObject:
    """The JSON object that a body holds; an empty body is an empty object.

    Raises:
        MalformedBody: it is not JSON in UTF-8, not an object, nested too deep, or has a number out of range.
    """
    if not body:
        return {}
    try:
        return _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise MalformedBody(f"The body is not a JSON object that can be read: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedBody(f"The body is not JSON in UTF-8: {error}") from error
    except RecursionError as error:
        raise MalformedBody("The body is nested too deep") from error


def encode(value: Any) -> bytes:
    """A response, or a document of one, as JSON in UTF-8."""
    return _encoder.encode(value)


def written_time(seconds: float, dialect: Dialect) -> float | int | str:
    """Epoch seconds as the service writes times: a number, a whole number, or such as 2025-04-17T10:56:21.000Z."""
    if dialect.time == "epoch":
        return seconds
    if dialect.time == "epoch-int":
        return int(seconds)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def told_code(
    error: RagvecError, dialect: Dialect, table: Mapping[type[RagvecError], WireError], *, operation: str
) -> WireError:
    """The status and code of an error: that of its class in `table`, or of the nearest class above that is there;
    for errors of the operations themselves, that of the dialect."""
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return wire_error(dialect, error, operation=operation)


def told_message(error: RagvecError, dialect: Dialect) -> str:
    """The text of an error as a client of this process would get it in the dialect."""
    return error.plain if error.subject and not dialect.hints else error.message
