"""Files of one record a line, read a line at a time; every error names the file and, counted from 1, the line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ragvec.errors import DocumentError

__all__ = ["json_objects", "lines"]

_BOM = b"\xef\xbb\xbf"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) of each line that is not blank, without its end and without a byte order mark."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                line = (raw.removeprefix(_BOM) if number == 1 else raw).decode()
            except UnicodeDecodeError as error:
                source = f"{path}:{number}"
                raise DocumentError(f"Expected UTF-8: {error} - at {source}", source=source) from None
            if line.strip():
                yield number, line.rstrip("\r\n")


def json_objects(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`<file>:<line>`, object) of each line of a JSON Lines file that is not blank."""
    for number, line in lines(path):
        source = f"{path}:{number}"
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise DocumentError(f"Expected a JSON object: {error!s:.300} - at {source}", source=source) from None
        except RecursionError:
            raise DocumentError(
                f"Expected a JSON object, got one nested too deep - at {source}", source=source
            ) from None
        yield source, row
