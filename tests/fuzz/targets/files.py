"""Files of every format that is loaded, read in this process with small limits."""

from __future__ import annotations

import functools
import io
import zipfile
from collections.abc import Callable

from ragvec.errors import DocumentError
from ragvec.limits import FileLimits
from ragvec.pipeline.attributes import named, typed
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import load
from ragvec.pipeline.loaders.formats import read_file
from tests.fuzz.harness import Target, scratch, scratch_file, told

__all__ = ["LIMITS", "TARGETS", "check_attributes", "reader"]

LIMITS = FileLimits(
    file_bytes=1 << 20,
    line_bytes=1 << 12,
    unpacked_bytes=1 << 20,
    pages=50,
    columns=200,
    characters=500_000,
    blocks=20_000,
    attribute_bytes=1 << 14,
    isolate=False,
)


def reader(suffix: str) -> Callable[[bytes], None]:
    """A target that reads the bytes as a file of this suffix."""

    def read(data: bytes) -> None:
        path = scratch_file(f"file{suffix}", data)
        try:
            extract = read_file(path, suffix, limits=LIMITS)
        except DocumentError as error:
            told(error)
            return
        extract.text.encode()
        assert len(extract.text) <= LIMITS.characters
        position = 0
        for block in extract.blocks:
            assert position <= block.begin < block.end <= len(extract.text)
            position = block.end
        assert list(extract.pages) == sorted(extract.pages)
        check_attributes(extract.attributes)

    return read


def check_attributes(attributes: dict[str, object]) -> None:
    """See that attributes are mapped and typed, or refused."""
    try:
        named(attributes)
        typed(Document(id="x", text="x", attributes=attributes), {"year": "LONG_VALUE", "date": "DATE_VALUE"})
    except DocumentError as error:
        told(error)


def jsonl(data: bytes) -> None:
    path = scratch_file("file.jsonl", data)
    for item in load(path, limits=LIMITS):
        if isinstance(item, Failure):
            assert len(item.reason) < 5_000, "a message quotes without end"
        else:
            item.text.encode()
            check_attributes(item.attributes)


def sidecar(data: bytes) -> None:
    """A file of attributes beside documents."""
    folder = scratch() / "documents"
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_text("text")
    path = scratch_file("attributes.jsonl", data)
    try:
        items = list(load(folder, attributes=path, limits=LIMITS))
    except DocumentError as error:
        told(error)
    else:
        assert len(items) == 1


@functools.cache
def _docx() -> tuple[bytes, ...]:
    """A small document, and one whose parts are stored, so that changes of the file are changes of the XML."""
    import docx

    document = docx.Document()
    document.add_heading("Title", level=1)
    document.add_paragraph("Words.", style="List Bullet")
    table = document.add_table(rows=2, cols=2)
    table.cell(0, 0).text, table.cell(1, 1).text = "a", "b"
    packed = io.BytesIO()
    document.save(packed)
    kept = {"[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/_rels/document.xml.rels"}
    plain = io.BytesIO()
    with zipfile.ZipFile(packed) as given, zipfile.ZipFile(plain, "w") as made:
        for name in given.namelist():
            if name in kept:
                made.writestr(name, given.read(name))
    return plain.getvalue(), packed.getvalue()


