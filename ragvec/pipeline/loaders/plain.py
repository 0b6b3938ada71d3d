"""Plain text files, and front matter, which several text formats may begin with."""

from __future__ import annotations

import re
from typing import Any

from ragvec.limits import FileLimits
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.source import Content, refused, source_bytes
from ragvec.pipeline.outline import heading_label, outline

__all__ = ["front_matter", "load_text"]

_FRONT = re.compile(r"---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$")
_PAIR = re.compile(r"([A-Za-z_][\w -]*):(?:\s+(.*))?$")


def load_text(content: Content, limits: FileLimits) -> Extract:
    """A text file as it is, line ends aside; its title is its first heading, if that opens it.

    Raises:
        DocumentError: it is no text, or a limit is passed.
    """
    text, note = decode(source_bytes(content, limits))
    if len(text) > limits.characters:
        raise refused("characters", most=limits.characters, got=f"{len(text):,}", unit="characters in a document")
    blocks = outline(text)
    opening = blocks[0] if blocks and blocks[0].kind == "heading" else None
    return Extract(
        text=text,
        title=heading_label(text, opening) if opening else "",
        blocks=blocks,
        notes=(note,) if note else (),
    )


def front_matter(text: str) -> tuple[dict[str, Any], str]:
    """Split off the front matter: its plain `name: value` pairs and lists of words, and the text after it.

    This is not a YAML parser: nested values are left out. Numbers, `true` and `false` are recognised; a `version` stays
    text.
    """
    match = _FRONT.match(text)
    if match is None:
        return {}, text
    found: dict[str, Any] = {}
    name = ""
    for line in match[1].splitlines():
        pair = _PAIR.match(line)
        if pair:
            name, value = pair[1].strip(), (pair[2] or "").strip()
            if value.startswith("[") and value.endswith("]"):
                found[name] = [_unquoted(part) for part in value[1:-1].split(",") if part.strip()]
            elif value:
                found[name] = _unquoted(value) if name == "version" else _scalar(value)
        elif name and line.strip().startswith("- "):
            items = found.setdefault(name, [])
            if isinstance(items, list):
                items.append(_unquoted(line.strip()[2:]))
    return found, text[match.end() :]


def _scalar(value: str) -> str | int | float | bool:
    if value in ("true", "false"):
        return value == "true"
    if _NUMBER.match(value):
        return float(value) if "." in value else int(value)
    return _unquoted(value)


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
