"""Metadata of vectors: which values are allowed, how large they count, and their JSON."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from ragvec.errors import InvalidMetadata
from ragvec.limits import Limits

__all__ = ["encode_metadata", "metadata_size", "size_at_most"]

_VALUES = "Metadata values must be strings, numbers, booleans, or arrays"
_ELEMENTS = "Metadata array values must be strings or numbers"
_INT64 = (-(2**63), 2**64 - 1)

_encode = msgspec.json.Encoder().encode
Fault = Callable[[str, str], InvalidMetadata]


def encode_metadata(metadata: Any, *, limits: Limits, non_filterable: frozenset[str], fault: Fault) -> bytes | None:
    """Return the JSON object in UTF-8, or None for no metadata. `metadata` is not modified.

    Values are strings, finite numbers, booleans, and non-empty lists of strings or of numbers; numpy scalars and
    one-dimensional arrays count as what they hold. `fault(text, hint)` makes the error: `text` is the rule, `hint`
    where and what was got.

    Raises:
        InvalidMetadata: a value is of another type, or a limit is passed.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise fault("Metadata must be an object", f"got {_type_name(metadata)}")
    if limits.metadata_keys is not None and len(metadata) > limits.metadata_keys:
        raise fault(f"Metadata object must have at most {limits.metadata_keys} keys", f"got {len(metadata)}")
    plain = {}
    for key, value in metadata.items():
        if type(key) is not str:
            if not isinstance(key, str):
                raise fault("Metadata keys must be strings", f"got {key!r}, of type {_type_name(key)}")
            key = str.__str__(key)
        kind = type(value)
        if (
            kind is str
            or kind is bool
            or (kind is int and _INT64[0] <= value <= _INT64[1])
            or (kind is float and math.isfinite(value))
        ):
            plain[key] = value
        else:
            plain[key] = _value(value, key, fault)
    try:
        encoded = _encode(plain)
    except UnicodeEncodeError:
        raise fault("Metadata must be valid Unicode text", "a string holds an unpaired surrogate") from None
    _check_sizes(plain, len(encoded), limits, non_filterable, fault)
    return encoded


def metadata_size(metadata: Mapping[str, Any]) -> int:
    """The size that S3 Vectors counts for an object of allowed values.

    4, and for each entry 8 + the UTF-8 bytes of its key + the value: a string its UTF-8 bytes, a number 4, a boolean
    0, a list 4 plus the value for each element. (Fitted on the live service by third parties, September 2026.)
    """
    return 4 + sum(8 + len(key.encode()) + _value_size(value) for key, value in metadata.items())


def size_at_most(encoded: int) -> int:
    """What `metadata_size` is at most for an object whose JSON has this many bytes.

    No part of an object counts for more than four times its bytes in JSON: a number in a list counts 8, and needs two
    there with its comma; an entry counts 8 beside its key and value, and needs four for quotes, colon and comma.
    """
    return 4 + 4 * encoded


def _value_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bool):
        return 0
    if isinstance(value, list):
        return sum(4 + _value_size(element) for element in value)
    return 4


def _check_sizes(
    metadata: dict[str, Any], encoded: int, limits: Limits, non_filterable: frozenset[str], fault: Fault
) -> None:
    """Refuse what is too large; `encoded` is the length of the JSON, which most objects need no more than."""
    given = [most for most in (limits.metadata_bytes, limits.filterable_bytes) if most is not None]
    if not given or size_at_most(encoded) <= min(given):
        return
    whole = metadata_size(metadata)
    filterable = metadata_size({key: value for key, value in metadata.items() if key not in non_filterable})
    if limits.filterable_bytes is not None and filterable > limits.filterable_bytes:
        raise fault(
            f"Filterable metadata must have at most {limits.filterable_bytes} bytes",
            f"got {filterable}; keys that filters do not need can be declared non-filterable when an index is created",
        )
    if limits.metadata_bytes is not None and whole > limits.metadata_bytes:
        raise fault(f"Metadata object must have at most {limits.metadata_bytes} bytes", f"got {whole}")


def _value(value: Any, key: str, fault: Fault) -> Any:
    if isinstance(value, np.ndarray):
        if value.ndim != 1:
            raise fault(_VALUES, f"`{key}` is an array of shape {value.shape}")
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return _list(value, key, fault)
    return _scalar(value, key, fault, _VALUES)


def _list(values: list[Any] | tuple[Any, ...], key: str, fault: Fault) -> list[Any]:
    kinds = set(map(type, values))
    if kinds == {str} or (kinds and kinds <= {int, float} and all(_INT64[0] <= value <= _INT64[1] for value in values)):
        return list(values)
    if not values:
        raise fault("Empty arrays are not allowed in metadata", f"`{key}` is one")
    plain = [_scalar(value, f"{key}[{i}]", fault, _ELEMENTS) for i, value in enumerate(values)]
    texts = sum(isinstance(value, str) for value in plain)
    if any(isinstance(value, bool) for value in plain):
        raise fault(_ELEMENTS, f"`{key}` holds a boolean")
    if 0 < texts < len(plain):
        raise fault(_ELEMENTS, f"`{key}` holds both; all elements must be of one type")
    return plain


def _scalar(value: Any, place: str, fault: Fault, rule: str) -> str | int | float | bool:
    if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.timedelta64)):
        value = value.item()
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not _INT64[0] <= value <= _INT64[1]:
            raise fault("Metadata numbers must fit in 64 bits", f"`{place}` is an integer of {value.bit_length()} bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            advice = "; leave the key out where there is no value" if math.isnan(value) else ""
            raise fault("Metadata numbers must be finite", f"`{place}` is {value}{advice}")
        return float(value)
    if isinstance(value, (datetime.date, datetime.timedelta, np.datetime64, np.timedelta64)):
        advice = "pass dates as epoch seconds, such as moment.timestamp()"
        raise fault(rule, f"`{place}` is of type {_type_name(value)}; {advice}")
    raise fault(rule, f"`{place}` is {_type_name(value)}")


def _type_name(value: Any) -> str:
    if value is None:
        return "null; leave the key out where there is no value"
    return "an object" if isinstance(value, Mapping) else type(value).__name__
