"""FAQ files: CSV without and with a header, JSON, and rows given by a program.

A fault anywhere in a file refuses it as a whole; the message names the row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ragvec.errors import InvalidRequest
from ragvec.kendra.access import access_metadata, read_access
from ragvec.kendra.attributes import Field, Schema, epoch_seconds, operand
from ragvec.kendra.faqs.stored import FaqRow
from ragvec.kendra.limits import Limits
from ragvec.kendra.problems import shown, unexpected

__all__ = ["FORMATS", "read_faq_file", "read_faq_rows"]

FORMATS = ("CSV", "CSV_WITH_HEADER", "JSON")

_QUESTION, _ANSWER, _URI = "_question", "_answer", "_source_uri"
_NOT_OF_ROWS = frozenset(
    {"_data_source_id", "_document_title", "_excerpt_page_number", "_faq_id", "_file_type", "_language_code"}
)
_ACCESS = {
    "_acl_user_allow": ("USER", "ALLOW"),
    "_acl_user_deny": ("USER", "DENY"),
    "_acl_group_allow": ("GROUP", "ALLOW"),
    "_acl_group_deny": ("GROUP", "DENY"),
}
_DOCUMENT = frozenset({"Question", "Answer", "Attributes", "AccessControlList"})


def read_faq_file(content: bytes, kind: str, *, schema: Schema, limits: Limits) -> list[FaqRow]:
    """The rows of a FAQ file of the format `kind`.

    Raises:
        InvalidRequest: it is not in this format or not UTF-8, has no rows, names a field that the index does not have
            or that rows cannot have, or a value, question, answer or access list breaks its rule.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"Expected a file in UTF-8, got other bytes at {error.start:,}", path="S3Path") from error
    reader = _Rows(schema, limits)
    if kind == "JSON":
        rows = reader.from_json(text)
    else:
        lines = [(number, cells) for number, cells in _csv_lines(text) if any(cells)]
        rows = reader.from_table(lines) if kind == "CSV_WITH_HEADER" else reader.from_lines(lines)
    if not rows:
        raise InvalidRequest("Expected a question and its answer, got an empty file", path="S3Path")
    return rows


def read_faq_rows(rows: Iterable[Mapping[str, Any]], *, schema: Schema, limits: Limits) -> list[FaqRow]:
    """Rows given as mappings: `question`, `answer`, and as they are needed `uri`, `attributes` by name, and
    `access`, a list of {"Name", "Type", "Access"}. Raises InvalidRequest as `read_faq_file`.
    """
    reader, found = _Rows(schema, limits), []
    for number, row in enumerate(rows):
        place = f"rows[{number}]"
        if not isinstance(row, Mapping):
            raise unexpected("a mapping with question and answer", shown(row), path=place)
        unknown = sorted(str(name) for name in row if name not in ("question", "answer", "uri", "attributes", "access"))
        if unknown:
            raise InvalidRequest(f"Unknown member {shown(unknown[0])} - at `{place}`", path=place)
        about = {**(row.get("attributes") or {}), **({_URI: row["uri"]} if row.get("uri") else {})}
        found.append(reader.row(row.get("question"), row.get("answer"), about, row.get("access"), place=place))
    if not found:
        raise unexpected("a question and its answer", "no rows", path="rows")
    return found


