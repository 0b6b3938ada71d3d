"""Document attributes: the fields of an index, and values between Kendra's form and passage metadata.

Kendra writes a value as an object with one of four members, `{"LongValue": 3}`; metadata holds the bare value, dates as
epoch seconds, file types under their usual names (`docx` for `MS_WORD`). ragvec also records numbers with a fraction
and booleans, for which Kendra has no type: they read as strings (`"0.5"`, `"true"`) in Kendra's form, and such a
string, sent back in a filter, finds them again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias, cast, get_args

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected
from ragvec.pipeline.passages import ACL_ALLOW, ACL_DENY, DOCUMENT_ID, FILE_TYPE, AttributeType
from ragvec.types import Scalar

__all__ = [
    "BUILT_IN",
    "Field",
    "Schema",
    "ValueMember",
    "epoch_seconds",
    "kendra_type",
    "kendra_value",
    "operand",
    "plain_value",
    "read_strings",
    "read_value",
]

ValueMember: TypeAlias = Literal["StringValue", "StringListValue", "LongValue", "DateValue"]

_MEMBERS: tuple[ValueMember, ...] = get_args(ValueMember)
_KENDRA_TYPES: dict[AttributeType, str] = {"DOUBLE": "STRING_VALUE", "BOOLEAN": "STRING_VALUE"}
_ACCEPTED: dict[AttributeType, tuple[ValueMember, ...]] = {
    "STRING_VALUE": ("StringValue",),
    "STRING_LIST_VALUE": ("StringListValue",),
    "LONG_VALUE": ("LongValue",),
    "DATE_VALUE": ("DateValue",),
    "DOUBLE": ("LongValue", "StringValue"),
    "BOOLEAN": ("StringValue",),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_BOOLEANS = {"true": True, "false": False}
_FILE_TYPES = {
    "csv": "CSV",
    "docx": "MS_WORD",
    "html": "HTML",
    "jsonl": "JSON",
    "md": "MD",
    "pdf": "PDF",
    "pptx": "PPT",
    "rtf": "RTF",
    "txt": "PLAIN_TEXT",
    "xlsx": "MS_EXCEL",
    "xml": "XML",
    "xslt": "XSLT",
}
_STORED_FILE_TYPES = {theirs: ours for ours, theirs in _FILE_TYPES.items()}


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of an index. Flags: may be returned unasked, counted in facets, matched by words, sorted on; may be
    returned when it is requested, also if not unasked.

    `relevance` are the members of Kendra's `Relevance` that the index was configured with; None where it was not.
    """

    name: str
    type: AttributeType
    displayable: bool = False
    facetable: bool = False
    searchable: bool = False
    sortable: bool = False
    relevance: dict[str, Any] | None = None
    requestable: bool = False


BUILT_IN: tuple[Field, ...] = (
    Field(name="_authors", type="STRING_LIST_VALUE"),
    Field(name="_category", type="STRING_VALUE", sortable=True),
    Field(name="_created_at", type="DATE_VALUE", sortable=True),
    Field(name="_data_source_id", type="STRING_VALUE", sortable=True),
    Field(name="_document_title", type="STRING_VALUE", displayable=True, searchable=True, sortable=True),
    Field(name="_excerpt_page_number", type="LONG_VALUE"),
    Field(name="_faq_id", type="STRING_VALUE", sortable=True),
    Field(name="_file_type", type="STRING_VALUE", sortable=True),
    Field(name="_language_code", type="STRING_VALUE", sortable=True),
    Field(name="_last_updated_at", type="DATE_VALUE", sortable=True),
    Field(name="_source_uri", type="STRING_VALUE", displayable=True),
    Field(name="_tenant_id", type="STRING_VALUE", sortable=True),
    Field(name="_version", type="STRING_VALUE", sortable=True),
    Field(name="_view_count", type="LONG_VALUE", sortable=True),
)
"""The fields of every index, with the flags that a fresh Kendra index shows for them."""


