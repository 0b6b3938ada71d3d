"""Source code and files of settings: as they are, structured by what they define."""

from __future__ import annotations

from collections.abc import Callable

from ragvec.limits import FileLimits
from ragvec.pipeline.code_outline import BRACES, INDENTED, SETTINGS, code_outline
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["CODE", "code_loader"]

CODE = (".py", ".pyi", *BRACES, *INDENTED, *SETTINGS)
"""The suffixes of these files; what they are called in `_file_type` is the same without the dot."""


def code_loader(suffix: str) -> Callable[[Content, FileLimits], Extract]:
    """A loader of files of this suffix: the text as it is, line ends aside.

    It raises DocumentError when a file is no text or passes a limit.
    """

    def load(content: Content, limits: FileLimits) -> Extract:
        text, note = decode(source_bytes(content, limits))
        if len(text) > limits.characters:
            raise refused("characters", most=limits.characters, got=f"{len(text):,}", unit="characters in a document")
        return Extract(text=text, blocks=code_outline(text, suffix), notes=(note,) if note else ())

    return load
