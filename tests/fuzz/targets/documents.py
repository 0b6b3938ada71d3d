"""The formats that came later: office files, books, notebooks, letters, archives, records and source code; and every
chunker on what was read."""

from __future__ import annotations

import functools
import io
import warnings
import zipfile
from collections.abc import Callable
from email.message import EmailMessage

from ragvec.errors import DocumentError
from ragvec.pipeline.chunk import StructureChunker
from ragvec.pipeline.chunkers import ParentChunker, SemanticChunker, SentenceChunker, TokenChunker
from ragvec.pipeline.code_outline import code_outline
from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.embedders.hashing import HashingEmbedder
from ragvec.pipeline.loaders.opening import FileOpener
from ragvec.pipeline.loaders.place import Place
from tests.fuzz.harness import Target, scratch_file, text_of, told
from tests.fuzz.targets.files import LIMITS, check_attributes, reader

__all__ = ["TARGETS"]

CHUNKERS = (
    StructureChunker(max_tokens=20, overlap=5),
    TokenChunker(max_tokens=9, overlap=3),
    SentenceChunker(sentences=2, overlap=1, max_tokens=15),
    SemanticChunker(HashingEmbedder(8), max_tokens=20),
    ParentChunker(StructureChunker(max_tokens=40), TokenChunker(max_tokens=7, overlap=2)),
)


def opened(suffix: str) -> Callable[[bytes], None]:
    """A file that may hold many documents, on the disk and in memory."""

    def read(data: bytes) -> None:
        path = scratch_file(f"file{suffix}", data)
        place = Place(f"file{suffix}", path.as_uri(), path.name)
        found: list[list[str]] = []
        for content in (path, data):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    items = list(FileOpener(LIMITS).open(content, place, suffix))
            except DocumentError as error:
                told(error)
                found.append([error.message])
                continue
            found.append([item.id if isinstance(item, Document) else item.source for item in items])
            for item in items:
                if isinstance(item, Failure):
                    assert item.reason.startswith("Expected"), item
                    assert "breaks its reader" not in item.reason, item
                else:
                    check_attributes(item.attributes)
        assert found[0] == found[1]

    return read


def code(data: bytes) -> None:
    text = text_of(data)
    for suffix in (".py", ".ts", ".rb", ".toml", ".php"):
        covered, position = [False] * len(text), 0
        for block in code_outline(text, suffix):
            assert position <= block.begin < block.end
            position = block.end
            covered[block.begin : block.end] = [True] * (block.end - block.begin)
        assert all(seen or text[at].isspace() for at, seen in enumerate(covered)), suffix