class _Rows:
    """Makes rows of what a file says, and checks them."""

    def __init__(self, schema: Schema, limits: Limits) -> None:
        self._schema, self._limits = schema, limits

    def from_lines(self, lines: Iterable[tuple[int, list[str]]]) -> list[FaqRow]:
        """Of `question, answer[, uri]`."""
        rows = []
        for number, cells in lines:
            if not 2 <= len(cells) <= 3:
                raise unexpected("question, answer and perhaps a URI", f"{len(cells)} values", path=f"line {number}")
            about = {_URI: cells[2]} if len(cells) == 3 and cells[2] else {}
            rows.append(self.row(cells[0], cells[1], about, None, place=f"line {number}"))
        return rows

    def from_table(self, lines: Sequence[tuple[int, list[str]]]) -> list[FaqRow]:
        """Of a table whose first line names its columns."""
        if not lines:
            return []
        header = lines[0][1]
        twice = sorted({name for name in header if header.count(name) > 1})
        if twice:
            raise InvalidRequest(
                f"The column {shown(twice[0])} is there twice - at `line {lines[0][0]}`", path="header"
            )
        if _QUESTION not in header or _ANSWER not in header:
            raise unexpected("the columns _question and _answer", ", ".join(header), path=f"line {lines[0][0]}")
        rows = []
        for number, cells in lines[1:]:
            if len(cells) != len(header):
                raise unexpected(f"{len(header)} values", len(cells), path=f"line {number}")
            given = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
            access = [
                {"Name": name, "Type": kind, "Access": allowance}
                for column, (kind, allowance) in _ACCESS.items()
                for name in _listed(given.pop(column, ""))
            ]
            question, answer = given.pop(_QUESTION, ""), given.pop(_ANSWER, "")
            rows.append(self.row(question, answer, given, access or None, place=f"line {number}", as_text=True))
        return rows

    def from_json(self, text: str) -> list[FaqRow]:
        """Of `{"SchemaVersion": 1, "FaqDocuments": [...]}`."""
        try:
            whole = msgspec.json.decode(text.encode())
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidRequest(f"Expected JSON: {error!s:.300} - at `S3Path`", path="S3Path") from error
        if not isinstance(whole, dict) or whole.keys() != {"SchemaVersion", "FaqDocuments"}:
            raise unexpected("an object with SchemaVersion and FaqDocuments", shown(whole), path="S3Path")
        if whole["SchemaVersion"] != 1 or isinstance(whole["SchemaVersion"], bool):
            raise unexpected("1", shown(whole["SchemaVersion"]), path="SchemaVersion")
        if not isinstance(whole["FaqDocuments"], list):
            raise unexpected("a list", shown(whole["FaqDocuments"]), path="FaqDocuments")
        rows = []
        for number, document in enumerate(whole["FaqDocuments"]):
            place = f"FaqDocuments[{number}]"
            if not isinstance(document, dict) or document.keys() - _DOCUMENT:
                raise unexpected(f"an object with {', '.join(sorted(_DOCUMENT))}", shown(document), path=place)
            about = document.get("Attributes") or {}
            if not isinstance(about, dict):
                raise unexpected("an object", shown(about), path=f"{place}.Attributes")
            access = document.get("AccessControlList")
            rows.append(self.row(document.get("Question"), document.get("Answer"), about, access, place=place))
        return rows

    def row(
        self,
        question: object,
        answer: object,
        about: Mapping[str, Any],
        access: object,
        *,
        place: str,
        as_text: bool = False,
    ) -> FaqRow:
        """One row; with `as_text`, values of all types are written as text."""
        attributes = {name: self._value(name, value, place, as_text=as_text) for name, value in about.items()}
        uri = attributes.pop(_URI, "")
        return FaqRow(
            question=_checked_text(question, most=self._limits.faq_question, path=f"{place}.question"),
            answer=_checked_text(answer, most=self._limits.faq_answer, path=f"{place}.answer"),
            uri=uri,
            attributes={**attributes, **self._access(access, place)},
        )

    def _value(self, name: object, value: Any, place: str, *, as_text: bool) -> Any:
        path = f"{place}.{name}"
        if not isinstance(name, str) or name in _NOT_OF_ROWS:
            raise InvalidRequest(f"A row of a FAQ cannot have the field {shown(name)} - at `{path}`", path=path)
        field = self._schema.field(name, path=path)
        if field.type == "DATE_VALUE":
            return epoch_seconds(value, path=path)
        if field.type == "STRING_LIST_VALUE":
            return _texts(_listed(value) if as_text else value, path=path, limits=self._limits)
        if field.type == "LONG_VALUE":
            return _whole(value, path=path, as_text=as_text)
        if field.type in ("DOUBLE", "BOOLEAN") and not isinstance(value, str):
            return _of_type(field, value, path=path)
        text = _checked_text(value, most=self._limits.string_value, path=path)
        return operand(field, "StringValue", text, path=path)

    def _access(self, entries: object, place: str) -> dict[str, Any]:
        if entries is None:
            return {}
        found = read_access({"AccessControlList": entries}, limits=self._limits, path=place)
        both = sorted(set(found.denied).intersection(*found.levels)) if found.levels else []
        if both:
            raise InvalidRequest(f"{both[0]!r} is both allowed and denied - at `{place}`", path=place)
        return access_metadata(found)


def _csv_lines(text: str) -> Iterable[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InvalidRequest(f"Expected CSV: {error} - at `line {reader.line_num}`", path="S3Path") from error
        yield reader.line_num, [cell.strip() for cell in cells]


def _listed(cell: Any) -> list[str]:
    return [part.strip() for part in str(cell).split(",") if part.strip()]


def _texts(value: object, *, path: str, limits: Limits) -> list[str]:
    if not isinstance(value, (list, tuple)):
        raise unexpected("a list of texts", shown(value), path=path)
    if limits.string_list is not None and len(value) > limits.string_list:
        raise unexpected(f"at most {limits.string_list} texts", len(value), path=path)
    return [_checked_text(each, most=limits.string_value, path=path) for each in value]


def _whole(value: object, *, path: str, as_text: bool) -> int:
    if as_text and isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) <= 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise unexpected("a whole number of 64 bits", shown(value), path=path)
    return value


def _of_type(field: Field, value: object, *, path: str) -> Any:
    if field.type == "BOOLEAN" and isinstance(value, bool):
        return value
    if field.type == "DOUBLE" and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise unexpected("true or false" if field.type == "BOOLEAN" else "a number", shown(value), path=path)


def _checked_text(value: object, *, most: int | None, path: str) -> str:
    if not isinstance(value, str):
        raise unexpected("text", shown(value), path=path)
    value = value.strip()
    if not value or (most is not None and len(value) > most):
        raise unexpected(f"1 to {most or 'any number of'} characters", len(value), path=path)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise unexpected("text in Unicode", "half a surrogate pair", path=path) from None
    return value
