"""Documents as BatchPutDocument gives them, read into those of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ragvec.errors import DocumentError, InvalidRequest
from ragvec.kendra.access import access_metadata, read_access
from ragvec.kendra.access.configurations import Configurations
from ragvec.kendra.access.lists import AccessList
from ragvec.kendra.attributes import Schema, operand, read_value
from ragvec.kendra.enrich import Rule, enriched
from ragvec.kendra.files import Folders, read_named_file
from ragvec.kendra.learn.members import ID, choice, text
from ragvec.kendra.limits import Limits
from ragvec.kendra.notes import Notes
from ragvec.kendra.problems import unexpected
from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.formats import SUFFIXES, file_type, read_file
from ragvec.pipeline.loaders.place import Place
from ragvec.pipeline.passages import DATA_SOURCE_ID, DOCUMENT_TITLE, FILE_TYPE, AttributeType
from ragvec.pipeline.reading import Reader

__all__ = ["CONTENT_TYPES", "DocumentReader"]

_SUFFIXES: dict[str, tuple[str, str]] = {
    "PDF": (".pdf", "pdf"),
    "HTML": (".html", "html"),
    "MS_WORD": (".docx", "docx"),
    "PLAIN_TEXT": (".txt", "txt"),
    "MD": (".md", "md"),
    "CSV": (".csv", "csv"),
    # What stands between the tags of XML is its text; JSON is text as it is.
    "XML": (".html", "xml"),
    "XSLT": (".html", "xslt"),
    "JSON": (".txt", "jsonl"),
    "PPT": (".pptx", "pptx"),
    "RTF": (".rtf", "rtf"),
    "MS_EXCEL": (".xlsx", "xlsx"),
}

CONTENT_TYPES = tuple(_SUFFIXES)
"""Kendra's content types."""

_OTHER_NAMES = {
    ".json": "JSON",
    ".xml": "XML",
    ".xsl": "XSLT",
    ".xslt": "XSLT",
    ".ppt": "PPT",
    ".xls": "MS_EXCEL",
}
_PARTS = {b"xl/workbook.xml": "MS_EXCEL", b"ppt/presentation.xml": "PPT"}
_ID = 2048
_TITLE = 1000
_FIELD = 200
_JOB = "_data_source_sync_job_execution_id"
_SET_HERE = ("_excerpt_page_number", "_faq_id", "_file_type")
_SNIFFED = 1024
_UNLIMITED = 1 << 30


