"""Structure found in source code: what it defines, by syntax, and groups of lines in between.

Python is parsed. Of languages with braces it is known which braces open a class and which a body, strings and comments
skipped; of others, definitions are known by their words and their indentation. That is enough to cut where a programmer
would; what is overlooked stays in the section before.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

import msgspec

from ragvec.pipeline.documents import Block

__all__ = ["BRACES", "INDENTED", "SETTINGS", "code_outline"]

BRACES = (
    ".js",
    ".mjs",
    ".cjs",
    ".jsx",
    ".ts",
    ".tsx",
    ".java",
    ".go",
    ".rs",
    ".c",
    ".h",
    ".cc",
    ".cpp",
    ".cxx",
    ".hh",
    ".hpp",
    ".cs",
    ".php",
    ".swift",
    ".kt",
    ".kts",
    ".scala",
    ".dart",
    ".groovy",
    ".proto",
    ".css",
    ".scss",
)
"""Suffixes of languages that divide by braces."""
INDENTED = (
    ".rb",
    ".lua",
    ".sh",
    ".bash",
    ".zsh",
    ".pl",
    ".pm",
    ".r",
    ".jl",
    ".ex",
    ".exs",
    ".sql",
    ".ps1",
    ".hs",
    ".ml",
    ".clj",
    ".el",
    ".vb",
    ".f90",
)
"""Suffixes of those that divide by words and indentation."""
SETTINGS = (".toml", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".properties", ".env", ".tf")
"""Suffixes of files of settings, in sections."""

_GROUP = 12
"""Lines that stay together where no blank line parts them."""
_LABEL = 120
_HEAD = 600
"""Of a line in which a definition is looked for, in characters."""

_CONTAINER = re.compile(
    r"^\s*(?:(?:export|default|public|private|protected|internal|abstract|final|static|sealed|partial"
    r"|pub(?:\([\w ]+\))?|unsafe|data|open|inline|declare|async|readonly|virtual|case|companion|typedef"
    r"|template\s*<[^>]{0,200}>)\s+){0,6}"
    r"(?:class|struct|interface|enum|trait|impl(?:\s*<[^>]{0,200}>)?|namespace|module|object|record|protocol|extension"
    r"|union|mod|message|service|actor|mixin)\b\s*(?P<name>[A-Za-z_$][\w$.:<>]{0,100})?"
)
_FUNCTION = re.compile(
    r"^\s*(?:[\w()]+\s+){0,6}(?:fn|func|function\s*\*?|fun|def|sub|init|rpc)\b\s*(?:\([^)]{0,200}\)\s*)?"
    r"(?P<name>[A-Za-z_$][\w$.]{0,100})\s*[(<\[]"
)
_GO_TYPE = re.compile(r"^\s*type\s+(?P<name>[A-Za-z_]\w{0,100})(?:\[[^\]]{0,200}\])?\s+(?:struct|interface)\b")
_ARROW = re.compile(
    r"^\s*(?:export\s+)?(?:default\s+)?(?:const|let|var)\s+(?P<name>[A-Za-z_$][\w$]{0,100})\s*(?::[^=]{0,200})?="
    r"\s*(?:async\s*)?(?:function\b|\([^()]{0,300}\)\s*(?::[^=]{0,100})?=>|[\w$]{1,60}\s*=>)"
)
_METHOD = re.compile(
    r"^\s*(?:@\w+(?:\([^)]{0,100}\))?\s+){0,4}(?:[\w<>\[\],.*&:?~]+\s+){0,8}[*&]*(?P<name>[A-Za-z_$~][\w$:~]{0,100})"
    r"\s*\([^;{}]{0,500}\)?[^;={}]{0,200}\{?\s*$"
)
_NOT_NAMES = frozenset(
    [
        "if",
        "for",
        "while",
        "switch",
        "catch",
        "return",
        "else",
        "do",
        "new",
        "throw",
        "try",
        "sizeof",
        "elif",
        "until",
        "match",
        "when",
        "using",
    ]
)
_WORDED = re.compile(
    r"^\s*(?:local\s+|private\s+|public\s+)?(?:(?:class|module|def|defp|defmodule|defmacro|function|sub|struct|package|proc"
    r"|macro)\s+(?P<name>[A-Za-z_][\w.:?!]{0,100})|(?P<shell>[A-Za-z_][\w-]{0,100})\s*\(\)\s*\{?\s*$"
    r"|(?P<r>[A-Za-z_.][\w.]{0,100})\s*(?:<-|=)\s*function\b"
    r"|(?i:create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:table|view|function|procedure|index|trigger)\s+"
    r"(?:if\s+not\s+exists\s+)?(?P<sql>[\w.\"`]{1,100})))"
)
_SECTION = re.compile(r"^(?:\[+(?P<name>[^\]\n]{1,100})\]+|(?P<key>[A-Za-z_][\w.-]{0,100}):)\s*(?:#.*)?$")
_LEADING = re.compile(r"^\s*(?://|/\*|\*|#|--|@|\"\"\"|;;)")


class _Definition(msgspec.Struct, frozen=True, gc=False):
    """Lines [first, last] that begin a definition, counted from 0."""

    first: int
    last: int
    level: int
    label: str


def code_outline(text: str, suffix: str) -> tuple[Block, ...]:
    """The blocks of a source file, in order; every character that is not white space is in exactly one of them.

    The lines that begin a class or function, with the comments and decorators above them, are a heading whose label is
    the name, one level deeper within a class. All other lines are code, in groups parted by blank lines.
    """
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    blocks: list[Block] = []
    position = 0
    for definition in _definitions(text, lines, suffix):
        first = definition.first
        while first > position and _LEADING.match(lines[first - 1]):
            first -= 1
        if first < position or definition.last < first:
            continue
        blocks.extend(_groups(lines, starts, position, first))
        blocks.extend(_block(lines, starts, first, definition.last + 1, definition))
        position = definition.last + 1
    blocks.extend(_groups(lines, starts, position, len(lines)))
    return tuple(blocks)


def _definitions(text: str, lines: list[str], suffix: str) -> list[_Definition]:
    if suffix in (".py", ".pyi"):
        found = _python(text)
        if found is not None:
            return found
        return list(_by_indent(lines, _WORDED))
    if suffix in BRACES:
        return list(_by_braces(lines, hashes=suffix == ".php"))
    if suffix in SETTINGS:
        return list(_by_indent(lines, _SECTION))
    return list(_by_indent(lines, _WORDED))


def _python(text: str) -> list[_Definition] | None:
    """What a Python file defines; None where it is not in the syntax of the running Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found: list[_Definition] = []
    waiting: list[tuple[ast.AST, int]] = [(tree, 1)]
    while waiting:
        node, level = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                first = min([child.lineno, *(each.lineno for each in child.decorator_list)])
                last = max(child.lineno, child.body[0].lineno - 1)
                found.append(_Definition(first - 1, last - 1, level, child.name[:_LABEL]))
                if isinstance(child, ast.ClassDef):
                    waiting.append((child, level + 1))
            elif isinstance(child, (ast.If, ast.Try, ast.With)):
                waiting.append((child, level))
    return sorted(found, key=lambda each: each.first)


