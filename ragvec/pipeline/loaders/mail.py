"""E-mail: a letter (eml) with what is attached to it, and a box of letters (mbox)."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone
from email.message import EmailMessage
from pathlib import PurePosixPath
from typing import Any

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.formats import read_file
from ragvec.pipeline.loaders.place import Opener, Place
from ragvec.pipeline.loaders.source import Content, source_bytes

__all__ = ["load_eml", "load_mbox"]

_FROM = re.compile(rb"^From .*\r?\n", re.MULTILINE)
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
# What the standard library's parser, which is lenient, still stumbles over in a broken letter.
_DAMAGE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError)
_PARTS = 1_000
"""Bodies and attachments of one letter; more is no letter."""
_LONG = 500
"""Of a header, in characters: the rest is left out, as of the title."""


def load_eml(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    """A letter: its plain text, or else its HTML, as a document with the subject as title; attachments are documents of
    their own, below it.

    Attributes: `authors` (From), `recipients` (To and Cc), `created_at` (Date), `message_id`. A picture in the text is
    no attachment; an attachment that cannot be read is a failure. A letter without words, but with attachments, is
    those.

    Raises:
        DocumentError: it is no letter, or a limit is passed.
    """
    yield from _letter(source_bytes(content, opener.limits), place, opener)


def load_mbox(content: Content, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    """The letters of a box, each known by its Message-ID, or its number from 1 where it has none or one that came
    before.

    Raises:
        DocumentError: it is no box of letters, or a limit is passed.
    """
    raw = source_bytes(content, opener.limits)
    starts = [match for match in _FROM.finditer(raw) if _parted(raw, match.start())]
    if not starts or raw[: starts[0].start()].strip():
        raise DocumentError("Expected a box of letters, which begins with a line `From …`, got another file")
    seen: set[str] = set()
    ends = [match.start() for match in starts[1:]] + [len(raw)]
    for number, (match, end) in enumerate(zip(starts, ends, strict=True), start=1):
        letter = _QUOTED_FROM.sub(rb"\1", raw[match.end() : end])
        name = _message_id(letter)
        if not name or name in seen:
            name = str(number)
        seen.add(name)
        below = place.below(name)
        yield from opener.member(letter, below, suffix=".eml")


def _parted(raw: bytes, at: int) -> bool:
    """Whether a blank line, or nothing, stands before: the sign that `From ` begins a letter and not a sentence."""
    before = raw[max(0, at - 4) : at].replace(b"\r", b"")
    return not before or before.endswith(b"\n\n") or at == 0


def _message_id(raw: bytes) -> str:
    head = raw[:64_000].replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    match = re.search(rb"^message-id:\s*<?([^\s<>]{1,250})>?", head, re.MULTILINE | re.IGNORECASE)
    return match[1].decode("ascii", "backslashreplace").replace("/", "_") if match else ""


def _letter(raw: bytes, place: Place, opener: Opener) -> Iterator[Document | Failure]:
    try:
        message = email.message_from_bytes(raw, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        subject = _header(message, "subject")
        attributes = _attributes(message)
        texts, attached = _parts(message)
    except _DAMAGE as error:
        raise DocumentError(f"Expected a letter, got a file that cannot be read as one: {error!r:.200}") from error
    if not message.keys():
        raise DocumentError("Expected a letter, which begins with lines such as `Subject: …`, got none of them")
    text = _body(texts, opener)
    if text.text or not attached:
        yield Document(
            id=place.id,
            text=text.text,
            title=subject or place.stem,
            uri=place.uri,
            file_type="eml",
            attributes=attributes,
            blocks=text.blocks,
            notes=text.notes,
        )
    names: Counter[str] = Counter()
    for number, part in enumerate(attached, start=1):
        name = _file_name(part, number)
        names[name] += 1
        if names[name] > 1:
            path = PurePosixPath(name)
            name = f"{path.stem}-{names[name]}{path.suffix}"
        below = place.below(name)
        try:
            content = _payload(part)
        except _DAMAGE as error:
            yield Failure(below.id, f"Expected an attachment that can be unpacked: {error!r:.200}", below.id)
            continue
        opener.unpacks(len(content))
        nested = part.get_content_type() == "message/rfc822"
        yield from opener.member(content, below, suffix=".eml" if nested else None)


def _parts(message: EmailMessage) -> tuple[list[EmailMessage], list[EmailMessage]]:
    """The parts that make the text, best last where they say the same, and those that are attached."""
    texts: list[EmailMessage] = []
    attached: list[EmailMessage] = []
    waiting: list[Any] = [message]
    count = 0
    while waiting:
        part = waiting.pop(0)
        count += 1
        if count > _PARTS:
            raise DocumentError(f"Expected at most {_PARTS:,} parts in a letter, got more")
        kind = part.get_content_type()
        if part.is_multipart() and kind != "message/rfc822":
            parts: list[Any] = list(part.iter_parts()) if isinstance(part, EmailMessage) else []
            if kind == "multipart/alternative":
                plain = [each for each in parts if each.get_content_type() == "text/plain" and _words(each)]
                rich = [each for each in parts if each.get_content_type() != "text/plain"]
                parts = plain[:1] or rich[:1]
            waiting[:0] = parts
        elif part.get_content_disposition() == "attachment" or kind == "message/rfc822":
            attached.append(part)
        elif kind in ("text/plain", "text/html") and not part.get_filename():
            texts.append(part)
        elif part.get_filename() and part.get_content_maintype() != "image":
            attached.append(part)
    return texts, attached


def _words(part: EmailMessage) -> bool:
    return bool(_payload(part).strip())


def _payload(part: EmailMessage) -> bytes:
    if part.get_content_type() == "message/rfc822":
        inner = part.get_payload(0)
        return inner.as_bytes() if isinstance(inner, EmailMessage) else b""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _body(texts: list[EmailMessage], opener: Opener) -> Extract:
    builder = TextBuilder(opener.limits)
    notes: list[str] = []
    for part in texts:
        raw = _payload(part)
        charset = str(part.get_content_charset() or "")
        if part.get_content_type() == "text/html":
            extract = read_file(_as_utf8(raw, charset), ".html", limits=opener.limits)
        else:
            text, note = decode(_as_utf8(raw, charset))
            notes += [note] if note else []
            extract = read_file(text.encode(), ".txt", limits=opener.limits) if text.strip() else Extract(text="")
        for block in extract.blocks:
            builder.add(extract.text[block.begin : block.end], block.kind, block.level)
    return builder.extract(notes=notes)


def _as_utf8(raw: bytes, charset: str) -> bytes:
    """The bytes as UTF-8 where they are what the letter says that they are; else as they come."""
    try:
        return raw.decode(charset or "utf-8").encode()
    except (LookupError, UnicodeError):
        return raw


def _header(message: EmailMessage, name: str) -> str:
    """What a header says; nothing where it breaks the rules so far that it cannot be read."""
    try:
        said = str(message.get(name) or "")
    except _DAMAGE:
        return ""
    words = " ".join(said.split()).encode("utf-8", "replace").decode()
    return words[:_LONG]


def _attributes(message: EmailMessage) -> dict[str, Any]:
    found: dict[str, Any] = {
        "authors": _people(message, "from"),
        "recipients": _people(message, "to", "cc"),
        "message_id": _header(message, "message-id").strip("<>"),
    }
    moment = _moment(_header(message, "date"))
    if moment is not None:
        found["created_at"] = moment
    return {name: value for name, value in found.items() if value}


def _people(message: EmailMessage, *names: str) -> list[str]:
    """The people of these headers, by name where they have one, the first hundred of them."""
    headers = [_header(message, name) for name in names]
    pairs = email.utils.getaddresses([header for header in headers if header])
    return list(dict.fromkeys(name or address for name, address in pairs if name or address))[:100]


def _moment(text: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _file_name(part: EmailMessage, number: int) -> str:
    given = str(part.get_filename() or "").replace("\\", "/").rpartition("/")[2].strip()
    name = given.encode("utf-8", "replace").decode().lstrip(".")[:200]
    if name:
        return name
    if part.get_content_type() == "message/rfc822":
        return f"letter-{number}.eml"
    kinds = {"text/plain": ".txt", "text/html": ".html", "application/pdf": ".pdf"}
    return f"attachment-{number}{kinds.get(part.get_content_type(), '')}"
