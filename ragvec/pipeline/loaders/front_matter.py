"""Front matter: what stands between two lines `---` at the top of a text, in as much of YAML as people write there."""

from __future__ import annotations

import re
import textwrap
from typing import Any

import msgspec

__all__ = ["front_matter"]

_FRONT = re.compile(r"---[ \t]*\n(.*?)\n?(?<=\n)(?:---|\.\.\.)[ \t]*(?:\n|$)", re.DOTALL)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?$")
_PAIR = re.compile(r"([A-Za-z_][\w -]{0,100}|\"[^\"]{1,100}\"|'[^']{1,100}')[ \t]{0,20}:(?:[ \t]+(.*))?$")
_BLOCK = re.compile(r"([|>])[+-]?$")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_PART = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'|[^,\[\]{}\"']*")
_ABSENT = ("", "~", "null", "Null", "NULL")
_LEFT_OUT = "front matter: {} left out: expected text, number, boolean, date or list of texts"


def front_matter(text: str) -> tuple[dict[str, Any], str, tuple[str, ...]]:
    """Split off the front matter: its values by name, the text after it, and notes on what was left out.

    Values are texts (plain, quoted, or in blocks after `|` and `>`), numbers, `true` and `false`, and lists of texts.
    Nested values, and whatever else YAML has, are left out with a note; a `version` stays text.
    """
    match = _FRONT.match(text)
    if match is None:
        return {}, text, ()
    found: dict[str, Any] = {}
    notes: list[str] = []
    lines = match[1].split("\n")
    position = 0
    while position < len(lines):
        line = lines[position]
        pair = _PAIR.match(line.rstrip())
        if pair is None:
            if _bare(line):
                notes.append(_LEFT_OUT.format(repr(line[:60])))
            position += 1
            continue
        end = _end_of(lines, position + 1)
        name = _unquoted(pair[1].strip())
        value = _value(name, (pair[2] or "").strip(), lines[position + 1 : end])
        if isinstance(value, _Strange):
            notes.append(_LEFT_OUT.format(repr(name)))
        elif value is not None:
            found[name] = value
        position = end
    return found, text[match.end() :], tuple(notes)


class _Strange:
    """What is no value of an attribute."""


def _end_of(lines: list[str], position: int) -> int:
    """Where what belongs to a name ends: at the next line that is not indented, blank, or an item of a list."""
    while position < len(lines):
        line = lines[position]
        if line.strip() and not line.startswith((" ", "\t", "- ", "#")) and line.rstrip() != "-":
            break
        position += 1
    return position


def _value(name: str, value: str, below: list[str]) -> Any:
    if _BLOCK.match(_bare(value)):
        lines = textwrap.dedent("\n".join(below)).strip("\n").split("\n")
        return _folded(lines) if value[0] == ">" else "\n".join(lines).rstrip()
    quoted = value[:1] in ("'", '"')
    value = value if quoted else _bare(value)
    further = [bare for bare in map(_bare, below) if bare]
    if value[:1] == "[":
        return _items(" ".join([value, *further]))
    if value[:1] in ("{", "&", "*", "!", "|", ">", "%", "@", "`"):
        return _Strange()
    if value or quoted:
        return _scalar(name, " ".join([value, *further]))
    if not further:
        return None
    if all(line.startswith("- ") or line == "-" for line in further):
        items = [line[1:].strip() for line in further]
        plain = [item for item in items if item not in _ABSENT]
        if any(item[0] in "[{&*!|>-" or (_PAIR.match(item) and item[0] not in "\"'") for item in plain):
            return _Strange()
        return [_unquoted(item) for item in plain]
    return _Strange()


def _items(value: str) -> Any:
    """The texts of a list in brackets."""
    if not value.endswith("]"):
        return value
    inner, position, items = value[1:-1].strip(), 0, list[str]()
    while position < len(inner):
        match = _PART.match(inner, position)
        assert match is not None  # it also matches nothing
        position = match.end()
        while position < len(inner) and inner[position].isspace():
            position += 1
        if position < len(inner) and inner[position] != ",":
            return _Strange()
        if match[0].strip():
            items.append(_unquoted(match[0]))
        position += 1
        while position < len(inner) and inner[position].isspace():
            position += 1
    return items


def _scalar(name: str, value: str) -> str | int | float | bool | None:
    if value[:1] in ("'", '"'):
        end = value.rfind(value[0])
        if end > 0 and not _bare(value[end + 1 :]):
            value = value[: end + 1]
        return _unquoted(value)
    if value in _ABSENT:
        return None
    if name == "version":
        return value
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    if _NUMBER.match(value):
        return float(value) if "." in value else int(value)
    return value


def _folded(lines: list[str]) -> str:
    """Lines as paragraphs: a blank line parts them."""
    paragraphs = "\n".join(line.strip() for line in lines).split("\n\n")
    return "\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs).strip()


def _bare(line: str) -> str:
    """A line without the comment at its end."""
    return _COMMENT.sub("", line).strip()


def _unquoted(value: str) -> str:
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == "'":
        return value[1:-1].replace("''", "'")
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return msgspec.json.decode(value.encode("utf-8", "surrogatepass"), type=str)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return value[1:-1]
    return value