class Schema(msgspec.Struct, frozen=True):
    """The fields of one index, by name."""

    fields: dict[str, Field]

    @classmethod
    def of(
        cls, recorded: Mapping[str, str], *, strict: bool = False, configured: Mapping[str, Field] | None = None
    ) -> Schema:
        """The built-in fields, those that an index has recorded (its property `attributes`: name to type), and those
        that were configured, which are as they were configured.

        With `strict` the flags are those of a Kendra index nobody has configured: custom fields can be returned but
        neither counted nor sorted on. Otherwise every field can be counted, every field but lists sorted on, and every
        field but dates is returned unasked (a date comes when it is requested: clients in use fail on unasked ones).
        """
        built_in = {field.name: field for field in BUILT_IN}
        fields = dict(built_in)
        for name, recorded_type in recorded.items():
            if name in (DOCUMENT_ID, ACL_ALLOW, ACL_DENY):  # known to filters in their own ways, but no fields
                continue
            if recorded_type not in get_args(AttributeType):
                raise InvalidRequest(
                    f"Expected an attribute type ({', '.join(get_args(AttributeType))}), got {recorded_type!r} - at "
                    f"`{name}` in the index property `attributes`"
                )
            of_type = cast(AttributeType, recorded_type)
            default = Field(name=name, type=of_type, displayable=True, searchable=of_type == "STRING_VALUE")
            fields[name] = msgspec.structs.replace(built_in.get(name, default), type=of_type)
        if not strict:
            fields = {name: _opened(field) for name, field in fields.items()}
        return cls(dict(sorted((fields | dict(configured or {})).items())))

    def field(self, name: str, *, path: str) -> Field:
        """The field of this name.

        Raises:
            InvalidRequest: the index has none; the message lists those it has.
        """
        try:
            return self.fields[name]
        except KeyError:
            message = f"The index has no field {shown(name)} - at `{path}`; {self.instead_of(name)}"
            raise InvalidRequest(message, path=path) from None

    def instead_of(self, name: str) -> str:
        """What to say about an unknown name: the field that was probably meant, or else all of them."""
        likely = [f"_{name}"] if f"_{name}" in self.fields else get_close_matches(name, self.fields, n=1, cutoff=0.7)
        return f"did you mean {likely[0]!r}?" if likely else f"it has {', '.join(self.fields)}"

    def facetable(self, name: str, *, path: str) -> Field:
        """The field of this name, to count values of. Raises InvalidRequest: there is none, or it cannot be."""
        field = self.field(name, path=path)
        if not field.facetable:
            raise InvalidRequest(f"The field {shown(name)} is not facetable - at `{path}`", path=path)
        return field

    def sortable(self, name: str, *, path: str) -> Field:
        """The field of this name, to sort on. Raises InvalidRequest: there is none, or it has no order."""
        field = self.field(name, path=path)
        if not field.sortable:
            raise InvalidRequest(f"The field {shown(name)} is not sortable - at `{path}`", path=path)
        return field


def _opened(field: Field) -> Field:
    return msgspec.structs.replace(
        field,
        displayable=field.type != "DATE_VALUE",
        requestable=True,
        facetable=True,
        sortable=field.type != "STRING_LIST_VALUE",
    )


def kendra_type(field: Field) -> str:
    """The type that Kendra's shapes name for this field."""
    return _KENDRA_TYPES.get(field.type, field.type)


def epoch_seconds(value: object, *, path: str) -> int | float:
    """Seconds since 1970-01-01T00:00Z, whole ones as int, of a datetime, date, ISO 8601 text or number.

    What has no time zone is taken as UTC.

    Raises:
        InvalidRequest: `value` is none of these, or not finite.
    """
    if isinstance(value, str):
        value = _from_iso(value, path=path)
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        value = (aware - _EPOCH).total_seconds()
    elif isinstance(value, date):
        value = (datetime(value.year, value.month, value.day, tzinfo=timezone.utc) - _EPOCH).total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise unexpected("a datetime, ISO 8601 text or epoch seconds", shown(value), path=path)
    return int(value) if value == int(value) else value


def _from_iso(text: str, *, path: str) -> datetime:
    # datetime.fromisoformat reads neither "Z" nor fractions of other than 3 or 6 digits before Python 3.11.
    normal = re.sub(r"[zZ]$", "+00:00", text.strip())
    normal = re.sub(r"\.(\d+)", lambda match: f".{match[1][:6]:0<6}", normal)
    normal = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", normal) if "T" in normal or " " in normal else normal
    try:
        return datetime.fromisoformat(normal)
    except ValueError:
        raise unexpected("a date in ISO 8601", shown(text), path=path) from None


