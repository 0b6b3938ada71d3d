"""A folder as Amazon Kendra's S3 connector reads a bucket: documents, a metadata file for each, and an access file.

    documents/leave.pdf                        a document
    metadata/documents/leave.pdf.metadata.json what is known of it; without a metadata folder it stands beside it
    access.json                                who may see what lies below which prefix

(https://docs.aws.amazon.com/kendra/latest/dg/s3-metadata.html, .../s3-acl.html). A list in a document's own metadata
stands in place of what the access file says; of several prefixes the longest counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ragvec.errors import DocumentError
from ragvec.kendra.problems import shown

__all__ = ["METADATA_SUFFIX", "Described", "described_documents"]

METADATA_SUFFIX = ".metadata.json"

_MEMBERS = frozenset({"DocumentId", "Attributes", "AccessControlList", "Title", "ContentType"})
_SCHEME = "s3://"

StrPath: TypeAlias = "str | os.PathLike[str]"


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A document's file and what its metadata file says; `key` is its path below the folder, with `/`.

    `attributes` are by name, as JSON has them. `access` are entries {"Name", "Type", "Access"}, None for everybody.
    """

    key: str
    file: Path
    document_id: str
    title: str = ""
    content_type: str | None = None
    attributes: dict[str, Any] = {}
    access: tuple[dict[str, Any], ...] | None = None


def described_documents(
    folder: StrPath, *, prefix: str = "", metadata: StrPath | None = None, access: StrPath | None = None
) -> Iterator[Described]:
    """The documents in `folder` below the key `prefix`, in order of key; hidden files are left out.

    `metadata` is the folder of the metadata files, `access` the access file, both as paths of this machine.

    Raises:
        DocumentError: the folder does not exist, or a metadata or access file is not in its form; the message names it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DocumentError(f"Expected a folder of documents, got `{root}`, which is none", source=str(root))
    rules = _access_rules(Path(access)) if access is not None else {}
    apart = None if metadata is None else Path(metadata)
    for file in sorted(root.rglob("*")):
        key = file.relative_to(root).as_posix()
        if not file.is_file() or not key.startswith(prefix) or any(part.startswith(".") for part in key.split("/")):
            continue
        if file.name.endswith(METADATA_SUFFIX) or (apart is not None and file.is_relative_to(apart)):
            continue
        if access is not None and file.resolve() == Path(access).resolve():
            continue
        yield _described(file, key, (apart or root) / f"{key}{METADATA_SUFFIX}", rules)


def _described(file: Path, key: str, about: Path, rules: Mapping[str, tuple[dict[str, Any], ...]]) -> Described:
    given: dict[str, Any] = _object(about) if about.is_file() else {}
    unknown = sorted(given.keys() - _MEMBERS)
    if unknown:
        raise DocumentError(
            f"Expected {', '.join(sorted(_MEMBERS))} in `{about}`, got {shown(unknown[0])}", source=str(about)
        )
    for name, kind, words in (
        ("DocumentId", str, "text"),
        ("Title", str, "text"),
        ("ContentType", str, "text"),
        ("Attributes", dict, "an object"),
    ):
        if given.get(name) is not None and not isinstance(given[name], kind):
            raise DocumentError(
                f"Expected {words} for {name}, got {shown(given[name])} - in `{about}`", source=str(about)
            )
    own = given.get("AccessControlList")
    allowed = _entries(own, about) if own is not None else _rule_for(key, rules)
    return Described(
        key=key,
        file=file,
        document_id=given.get("DocumentId") or key,
        title=given.get("Title") or "",
        content_type=given.get("ContentType"),
        attributes=given.get("Attributes") or {},
        access=allowed,
    )


def _rule_for(key: str, rules: Mapping[str, tuple[dict[str, Any], ...]]) -> tuple[dict[str, Any], ...] | None:
    matching = [prefix for prefix in rules if key.startswith(prefix)]
    return rules[max(matching, key=len)] if matching else None


def _access_rules(file: Path) -> dict[str, tuple[dict[str, Any], ...]]:
    """Entries by prefix, without the bucket."""
    content = _decoded(file)
    if not isinstance(content, list):
        raise DocumentError(f"Expected a list of keyPrefix and aclEntries in `{file}`", source=str(file))
    rules = {}
    for number, rule in enumerate(content):
        if not isinstance(rule, dict) or rule.keys() != {"keyPrefix", "aclEntries"}:
            raise DocumentError(
                f"Expected an object with keyPrefix and aclEntries, got {shown(rule)} - in `{file}`, [{number}]",
                source=str(file),
            )
        prefix = str(rule["keyPrefix"])
        if prefix.startswith(_SCHEME):
            prefix = prefix.removeprefix(_SCHEME).partition("/")[2]
        rules[prefix] = _entries(rule["aclEntries"], file)
    return rules


def _entries(value: object, file: Path) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise DocumentError(f"Expected a list of access entries, got {shown(value)} - in `{file}`", source=str(file))
    return tuple(value)


def _object(file: Path) -> dict[str, Any]:
    content = _decoded(file)
    if not isinstance(content, dict):
        raise DocumentError(f"Expected a JSON object in `{file}`, got {shown(content)}", source=str(file))
    return content


def _decoded(file: Path) -> Any:
    try:
        return msgspec.json.decode(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except OSError as error:
        raise DocumentError(f"`{file}` cannot be read: {error}", source=str(file)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DocumentError(f"Expected JSON in `{file}`: {error!s:.300}", source=str(file)) from error