class DocumentReader:
    """Reads the documents of one batch, as a context manager; `types` are those of attributes met for the first time.

    `rules` enrich each of them. Where the index is open, which one that nobody has configured is, documents may bring
    attributes of their own.
    """

    def __init__(
        self,
        schema: Schema,
        notes: Notes,
        *,
        folders: Folders,
        limits: Limits,
        is_open: bool,
        rules: Sequence[Rule] = (),
    ) -> None:
        self.types: dict[str, AttributeType] = {}
        self.levels = 1
        self._schema, self._notes, self._folders, self._limits = schema, notes, folders, limits
        self._open = is_open
        self._rules = rules
        most = limits.document_text
        self._files = FileLimits() if most is None else FileLimits(characters=most)
        self._reader = Reader(self._files)

    def __enter__(self) -> DocumentReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, members: Mapping[str, Any], *, path: str) -> Document:
        """The document that the members describe.

        Raises:
            InvalidRequest: a member breaks its rule. DocumentError: its content cannot be read. MissingExtra.
        """
        document_id = text(members, "Id", most=_ID, path=f"{path}.Id")
        stored = self._attributes(members.get("Attributes") or (), path=f"{path}.Attributes")
        if members.get("Title"):
            stored[DOCUMENT_TITLE] = text(members, "Title", most=_TITLE, path=f"{path}.Title")
        access = self._access(members, path=path)
        content, name = self._content(members, path=path)
        kind = _content_type(members, content, name, path=f"{path}.ContentType")
        suffix, stored_type = _SUFFIXES[kind]
        after = enriched(self._rules, {**stored, FILE_TYPE: stored_type})
        stored = {key: value for key, value in after.stored.items() if key != FILE_TYPE}
        title = str(stored.pop(DOCUMENT_TITLE, ""))
        if not after.content:
            # What is left of it is its title, by which it can be found, and its attributes.
            return Document(id=document_id, text=title, title=title, file_type=stored_type, stored=stored | access)
        extract = self._extracted(content, suffix)
        most = self._limits.document_text
        size = len(extract.text.encode(errors="replace"))
        if most is not None and size > most:
            raise unexpected(f"a text of at most {most:,} bytes", f"{size:,}", path=path)
        return Document(
            id=document_id,
            text=extract.text,
            title=title or extract.title,
            file_type=stored_type,
            blocks=extract.blocks,
            pages=extract.pages,
            notes=extract.notes,
            stored=stored | access,
        )

    def _extracted(self, content: bytes, suffix: str) -> Extract | Document:
        """What is read out of the content. A process of its own guards against parsers; plain text needs none."""
        if suffix == ".txt":
            return read_file(content, suffix, limits=self._files)
        found = list(self._reader.documents(content, Place("", "", ""), suffix))
        (document,) = found  # none of these formats holds several
        if isinstance(document, Failure):
            raise DocumentError(document.reason)
        return document

    def _attributes(self, given: Any, *, path: str) -> dict[str, Any]:
        stored: dict[str, Any] = {}
        for number, attribute in enumerate(given):
            place = f"{path}[{number}]"
            name = text(attribute, "Key", most=_FIELD, path=f"{place}.Key")
            member, value = read_value(attribute.get("Value"), path=f"{place}.Value", limits=self._limits)
            if name == _JOB:  # which run of a data source brought it: there are none here
                continue
            if name in stored:
                raise InvalidRequest(f"The attribute {name!r} is there twice - at `{place}.Key`", path=place)
            if name in _SET_HERE:
                raise InvalidRequest(
                    f"The attribute {name!r} is not for documents to set - at `{place}.Key`", path=place
                )
            field = self._schema.fields.get(name)
            if field is None:
                self.types[name] = self._new_type(name, member, path=f"{place}.Key")
                stored[name] = list(value) if isinstance(value, tuple) else value
                continue
            fitting = operand(field, member, value, path=f"{place}.Value")
            stored[name] = list(fitting) if isinstance(fitting, tuple) else fitting
            if name == DATA_SOURCE_ID:
                text({"id": value}, "id", most=100, pattern=ID, path=f"{place}.Value")
        return stored

    def _new_type(self, name: str, member: str, *, path: str) -> AttributeType:
        """The type of an attribute that the index does not have yet; only an open one gets it."""
        if not self._open or name.startswith("_"):
            # In the words of the service, two spaces included: programs are known to look for them.
            raise InvalidRequest(
                f"No document metadata configuration found for document attribute key  {name}.", path=path
            )
        types: dict[str, AttributeType] = {
            "StringValue": "STRING_VALUE",
            "StringListValue": "STRING_LIST_VALUE",
            "LongValue": "LONG_VALUE",
            "DateValue": "DATE_VALUE",
        }
        known = self.types.get(name, types[member])
        if known != types[member]:
            raise unexpected(f"a {known} for {name!r}, as in another document", member, path=path)
        return known

    def _access(self, members: Mapping[str, Any], *, path: str) -> dict[str, Any]:
        configuration = members.get("AccessControlConfigurationId")
        if configuration is not None:
            Configurations(self._notes).get(configuration, path=f"{path}.AccessControlConfigurationId")
        access: AccessList = read_access(members, limits=self._limits, path=path)
        self.levels = max(self.levels, len(access.levels))
        return access_metadata(access, configuration=configuration)

    def _content(self, members: Mapping[str, Any], *, path: str) -> tuple[bytes, str]:
        """The bytes of a document, and the name of the file that they are from, empty when they came themselves."""
        blob: Any = members.get("Blob")
        named = members.get("S3Path")
        if (blob is None) == (named is None):
            raise unexpected("exactly one of Blob and S3Path", "none" if blob is None else "both", path=path)
        most = self._limits.document_bytes or _UNLIMITED
        if named is not None:
            content = read_named_file(self._folders, named, most=most, path=f"{path}.S3Path")
            return content, str(named["Key"])
        raw: Any = blob.read() if hasattr(blob, "read") else blob
        content = raw.encode() if isinstance(raw, str) else bytes(raw)
        if len(content) > most:
            raise unexpected(f"at most {most:,} bytes", f"{len(content):,}", path=f"{path}.Blob")
        return content, ""


def _content_type(members: Mapping[str, Any], content: bytes, name: str, *, path: str) -> str:
    """The content type that is given, or else that of the file's name, or else what the content looks like."""
    given = members.get("ContentType")
    kind = choice(members, "ContentType", CONTENT_TYPES, path=path) if given is not None else _named_type(name)
    return kind or _looks_like(content)


def _named_type(name: str) -> str:
    """The content type that a file's name tells, empty when it tells none."""
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES:
        return next((kind for kind, (_, stored) in _SUFFIXES.items() if stored == file_type(suffix)), "")
    return _OTHER_NAMES.get(suffix, "")


def _looks_like(content: bytes) -> str:
    if content.startswith(b"%PDF-"):
        return "PDF"
    if content.startswith(b"{\\rtf"):
        return "RTF"
    if content.startswith(b"PK\x03\x04"):
        # The names of the parts stand in the archive as they are.
        return next((kind for part, kind in _PARTS.items() if part in content), "MS_WORD")
    head = content[:_SNIFFED].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    return "PLAIN_TEXT"