def read_value(value: object, *, path: str, limits: Limits) -> tuple[ValueMember, Scalar | tuple[str, ...]]:
    """The one member of a `DocumentAttributeValue` and its bare value; dates become epoch seconds.

    Raises:
        InvalidRequest: none or several members, an unknown one, a value of a wrong type, or beyond a limit.
    """
    if not isinstance(value, Mapping):
        raise unexpected(f"an object with one of {', '.join(_MEMBERS)}", shown(value), path=path)
    given = [name for name, member in value.items() if member is not None]
    if len(given) != 1 or given[0] not in _MEMBERS:
        got = ", ".join(map(str, given)) or "nothing"
        raise unexpected(f"exactly one of {', '.join(_MEMBERS)}", got, path=path)
    member = cast(ValueMember, given[0])
    content, path = value[member], f"{path}.{member}"
    if member == "StringValue":
        return member, _read_string(content, path=path, limits=limits)
    if member == "StringListValue":
        return member, read_strings(content, path=path, limits=limits, most=limits.string_list)
    if member == "DateValue":
        return member, epoch_seconds(_number_in(content), path=path)
    if isinstance(content, bool) or not isinstance(content, int) or not -(2**63) <= content < 2**63:
        raise unexpected("a whole number of 64 bits", shown(content), path=path)
    return member, content


def _number_in(value: object) -> object:
    """The number that text writes, as boto3 reads it: seconds, whatever a date it might look like."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _read_string(value: object, *, path: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise unexpected("text", shown(value), path=path)
    if not value or (limits.string_value is not None and len(value) > limits.string_value):
        raise unexpected(f"1 to {limits.string_value or 'any number of'} characters", len(value), path=path)
    return value


def read_strings(value: object, *, path: str, limits: Limits, most: int | None) -> tuple[str, ...]:
    """A list of 1 to `most` texts as a tuple; None lifts the limit. Raises InvalidRequest for anything else."""
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list of texts", shown(value), path=path)
    if not value or (most is not None and len(value) > most):
        raise unexpected(f"a list of 1 to {most or 'any number of'} texts", len(value), path=path)
    return tuple(_read_string(text, path=f"{path}[{i}]", limits=limits) for i, text in enumerate(value))


def operand(field: Field, member: ValueMember, value: Scalar | tuple[str, ...], *, path: str) -> Any:
    """`value` as the metadata of `field` hold it: a scalar, or a tuple of texts for a list field.

    Raises:
        InvalidRequest: the field is of another type; the message names the member to use.
    """
    accepted = _ACCEPTED[field.type]
    if field.name == FILE_TYPE:
        value = _STORED_FILE_TYPES.get(str(value), value)
    if member in accepted:
        if member != "StringValue" or field.type == "STRING_VALUE":
            return value
        try:
            return _BOOLEANS[str(value)] if field.type == "BOOLEAN" else float(str(value))
        except (KeyError, ValueError):
            raise InvalidRequest(
                f"Expected {'true or false' if field.type == 'BOOLEAN' else 'a number'} for the field {field.name!r}, "
                f"got {shown(value)} - at `{path}`",
                path=path,
            ) from None
    raise InvalidRequest(
        f"The field {field.name!r} is of type {field.type}: expected {' or '.join(accepted)}, got {member} - at "
        f"`{path}`",
        path=path,
    )


def plain_value(field: Field, value: Any) -> Any:
    """A metadata value as Python has it: dates as datetime in UTC, lists as tuples, everything else as it is."""
    if isinstance(value, list):
        return tuple(value)
    if field.type == "DATE_VALUE" and isinstance(value, (int, float)):
        try:
            return _EPOCH + timedelta(seconds=value)
        except OverflowError:  # beyond year 9999: milliseconds taken for seconds by whoever filled the index
            return value
    return value


def kendra_value(field: Field, value: Any) -> dict[str, Any]:
    """A metadata value as a `DocumentAttributeValue`; dates as datetime in UTC, as boto3 delivers them."""
    if field.type == "STRING_LIST_VALUE":
        return {"StringListValue": list(value) if isinstance(value, (list, tuple)) else [value]}
    if field.type == "LONG_VALUE" and isinstance(value, (int, float)):
        return {"LongValue": int(value)}
    if field.type == "DATE_VALUE" and isinstance(value, (int, float)):
        return {"DateValue": plain_value(field, value)}
    if isinstance(value, bool):
        return {"StringValue": "true" if value else "false"}
    if field.name == FILE_TYPE:
        value = _FILE_TYPES.get(value, value)
    return {"StringValue": value if isinstance(value, str) else repr(value)}