def _by_braces(lines: list[str], *, hashes: bool) -> Iterator[_Definition]:
    """Definitions outside of bodies, by the braces around them."""
    opened: list[bool] = []  # for each open brace, whether it is that of a container
    pending: bool | None = None  # of a definition whose brace has not come yet, whether it is a container
    comment = ""
    for number, line in enumerate(lines):
        if len(line) > 2_000:
            comment = ""  # made by a program; nobody reads it
            continue
        bare, comment = _bare(line, comment, hashes=hashes)
        if all(opened) and bare.strip():
            head = bare[:_HEAD]
            container = _CONTAINER.match(head) or _GO_TYPE.match(head)
            match = container or _FUNCTION.match(head) or _ARROW.match(head) or _METHOD.match(head)
            name = match["name"] if match else None
            if match and (name or container) and not _is_statement(head, match):
                yield _Definition(number, number, 1 + len(opened), (name or head.strip(" {"))[:_LABEL])
                pending = container is not None
        for character in bare:
            if character == "{":
                opened.append(bool(pending))
                pending = None
            elif character == "}" and opened:
                opened.pop()
            elif character == ";":
                pending = None


def _is_statement(head: str, match: re.Match[str]) -> bool:
    """Whether what looks like a definition is a call or a declaration."""
    if match.re is not _METHOD:
        return match.re is _CONTAINER and head.rstrip().endswith(";")
    words = [*head[: match.start("name")].split(), match["name"]]
    return head.rstrip().endswith((";", ",")) or bool(_NOT_NAMES.intersection(words))


def _bare(line: str, comment: str, *, hashes: bool) -> tuple[str, str]:
    """The line without strings and comments, and what ends a comment that goes on: `*/` or nothing."""
    kept: list[str] = []
    at, quote = 0, ""
    while at < len(line):
        two = line[at : at + 2]
        if comment:
            end = line.find(comment, at)
            if end < 0:
                return "".join(kept), comment
            at, comment = end + len(comment), ""
        elif quote:
            at += 1 if line[at] != "\\" else 2
            if line[at - 1 : at] == quote:
                quote = ""
        elif two == "//" or (hashes and line[at] == "#"):
            break
        elif two == "/*":
            comment, at = "*/", at + 2
        elif line[at] in '"`' or (line[at] == "'" and line.find("'", at + 1, at + 200) > 0):
            quote, at = line[at], at + 1
        else:
            kept.append(line[at])
            at += 1
    return "".join(kept), comment


def _by_indent(lines: list[str], pattern: re.Pattern[str]) -> Iterator[_Definition]:
    """Lines that begin a definition, as deep as they are indented among each other."""
    indents: list[int] = []
    for number, line in enumerate(lines):
        match = pattern.match(line[:500])
        if match is None:
            continue
        indent = len(line) - len(line.lstrip())
        while indents and indents[-1] >= indent:
            indents.pop()
        indents.append(indent)
        name = next(group for group in match.groups() if group)
        yield _Definition(number, number, len(indents), name.strip('"`:')[:_LABEL])


def _groups(lines: list[str], starts: list[int], first: int, after: int) -> Iterator[Block]:
    """The lines [first, after) as code: parted at blank lines, and after some lines where they go back to the left."""
    begin = first
    for number in range(first, after):
        blank = not lines[number].strip()
        if blank:
            yield from _block(lines, starts, begin, number, None)
            begin = number + 1
        elif number - begin >= _GROUP * (1 if _indent(lines[number]) <= _indent(lines[begin]) else 2):
            yield from _block(lines, starts, begin, number, None)
            begin = number
    yield from _block(lines, starts, begin, after, None)


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _block(
    lines: list[str], starts: list[int], first: int, after: int, definition: _Definition | None
) -> Iterator[Block]:
    """The lines [first, after) as a block, without white space at its ends; nothing where there is nothing else."""
    while first < after and not lines[first].strip():
        first += 1
    while after > first and not lines[after - 1].strip():
        after -= 1
    if first >= after:
        return
    begin = starts[first] + _indent(lines[first])
    end = starts[after - 1] + len(lines[after - 1].rstrip())
    if definition is None:
        yield Block(begin, end, "code")
    else:
        yield Block(begin, end, "heading", definition.level, definition.label)
