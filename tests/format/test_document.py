"""docs/format.md says what the code does: names, versions and the example are compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reader

from ragvec.ann import faiss_segment, scann_segment, sealed
from ragvec.engine.local import identity, posting_runs
from ragvec.engine.local.catalog_rows import PROPERTIES, TABLES, row_checksum
from ragvec.engine.local.layout import APPLICATION_ID, FORMAT
from ragvec.search import page

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "format.md").read_text(encoding="utf-8")


def test_the_document_is_of_the_present_format() -> None:
    assert DOCUMENT.startswith(f"# The files of a store, format {FORMAT}\n")
    assert f"| {FORMAT} |" in DOCUMENT
    assert f"{APPLICATION_ID:#x}" in DOCUMENT
    versions = f"| {sealed._FORMAT}; ScaNN {scann_segment._FORMAT}, faiss {faiss_segment._FORMAT}; 1 |"
    assert versions in DOCUMENT
    assert f"| index.json, backup.json | `format` | {identity._FORMAT}, 1 |" in DOCUMENT
    assert f"version uint32 = {posting_runs._VERSION}" in DOCUMENT
    assert page._FORM.decode() in DOCUMENT


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_is_there_with_its_columns_in_their_order(table: object) -> None:
    assert isinstance(table, type(PROPERTIES))
    (line,) = re.findall(rf"^\| `{table.name}` \| (.*) \|$", DOCUMENT, re.MULTILINE)
    places = [re.search(rf"(?<![\w`]){column}\b", line) for column in table.columns]
    assert all(places), line
    assert sorted(places, key=lambda place: place.start() if place else 0) == places
    for column in table.columns[: table.keys]:
        assert f"**{column}**" in line


def test_the_example_of_a_checksum_is_right() -> None:
    assert (
        f'row ("u", "n", the blob `1`) of `properties` is {row_checksum(PROPERTIES, ("u", "n", b"1")):#x},' in DOCUMENT
    )


def test_every_file_of_the_golden_store_is_named(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(Path(__file__).parent / f"store-{FORMAT}.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
    for name in names:
        known = f"<first>-<last>{Path(name).suffix}" if Path(name).suffix in {".post", ".text"} else name
        assert known in DOCUMENT, f"docs/format.md does not name {name}"


def test_the_other_reader_uses_nothing_of_ragvec_and_stays_small() -> None:
    source = Path(reader.__file__).read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, re.MULTILINE))
    assert imported <= {"__future__", "collections", "itertools", "json", "numpy", "pathlib", "pyroaring", "sqlite3", "struct", "typing", "zlib"}  # fmt: skip  # noqa: E501
    assert len(source.splitlines()) <= 250