def chunks(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    blocks = code_outline(text, ".ts") if data[:1] < b"\x50" else ()
    document = Document(id="d", text=text, blocks=blocks, pages=(0, len(text) // 2))
    for chunker in CHUNKERS:
        covered = [False] * len(text)
        for chunk in chunker.split(document):
            assert text[chunk.begin : chunk.end] == chunk.text
            covered[chunk.begin : chunk.end] = [True] * len(chunk.text)
        assert all(seen or text[at].isspace() for at, seen in enumerate(covered)), chunker.name


def _zip(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def _swapped(whole: bytes, name: str, data: bytes) -> bytes:
    """An archive with another member of this name."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as given, zipfile.ZipFile(made, "w") as out:
        for each in given.namelist():
            out.writestr(each, data if each == name else given.read(each))
    return made.getvalue()


@functools.cache
def _xlsx() -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["City", "Rate"])
    book.active.append(["Porto", 48])
    made = io.BytesIO()
    book.save(made)
    return made.getvalue()


@functools.cache
def _pptx() -> bytes:
    import pptx

    shown = pptx.Presentation()
    slide = shown.slides.add_slide(shown.slide_layouts[1])
    slide.shapes.title.text = "T"
    slide.placeholders[1].text = "a\nb"
    made = io.BytesIO()
    shown.save(made)
    return made.getvalue()


def sheet_xml(data: bytes) -> None:
    """The bytes as a sheet of a workbook that is otherwise in order."""
    reader(".xlsx")(_swapped(_xlsx(), "xl/worksheets/sheet1.xml", data))


def slide_xml(data: bytes) -> None:
    """The bytes as a slide of a presentation that is otherwise in order."""
    reader(".pptx")(_swapped(_pptx(), "ppt/slides/slide1.xml", data))


def package_xml(data: bytes) -> None:
    """The bytes as the package of a book that is otherwise in order."""
    reader(".epub")(_swapped(_BOOK, "b.opf", data))


_CONTAINER = b'<container><rootfiles><rootfile full-path="b.opf"/></rootfiles></container>'
_PACKAGE = (
    b'<package xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title><dc:date>2020</dc:date>'
    b'<item id="a" href="a.html" media-type="text/html"/><itemref idref="a"/></package>'
)
_BOOK = _zip({"META-INF/container.xml": _CONTAINER, "b.opf": _PACKAGE, "a.html": b"<h1>One</h1><p>x"})
_S = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
_SHEETS = (
    b"<worksheet %s><dimension ref='A1:XFD1048576'/><sheetData><row r='1'><c r='A1' t='inlineStr'><is><t>x</t></is></c>"
    b"</row><row r='2'><c r='B2'><v>1e999</v></c><c r='C2' t='s'><v>99</v></c><c t='e'><v>#N/A</v></c></row>"
    b"</sheetData></worksheet>" % _S,
    b"<worksheet %s><sheetData><row r='1048576'><c r='XFD1048576'><v>1</v></c></row></sheetData></worksheet>" % _S,
    b"<worksheet %s><sheetData><row r='x'><c r='0'><v>x</v></c></row></sheetData></worksheet>" % _S,
    b"<worksheet %s><sheetData><row><c t='d'><v>9999-99-99</v></c><c s='9'><v>-1</v></c></row></sheetData></worksheet>"
    % _S,
)
_P = (
    b'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" '
    b'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)
_SLIDES = (
    b"<p:sld %s><p:cSld><p:spTree><p:sp><p:nvSpPr><p:cNvPr id='2' name='t'/><p:cNvSpPr/><p:nvPr><p:ph type='title'/>"
    b"</p:nvPr></p:nvSpPr><p:spPr/><p:txBody><a:p><a:r><a:t>x</a:t></a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld>"
    b"</p:sld>" % _P,
    b"<p:sld %s><p:cSld><p:spTree>%s%s</p:spTree></p:cSld></p:sld>"
    % (_P, b"<p:grpSp><p:nvGrpSpPr/><p:grpSpPr/>" * 80, b"</p:grpSp>" * 80),
    b"<p:sld %s/>" % _P,
)


def _letter() -> bytes:
    made = EmailMessage()
    made["Subject"], made["From"], made["Date"] = "S", "a@b", "Mon, 02 Mar 2026 10:00:00 +0100"
    made.set_content("text\n")
    made.add_alternative("<p>x</p>", subtype="html")
    made.add_attachment(b"a,b\n1,2", maintype="text", subtype="csv", filename="a.csv")
    return bytes(made)


_LETTERS = (
    _letter(),
    b"Subject: =?utf-8?q?=ff?=\nFrom: a\0b\nDate: 99\nContent-Type: text/plain; charset=x\n\nx",
    b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n"
    + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 50,
    b"Subject: s\nContent-Type: message/rfc822\n\n" * 20,
    b"Subject: s\nContent-Transfer-Encoding: base64\n\n!!!!",
    b'To: "' + b"(" * 3_000,
    b"Content-Type: text/html; charset=utf-7\nSubject: x\n\n+AGE-",
)
_BOX = b"From a\n" + _LETTERS[1] + b"\n\nFrom b\n" + _LETTERS[0]
_RECORDS = (
    b'[{"id": "a", "text": "x"}, {"text": "y", "n": 1e999}, 3]',
    b'{"items": [{"text": "x"}], "data": []}',
    b'{"a": {"b": [1, [2, {"c": null}]]}, "d": "' + b"x" * 300 + b'"}',
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'"\\ud800"',
    b"\xff\xfe[\x00]\x00",
)
_NOTEBOOKS = (
    b'{"cells": [{"cell_type": "markdown", "source": ["# H\\n", "x"]}, {"cell_type": "code", "source": "x"}]}',
    b'{"worksheets": [{"cells": [{"cell_type": "heading", "level": 99, "source": "x"}]}], "metadata": {"title": 3}}',
    b'{"cells": [[]]}',
    b'{"cells": [{"source": [1]}]}',
)
_RICH = (
    rb"{\rtf1\ansi{\fonttbl\f0 A;}\b x\par caf\'e9 \u8211?\par}",
    rb"{\rtf1\u-10179?\u-8704? \'zz \u99999999999999?",
    rb"{\rtf1" + b"{" * 3_000,
    rb"{\rtf1\bin99999999 x}",
    rb"{\rtf1\ansicpg99999 \'ff\fcharset999 x}",
)
_CODE = (
    b"class A:\n  @d\n  def f(self):\n    '''x'''\n    return 1\n",
    b"export class A<T> {\n  m(a) { return `}`; }\n}\nconst f = async (x) => { /* } */ };\n",
    b"[a]\nx = 1\n[[b.c]]\n",
    b"def f\n  x\nend\n",
    b"(" * 900,
    b"{" * 900 + b"}" * 900,
    b"a " * 900 + b"(",
    b"x = '" + b"\\" * 900,
    b"\r\n\t\x0b\x0cdef f(): pass\n",
    b"public " * 50 + b"static A<B<C>> f(" + b"a, " * 100 + b") {",
)
_TEXTS = (
    b"# A\n\nwords. More words! And (more).\n\n## B\n\n- a\n- b\n",
    "漢字。二。\u200b e\u0301 😀👩‍👧\n".encode() * 20,
    b"x" * 500,
    b" \n\t" * 90 + b"a" + b" " * 300 + b"b",
    b"fn a() {\n  b();\n}\n" * 9,
)

TARGETS = [
    Target("file_xlsx", reader(".xlsx"), (_xlsx(), b"PK\x05\x06" + bytes(18))),
    Target("file_pptx", reader(".pptx"), (_pptx(), b"PK\x05\x06" + bytes(18))),
    Target("file_epub", reader(".epub"), (_BOOK, _zip({"META-INF/container.xml": b"<a/>"}))),
    Target("file_ipynb", reader(".ipynb"), _NOTEBOOKS),
    Target("file_rtf", reader(".rtf"), _RICH),
    Target("file_py", reader(".py"), _CODE),
    Target("sheet_xml", sheet_xml, _SHEETS),
    Target("slide_xml", slide_xml, _SLIDES),
    Target("package_xml", package_xml, (_PACKAGE, b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', b"<a/>")),
    Target("file_json", opened(".json"), _RECORDS),
    Target("file_eml", opened(".eml"), _LETTERS),
    Target("file_mbox", opened(".mbox"), (_BOX, b"From \n\nFrom ")),
    Target(
        "file_zip",
        opened(".zip"),
        (
            _zip({"a.txt": b"x", "b/c.json": b'{"a": 1}', "d.eml": _letter(), "../e.md": b"# x"}),
            _zip({"a.zip": _zip({"a.zip": _zip({"a.zip": _zip({"a.zip": _zip({"a.txt": b"x"})})})})}),
        ),
    ),
    Target("code", code, _CODE),
    Target("every_chunker", chunks, (*_TEXTS, *_CODE)),
]
