"""Attributes of documents: from the names and values that people write to those that are stored.

    title, category, author(s), created_at, last_updated_at or updated_at, file_type, view_count, version, language,
    source_uri
        the built-in attributes (`_category` …)
    access_groups, access_users, denied_groups, denied_users
        principals in `_acl_allow` and `_acl_deny`: "group:HR", "user:alice"
    anything else
        an attribute of that name: text, number, boolean, list of texts, or a date

A date is a `datetime`, a `date`, or ISO 8601 text in an attribute called `date`, `…_date` or `…_at`, or one that the
index knows as a date already. Without an offset it is taken as UTC. What is missing (None, NaN, an empty list) is left
out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from typing import Any

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document
from ragvec.pipeline.passages import (
    ACL_ALLOW,
    ACL_DENY,
    AUTHORS,
    BUILT_IN_TYPES,
    CATEGORY,
    CREATED_AT,
    DEFAULT_LANGUAGE,
    DOCUMENT_ID,
    DOCUMENT_TITLE,
    FILE_TYPE,
    LANGUAGE_CODE,
    LAST_UPDATED_AT,
    PAGE_NUMBER,
    SOURCE_URI,
    VERSION,
    VIEW_COUNT,
    AttributeType,
)

__all__ = ["is_missing", "named", "parse_date", "typed"]

_NAMES = {
    "title": DOCUMENT_TITLE,
    "category": CATEGORY,
    "author": AUTHORS,
    "authors": AUTHORS,
    "created_at": CREATED_AT,
    "last_updated_at": LAST_UPDATED_AT,
    "updated_at": LAST_UPDATED_AT,
    "file_type": FILE_TYPE,
    "view_count": VIEW_COUNT,
    "version": VERSION,
    "language": LANGUAGE_CODE,
    "source_uri": SOURCE_URI,
}
_PRINCIPALS = {
    "access_groups": (ACL_ALLOW, "group:"),
    "access_users": (ACL_ALLOW, "user:"),
    "denied_groups": (ACL_DENY, "group:"),
    "denied_users": (ACL_DENY, "user:"),
}
_INT64 = (-(2**63), 2**64 - 1)
_SHOWN = 100
# pandas' own: neither None nor floats, and not even equal to themselves.
_MISSING = ("NAType", "NaTType")
_GIVEN = frozenset(BUILT_IN_TYPES) - {DOCUMENT_ID, PAGE_NUMBER} | {ACL_ALLOW, ACL_DENY}
_DATE_NAME = re.compile(r"(?:^|_)date$|_at$")
_ISO = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|[+-]\d{2}:?\d{2})?)?$")


def named(raw: Mapping[Any, Any]) -> tuple[dict[str, Any], list[str]]:
    """Map names to the built-in ones and values to plain types, dates to `datetime`; and say what was left out.

    `raw` is not modified; mapping a result again changes nothing.

    Raises:
        DocumentError: a name begins with `_` and is no built-in attribute, or principals are not text.
    """
    found: dict[str, Any] = {}
    notes: list[str] = []
    for name, value in raw.items():
        value = _plain(value)
        if is_missing(value):
            continue
        if name in _PRINCIPALS:
            target, prefix = _PRINCIPALS[name]
            principals = [prefix + principal for principal in _texts(name, value)]
            found[target] = list(dict.fromkeys([*found.get(target, []), *principals]))
            continue
        target = _NAMES.get(name, name) if isinstance(name, str) else str(name)
        if not target or (target.startswith("_") and target not in _GIVEN):
            raise DocumentError(
                f"Expected an attribute name that does not begin with '_', or one of "
                f"{', '.join(sorted(_GIVEN))}, got {_shown(target)}"
            )
        if isinstance(value, str) and (BUILT_IN_TYPES.get(target) == "DATE_VALUE" or _DATE_NAME.search(target)):
            value = parse_date(value) or value
        if isinstance(value, int) and not _INT64[0] <= value <= _INT64[1]:
            got = f"one of {value.bit_length():,} bits"
            raise DocumentError(f"Expected a number of at most 64 bits in attribute {_shown(target)}, got {got}")
        if isinstance(value, (str, bool, int, float, datetime)) or _is_texts(value):
            found[target] = value
        else:
            notes.append(f"attribute {_shown(target)} left out: expected text, number, boolean, date or list of texts")
    return found, notes


def parse_date(text: str) -> datetime | None:
    """The moment that ISO 8601 text names, in UTC when it gives no offset; None for any other text."""
    match = _ISO.match(text.strip())
    if match is None:
        return None
    day, minute, second, fraction, offset = match.groups()
    zone = "+00:00" if offset in (None, "Z") else offset if ":" in offset else f"{offset[:3]}:{offset[3:]}"
    try:
        return datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}.{(fraction or '0')[:6]:0<6}{zone}")
    except ValueError:
        return None


def typed(document: Document, known: Mapping[str, AttributeType]) -> tuple[dict[str, Any], dict[str, AttributeType]]:
    """The document's attributes as they are stored, and the type of each.

    Title, URI and file type of the document are among them. An attribute in `known` gets that type, one of the built-in
    ones its own, any other what its value says. Dates become seconds since 1970 UTC. What the document has as `stored`
    is taken over, without a type.

    Raises:
        DocumentError: a value does not fit the type, or a name is not allowed.
    """
    given, _ = named(document.attributes)
    attributes: dict[str, Any] = {LANGUAGE_CODE: DEFAULT_LANGUAGE}
    for name, own in ((DOCUMENT_TITLE, document.title), (SOURCE_URI, document.uri), (FILE_TYPE, document.file_type)):
        if own:
            attributes[name] = own
    attributes.update(given)
    values: dict[str, Any] = {}
    types: dict[str, AttributeType] = {}
    for name, value in attributes.items():
        if name in (ACL_ALLOW, ACL_DENY):
            values[name] = _texts(name, value)
            continue
        kind = BUILT_IN_TYPES.get(name) or known.get(name) or _type_of(value)
        stored = _stored(value, kind)
        if stored is None:
            raise DocumentError(
                f"Expected a {kind} in attribute {_shown(name)}, as in the rest of the index, got {_shown(value)}"
            )
        values[name], types[name] = stored, kind
    return {**values, **document.stored}, {name: kind for name, kind in types.items() if name not in document.stored}


def _type_of(value: Any) -> AttributeType:
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, int):
        return "LONG_VALUE"
    if isinstance(value, float):
        return "DOUBLE"
    if isinstance(value, datetime):
        return "DATE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "STRING_LIST_VALUE"


def _stored(value: Any, kind: AttributeType) -> Any:
    """The value as one of this type, None when it is none."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind == "DATE_VALUE":
        moment = parse_date(value) if isinstance(value, str) else value
        return _seconds(moment) if isinstance(moment, datetime) else value if number else None
    if kind == "STRING_LIST_VALUE":
        return [value] if isinstance(value, str) else list(value) if _is_texts(value) else None
    if kind == "STRING_VALUE":
        if isinstance(value, datetime):
            return value.isoformat()
        # A version 2 or 2.1 is text that looks like a number.
        return value if isinstance(value, str) else str(value) if number else None
    if kind == "BOOLEAN":
        return value if isinstance(value, bool) else None
    if kind == "LONG_VALUE":
        return int(value) if number and float(value).is_integer() else None
    return float(value) if number else None


def _seconds(moment: datetime) -> int | float:
    seconds = moment.timestamp()
    return int(seconds) if seconds.is_integer() else seconds


def _plain(value: Any) -> Any:
    """numpy scalars as Python's, dates as datetimes in UTC, tuples and sets as lists."""
    if hasattr(value, "item") and hasattr(value, "dtype") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, datetime) and not is_missing(value):
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), timezone.utc)
    if isinstance(value, (tuple, set, frozenset)):
        return sorted(value, key=str) if isinstance(value, (set, frozenset)) else list(value)
    return value


def is_missing(value: Any) -> bool:
    """Whether a value says that there is none: None, NaN, pandas' NA and NaT, an empty list."""
    name = type(value).__name__
    return (
        value is None
        or (isinstance(value, list) and not value)
        or (isinstance(value, float) and math.isnan(value))
        or name in _MISSING
    )


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _shown(value: Any) -> str:
    """A value in a message: its beginning, where it is long."""
    if isinstance(value, str):
        return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
    return f"{value!r:.{_SHOWN}}"


def _texts(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if _is_texts(value):
        return list(value)
    raise DocumentError(f"Expected text or a list of texts in attribute {_shown(name)}, got {_shown(value)}")
