"""A folder of files that want to harm whoever reads them, and the program that reads them and tells what that took.

    python -m tests.fuzz.hostile_files make FOLDER
    python -m tests.fuzz.hostile_files load FOLDER

The second loads them and prints JSON: what became of each, and the most memory that the loading process, and any that
it started, ever had. (It is another process than the first because a process counts what its parent had.)
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import zipfile
import zlib
from pathlib import Path

from ragvec.limits import FileLimits
from ragvec.pipeline.documents import Failure
from ragvec.pipeline.load import load

__all__ = ["LIMITS", "make", "main"]

MB = 1 << 20
LIMITS = FileLimits(
    file_bytes=40 * MB,
    line_bytes=2 * MB,
    unpacked_bytes=30 * MB,
    pages=1_000,
    columns=1_000,
    characters=4_000_000,
    blocks=200_000,
    seconds=1.0,
    memory_bytes=300 * MB,
)
_W = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << %s >> >>"
_ONE_PAGE = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
_FONT = b"/Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >>"


def make(folder: Path) -> None:
    """Write the files."""
    for name, pieces in _plain().items():
        with (folder / name).open("wb") as file:
            for piece, count in pieces:
                for _ in range(count):
                    file.write(piece)
    for name, parts in _archives().items():
        _docx(folder / name, parts)
    for name, objects in _pdfs().items():
        (folder / name).write_bytes(_pdf(objects))
    for name, members in _containers().items():
        _zip(folder / name, members)
    _not_files(folder)


def _plain() -> dict[str, list[tuple[bytes, int]]]:
    return {
        "large.txt": [(b"x" * MB, 41)],
        "long.txt": [(b"x" * MB, 39)],
        "newlines.txt": [(b"a\n" * (MB // 4), 6)],
        "nul.txt": [(b"\0" * 1000, 1)],
        "half-utf16.txt": [(b"\xff\xfe\x00\xd8", 1)],
        "wide.csv": [(b"column," * 1_000_000, 1), (b"\n" + b"1," * 1_000_000, 1)],
        "commas.csv": [(b"," * MB, 39)],
        "amplified.csv": [(b'"' + b"h" * 100_000 + b'"\n', 1), (b"x\n", 100_000)],
        "cell.csv": [(b"name,text\na,", 1), (b"x" * MB, 1)],
        "long.jsonl": [(b'{"text": "', 1), (b"x" * MB, 30), (b'"}\n{"id": "after", "text": "fine"}\n', 1)],
        "deep.jsonl": [(b'{"a":' * 100_000 + b"\n", 1), (b'{"id": "below", "text": "fine", "x": "', 1), (b'"}', 1)],
        "carried.jsonl": [(b'{"id": "x", "text": "t", "a": "' + b"x" * 300_000 + b'"}', 1)],
        "deep.html": [(b"<div>" * 100_000 + b"found<table><tr><td>" * 1, 1), (b"<table><tr><td>" * 20_000, 1)],
        "quadratic.html": [(b"<a " * 400_000, 1)],
        "number.html": [(b"<ol start=" + b"9" * 6_000 + b"><li>found", 1)],
        "undefined.html": [(b'<meta charset="undefined">found \xe9', 1)],
        "idna.html": [(b'<meta charset="idna">found \xe9' + b"a" * 100_000, 1)],
        "brackets.md": [(b"[" * 50_000, 1)],
        "quotes.md": [(b"> " * 50_000 + b"found", 1)],
        "deep.json": [(b"[" * 100_000, 1)],
        "wide.json": [(b'{"a": [', 1), (b"[1],", 5_000_000), (b"1]}", 1)],
        "boxes.mbox": [(b"From a\n\n", 1), (b"Subject: s\n\n\nFrom a\n\n", 3_000)],
        "nested.eml": [(b"Subject: s\nContent-Type: message/rfc822\n\n", 3_000)],
        "deep.py": [(b"(" * 100_000, 1)],
        "braces.ts": [(b"{" * MB, 1), (b"\nfunction found() {", 1)],
        "groups.rtf": [(b"{\\rtf1 ", 1), (b"{" * MB, 1), (b"found", 1)],
        "cut.docx": [(b"PK\x03\x04" + bytes(90), 1)],
        "fine.txt": [(b"found", 1)],
    }


def _document(body: bytes, before: bytes = b"") -> bytes:
    return b'<?xml version="1.0"?>%s<w:document %s><w:body>%s</w:body></w:document>' % (before, _W, body)


def _words(text: bytes) -> bytes:
    return b"<w:p><w:r><w:t>%s</w:t></w:r></w:p>" % text


def _archives() -> dict[str, dict[str, bytes]]:
    laughs = b'<!ENTITY a "lol">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + at, b"&%c;" % (97 + at) * 10) for at in range(10)
    )
    secret = b'<!ENTITY a SYSTEM "file:///etc/hostname"><!ENTITY b SYSTEM "http://127.0.0.1:9/">'
    cell = b"<w:tbl><w:tr><w:tc>%s<w:p/></w:tc></w:tr></w:tbl>"
    spanned = b'<w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val="2000000000"/></w:tcPr><w:p/></w:tc></w:tr></w:tbl>'
    nested = b""
    for _ in range(80):
        nested = cell % nested
    main = "word/document.xml"
    return {
        "bomb.docx": {main: _document(_words(b"a" * (60 * MB)))},
        "paragraphs.docx": {main: _document(b"<w:p/>" * 4_000_000)},
        "parts.docx": {main: _document(_words(b"x")), **{f"x/{number}": b"" for number in range(10_001)}},
        "inner.docx": {main: _document(_words(b"found")), "word/embeddings/inner.zip": b"PK" + bytes(MB)},
        "laughs.docx": {main: _document(_words(b"&k;"), b"<!DOCTYPE x [%s]>" % laughs)},
        "secrets.docx": {main: _document(_words(b"&a;&b;found"), b"<!DOCTYPE x [%s]>" % secret)},
        "spanned.docx": {main: _document(spanned)},
        "nested.docx": {main: _document(nested)},
    }


def _containers() -> dict[str, dict[str, bytes]]:
    entities = b'<!DOCTYPE x [<!ENTITY a "found">]><container>&a;</container>'
    inner = {"a.txt": b"found"}
    for level in range(5):
        inner = {f"{level}.zip": _packed(inner), f"{level}.txt": b"found"}
    return {
        "bomb.zip": {"a.txt": b"0" * (60 * MB)},
        "deep.zip": inner,
        "good.zip": {"a.txt": b"found", "../../b.txt": b"found", "c.zip": b"PK\x03\x04"},
        "bomb.xlsx": {"xl/worksheets/sheet1.xml": b"0" * (60 * MB)},
        "bomb.pptx": {"ppt/slides/slide1.xml": b"0" * (60 * MB)},
        "laughs.epub": {"META-INF/container.xml": entities},
    }


def _packed(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def _zip(path: Path, members: dict[str, bytes]) -> None:
    path.write_bytes(_packed(members))


def _docx(path: Path, parts: dict[str, bytes]) -> None:
    import docx

    packed = io.BytesIO()
    docx.Document().save(packed)
    with zipfile.ZipFile(packed) as given, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in given.namelist():
            if name not in parts:
                made.writestr(name, given.read(name))
        for name, data in parts.items():
            made.writestr(name, data)


def _stream(data: bytes, more: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(data), more, data)


def _pdfs() -> dict[str, list[bytes]]:
    drawn = b"BT /F1 12 Tf 72 720 Td " + b"(x) Tj " * (30 * MB)
    chained = b"a" * (40 * MB)
    for _ in range(3):
        chained = zlib.compress(chained, 9)
    filters = b"/Filter [/FlateDecode /FlateDecode /FlateDecode]"
    form = b"/Type /XObject /Subtype /Form /Resources << /XObject << /X 4 0 R >> >>"
    page = _PAGE % _FONT
    return {
        "bomb.pdf": [_CATALOG, _ONE_PAGE, page, _stream(zlib.compress(drawn, 9), b"/Filter /FlateDecode")],
        "chained.pdf": [_CATALOG, _ONE_PAGE, page, _stream(chained, filters)],
        "slow.pdf": [_CATALOG, _ONE_PAGE, page, _stream(b"BT /F1 12 Tf " + b"(x) Tj " * 3_000_000)],
        "circle.pdf": [_CATALOG, b"<< /Type /Pages /Kids [2 0 R] /Count 1 >>"],
        "pages.pdf": [_CATALOG, b"<< /Type /Pages /Kids [%s] /Count 9 >>" % (b"3 0 R " * 2_000), page, _stream(b"")],
        "deep.pdf": [_CATALOG, _ONE_PAGE, b"[" * 100_000],
        "forms.pdf": [_CATALOG, _ONE_PAGE, _PAGE % b"/XObject << /X 4 0 R >>", _stream(b"/X Do /X Do", form)],
    }


def _pdf(objects: list[bytes]) -> bytes:
    out, places = io.BytesIO(b"%PDF-1.7\n"), []
    out.seek(0, io.SEEK_END)
    for number, each in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, each))
    table = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (len(objects) + 1, table))
    return out.getvalue()


def _not_files(folder: Path) -> None:
    """What is in a folder and no file, and names that are no UTF-8, as far as this system has them."""
    with contextlib.suppress(OSError, AttributeError):
        os.mkfifo(folder / "pipe.txt")
    for name, target in (
        ("zero.txt", "/dev/zero"),
        ("circle.txt", "circle.txt"),
        ("gone.txt", "nowhere"),
        ("up", ".."),
    ):
        with contextlib.suppress(OSError):
            (folder / name).symlink_to(target)
    for raw in (b"caf\xe9.txt", b"caf\xea.txt"):
        with contextlib.suppress(OSError):
            (folder / os.fsdecode(raw)).write_bytes(b"found")


def _own_peak() -> int:
    """The most memory that this process has had, in the unit of ru_maxrss; on Linux that would count what had started
    it too."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (peak,) = (line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(peak)


def main(folder: Path) -> None:
    import resource

    loaded, failed = {}, {}
    for item in load(folder, limits=LIMITS):
        if isinstance(item, Failure):
            failed[item.source] = item.reason
        else:
            loaded[item.id] = item.text[-20:]
    unit = 1 if sys.platform == "darwin" else 1024
    own, readers = _own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(json.dumps({"loaded": loaded, "failed": failed, "own": own * unit, "readers": readers * unit}))


if __name__ == "__main__":
    {"make": make, "load": main}[sys.argv[1]](Path(sys.argv[2]))
