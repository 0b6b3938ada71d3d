"""EPUB books: their chapters in the order of reading, each an HTML page."""

from __future__ import annotations

import io
import posixpath
import zipfile
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.loaders.archive import ARCHIVE_DAMAGE, check_archive, member_bytes
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, source_bytes
from ragvec.pipeline.loaders.webpage import add_html

__all__ = ["load_epub"]

_PAGES = ("application/xhtml+xml", "text/html")
_NAVIGATION = "nav"


def load_epub(content: Content, limits: FileLimits) -> Extract:
    """A book: the text of its chapters, the table of contents left out. Title, authors, language and date are those of
    its package.

    Raises:
        DocumentError: the file is no EPUB, is protected, or a limit is passed.
    """
    packed = io.BytesIO(source_bytes(content, limits))
    builder = TextBuilder(limits)
    notes: dict[str, None] = {}
    try:
        check_archive(packed, limits)
        with zipfile.ZipFile(packed) as archive:
            if "META-INF/rights.xml" in archive.namelist():
                raise DocumentError("Expected a book that can be read, got one that is protected against copying")
            place = _package_place(archive)
            package = _xml(member_bytes(archive, place), place)
            for chapter in _spine(package, posixpath.dirname(place)):
                _, note = add_html(member_bytes(archive, chapter), builder, limits)
                notes.update({note: None} if note else {})
    except ARCHIVE_DAMAGE as error:
        raise DocumentError(f"Expected an EPUB book, got a file that cannot be read as one: {error!s:.300}") from error
    title = " ".join(_said(package, "title")[:1]) or builder.first_heading()
    return builder.extract(title=title, attributes=_attributes(package), notes=list(notes))


def _package_place(archive: zipfile.ZipFile) -> str:
    root = _xml(member_bytes(archive, "META-INF/container.xml"), "META-INF/container.xml")
    found = next((each.get("full-path") for each in root.iter() if _name(each) == "rootfile"), None)
    if not found:
        raise DocumentError("Expected an EPUB book, got one whose container names no package")
    return found


def _spine(package: ElementTree.Element, folder: str) -> list[str]:
    """The names in the archive of the chapters, in order."""
    items: dict[str, str] = {}
    for each in package.iter():
        if _name(each) == "item" and each.get("media-type") in _PAGES:
            if _NAVIGATION in (each.get("properties") or "").split():
                continue
            items[each.get("id") or ""] = posixpath.normpath(posixpath.join(folder, unquote(each.get("href") or "")))
    order = [each.get("idref") or "" for each in package.iter() if _name(each) == "itemref"]
    chapters = [items[name] for name in dict.fromkeys(order) if name in items]
    if not chapters:
        raise DocumentError("Expected an EPUB book, got one without chapters")
    return chapters


def _attributes(package: ElementTree.Element) -> dict[str, Any]:
    found: dict[str, Any] = {"authors": _said(package, "creator")}
    for name, element in (("language", "language"), ("created_at", "date"), ("publisher", "publisher")):
        said = _said(package, element)
        if said:
            found[name] = said[0].partition("-")[0].lower() if name == "language" else said[0]
    # A year alone is no date.
    if len(str(found.get("created_at", ""))) < len("2000-01-01"):
        found.pop("created_at", None)
    return {name: value for name, value in found.items() if value}


def _said(package: ElementTree.Element, name: str) -> list[str]:
    """What the package's metadata say under a name of the Dublin Core."""
    texts = [each.text or "" for each in package.iter() if _name(each) == name and "purl.org/dc" in str(each.tag)]
    return [" ".join(text.split())[:500] for text in texts if text.strip()]


def _name(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _xml(raw: bytes, name: str) -> ElementTree.Element:
    if b"<!ENTITY" in raw:
        # Entities of a book's own can grow without end; neither of these files needs any.
        raise DocumentError(f"Expected {name} without entities of its own, got some")
    try:
        return ElementTree.fromstring(raw)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DocumentError(f"Expected {name} to be XML: {error!s:.200}") from error