def word_xml(data: bytes) -> None:
    """The bytes as the main part of a docx file that is otherwise in order."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_docx()[1])) as given, zipfile.ZipFile(made, "w") as out:
        for name in given.namelist():
            out.writestr(name, data if name == "word/document.xml" else given.read(name))
    reader(".docx")(made.getvalue())


def _pdf(content: bytes, *, kids: bytes = b"3 0 R", extra: bytes = b"") -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count 1 >>" % kids,
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> "
        b"%s >> >>" % extra,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    head = b"xref\n0 6\n0000000000 65535 f \n"
    return out + head + table + b"trailer\n<< /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % len(out)


def pdf_content(data: bytes) -> None:
    """The bytes as the drawing of a page."""
    reader(".pdf")(_pdf(data))


_W = b'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_MARKDOWN = (
    b"---\ntitle: t\n---\n# H\n\n1. a\n   - b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    b"```\nx\n```\n<b>x</b>\n> q\n\n[l](u) ![i](u)\n"
)
_HTML = (
    b"<html lang=pt><head><meta charset=utf-8><title>T</title></head><body><h1>H</h1><ul><li>a<li>b</ul>"
    b"<ol start=3><li>c</ol><table><caption>c</caption><tr><th>a<th>b"
    b"<tr><td>1<td>2</table><pre>x</pre><br><img alt=i><script>s</script>"
)
_SEEDS: dict[str, tuple[bytes, ...]] = {
    ".txt": (
        b"A\n\ntext",
        b"\xef\xbb\xbfx",
        b"\xff\xfea\x00",
        b"\xff\xfe\x00\xd8",
        b"caf\xe9 " * 20,
        b"\x00",
        b"\r\n" * 9,
    ),
    ".md": (_MARKDOWN, b"[" * 3_000, b"> " * 500 + b"x", b"*a **a " * 200, b"<div>\n" * 300, b"999999999. x\n"),
    ".html": (
        _HTML,
        b"<div>" * 20_000 + b"x",
        b"<table><tr><td>" * 3_000 + b"x",
        b"<ol start=" + b"9" * 6_000 + b"><li>x",
        b'<meta charset="undefined">\xff',
        b'<meta charset="idna">\xff' + b"a" * 900,
        b'<meta charset="unicode_escape">\xff\\ud800',
        b'<meta charset="utf-7">\xff+AGE-',
        b"<!-- <!-- --",
        b"&#xd800; &#1114112; &#0;",
        b"<ul>" * 3_000 + b"<li>x",
        b"<title>" + b"a<b>" * 2_000,
    ),
    ".csv": (
        b"a,b\n1,2\n",
        b"a;b\n1;2\n",
        b'"x\ny",2\n"',
        b"," * 5_000,
        b'"' + b"h" * 9_000 + b'"\n' + b"x\n" * 3_000,
        b"x" * 200_000,
        b"a\x00b",
    ),
    ".pdf": (
        _pdf(b"BT /F1 12 Tf 72 720 Td (Words) Tj 0 -14 Td (more) Tj ET"),
        _pdf(b"", kids=b"2 0 R"),
        _pdf(b"/X Do", extra=b"/XObject << /X 4 0 R >>"),
        b"%PDF-1.7\nxref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 /Root 1 0 R /Prev 9 >>\nstartxref\n9\n%%EOF",
        b"%PDF-1.4\n" + b"[" * 5_000,
    ),
    ".docx": (b"PK\x05\x06" + bytes(18), b"PK\x03\x04"),
}
_WORD_XML = (
    b"<w:document %s><w:body><w:p><w:r><w:t>x</w:t></w:r></w:p></w:body></w:document>" % _W,
    b"<w:document %s><w:body><w:tbl><w:tr><w:tc><w:tcPr><w:gridSpan w:val='2000000000'/></w:tcPr><w:p/></w:tc></w:tr>"
    b"</w:tbl></w:body></w:document>" % _W,
    b"<w:document %s><w:body>%s%s</w:body></w:document>"
    % (_W, b"<w:tbl><w:tr><w:tc>" * 60, b"<w:p/></w:tc></w:tr></w:tbl>" * 60),
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><w:document %s><w:body><w:p><w:r><w:t>'
    b"&b;</w:t></w:r></w:p></w:body></w:document>" % _W,
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><w:document %s><w:body><w:p><w:r><w:t>'
    b"&a;</w:t></w:r></w:p></w:body></w:document>" % _W,
    b"<w:document %s><w:body><w:p><w:pPr><w:pStyle w:val='Heading1'/><w:numPr/></w:pPr></w:p></w:body></w:document>"
    % _W,
    b"",
)
_LINES = (
    b'{"id": "a", "text": "x", "title": "t", "year": 2020, "metadata": {"date": "2020-01-01"}}\n{"_id": 1, "text": ""}',
    b'{"text": "x", "n": ' + b"9" * 400 + b"}",
    b'{"text": "x", "n": 1e999}',
    b'{"text": "x", "created_at": "9999-12-31T23:59:59-23:59", "date": "0001-01-01T00:00+23:59"}',
    b'{"text": "x", "created_at": 1e308, "view_count": 1e300}',
    b'{"a":' * 2_000 + b"\n[1]\n\xff",
    b'{"text": "\xff"}',
    b'{"text": "\\ud800"}',
    b"x" * 9_000 + b"\n" + b'{"text": "y"}',
    b"{" + b",".join(b'"%d": 1' % number for number in range(300)) + b"}",
    b'{"text": "x", "' + b"n" * 3_000 + b'": 1, "_x": 1}',
    b'{"id": "' + b"i" * 3_000 + b'", "text": "x"}',
    b'\xef\xbb\xbf{"text": "x"}',
    b"\xff\xfe{\x00}\x00",
    b'{"text": "x", "access_groups": ["a", 1]}',
)


TARGETS = [
    *(Target(f"file_{suffix[1:]}", reader(suffix), seeds) for suffix, seeds in _SEEDS.items() if suffix != ".docx"),
    Target("file_docx", reader(".docx"), (*_SEEDS[".docx"], *_docx())),
    Target("word_xml", word_xml, _WORD_XML),
    Target(
        "pdf_content",
        pdf_content,
        (
            b"BT /F1 12 Tf 72 720 Td (Words) Tj ET",
            b"q " * 3_000,
            b"BT /F1 1e308 Tf 1e308 0 0 1e308 0 0 Tm (x) Tj ET",
            b"BI /W 1 ID x",
            b"BT /F1 12 Tf [(a) -99999999999 (b)] TJ ET",
        ),
    ),
    Target("jsonl", jsonl, _LINES),
    Target("sidecar", sidecar, (b'{"path": "a.txt", "id": "b", "title": "t"}', b'{"path": "../../x\\u0000"}', *_LINES)),
]
