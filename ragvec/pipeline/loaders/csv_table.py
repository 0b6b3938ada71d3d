"""Tables in text form (csv, tsv): one document, a row a line that names its columns."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.encodings import decode
from ragvec.pipeline.loaders.builder import Extract, TextBuilder
from ragvec.pipeline.loaders.source import Content, refused, source_bytes

__all__ = ["load_csv"]

_DELIMITERS = ",;\t|"


def load_csv(content: Content, limits: FileLimits) -> Extract:
    """A table whose first line names the columns. The delimiter is whichever of , ; tab | the file uses.

    The text begins with the names of the columns; then each row is a line "column: value; column: value", empty cells
    left out.

    Raises:
        DocumentError: a row cannot be parsed, or a limit is passed.
    """
    text, note = decode(source_bytes(content, limits))
    try:
        with _long_cells(limits.characters):
            reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text))
            rows = [row for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        if "field limit" in str(error):
            raise refused("characters", most=limits.characters, got="more", unit="characters in a document") from error
        raise DocumentError(f"Expected comma-separated values, got a file that breaks their rules: {error}") from error
    builder = TextBuilder(limits)
    if len(rows) > 1:
        builder.add("Columns: " + ", ".join(" ".join(name.split()) for name in rows[0] if name.strip()))
    builder.add_table(rows)
    return builder.extract(notes=[note] if note else [])


@contextmanager
def _long_cells(most: int) -> Iterator[None]:
    """Cells of up to `most` characters: the module's own limit, of 131,072, is one for the whole process."""
    before = csv.field_size_limit(most)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _delimiter(text: str) -> str:
    """The delimiter that divides the first lines into most columns, the same number in each."""
    sample = "".join(itertools.islice(io.StringIO(text), 50))
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        if widths and min(widths) > most and widths[0] >= max(widths) - 1:
            best, most = delimiter, min(widths)
    return best
