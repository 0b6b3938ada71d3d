# mypy: disable-error-code="import-untyped"
"""Build and check the handbook data set.

The documents in Markdown, HTML, plain text and CSV are kept as they are. The Word and PDF documents are built from the
Markdown files under ``source/``; ``attributes.jsonl`` says which of the two a source becomes. After that
``manifest.json`` is written anew. The same sources give the same bytes, whenever and however often this runs.

    python datasets/handbook/build.py            build the Word and PDF documents and the manifest
    python datasets/handbook/build.py --check    change nothing, report what is wrong, exit 1 if anything is

Needs python-docx, reportlab, pypdf and beautifulsoup4.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import docx
from bs4 import BeautifulSoup
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from docx.table import Table as DocxTable
from pypdf import PdfReader
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepTogether, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Paragraph as PdfParagraph
from reportlab.platypus import Table as PdfTable

ROOT = Path(__file__).resolve().parent
COMPANY = "Tidewell Instruments Ltd."
DESCRIPTION = (
    "The internal handbook of a made-up company, with attributes, restricted and superseded pages, "
    "questions with evidence and graded relevance, and an FAQ."
)

BUILT_TYPES = ("docx", "pdf")
FILE_TYPES = ("csv", "docx", "html", "md", "pdf", "txt")
ACCESS_GROUPS = {"people-team", "managers", "finance", "security", "engineering", "executives"}
DEPARTMENTS = {
    "People", "Finance", "Engineering", "Security", "IT", "Product",
    "Quality", "Field Service", "Support", "Legal", "Facilities",
}  # fmt: skip
KINDS = {"fact", "how-to", "numeric", "comparison", "date", "policy", "paraphrase", "exception"}
ATTRIBUTE_FIELDS = {
    "id", "path", "title", "category", "department", "authors", "created_at", "last_updated_at",
    "file_type", "view_count", "version", "access_groups", "superseded_by", "near_duplicate_of",
}  # fmt: skip
QUESTION_FIELDS = {"id", "question", "answer", "evidence", "relevance", "kind"}
FAQ_FIELDS = ["_question", "_answer", "_category", "_source_uri", "department"]

FIRST_DAY, LAST_DAY = date(2020, 2, 1), date(2026, 9, 30)
WORDS = (200, 1200)
CSV_ROWS = (15, 60)
EVIDENCE_CHARACTERS = (40, 300)
MERGED_FILES = ("attributes.jsonl", "faq.csv", "questions.jsonl")

Record = dict[str, Any]


# --- Markdown -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """A run of text with one look."""

    text: str
    bold: bool = False
    italic: bool = False
    code: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the title of the document."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """A paragraph, its lines joined."""

    text: str


@dataclass(frozen=True)
class ListItem:
    """One item of a list; ``number`` is None in a bullet list and ``level`` is 0 on the outside."""

    text: str
    level: int
    number: int | None


@dataclass(frozen=True)
class Table:
    """A pipe table; ``header`` is empty when all of its cells are."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Code:
    """A fenced block."""

    text: str


Block = Heading | Paragraph | ListItem | Table | Code

_INLINE = re.compile(
    r"(?P<code>`[^`]+`)"
    r"|\*\*(?P<bold>\S(?:.*?\S)?)\*\*"
    r"|(?<![\w*])\*(?P<star>[^\s*](?:[^*]*[^\s*])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<line>[^\s_](?:[^_]*[^\s_])?)_(?!\w)"
    r"|\[(?P<link>[^\]]+)\]\([^)\s]+\)"
)
_ITEM = re.compile(r"(?P<indent> *)(?:[-*+]|(?P<number>\d+)[.)]) +(?:\[[ xX]\] +)?(?P<text>.*)")
_RULE = re.compile(r" *(?:-{3,}|\*{3,}|_{3,}) *")
_DELIMITER = re.compile(r"\|?(?: *:?-+:? *\|)+(?: *:?-+:? *)?")


def parse_inline(text: str, bold: bool = False, italic: bool = False) -> Iterator[Span]:
    """Split a line of Markdown into spans; marks are dropped and links keep their words only."""
    end = 0
    for match in _INLINE.finditer(text):
        if match.start() > end:
            yield Span(_unescape(text[end : match.start()]), bold, italic)
        if match["code"]:
            yield Span(match["code"][1:-1], bold, italic, code=True)
        elif match["bold"]:
            yield from parse_inline(match["bold"], True, italic)
        elif match["link"]:
            yield from parse_inline(match["link"], bold, italic)
        else:
            yield from parse_inline(match["star"] or match["line"], bold, True)
        end = match.end()
    if end < len(text):
        yield Span(_unescape(text[end:]), bold, italic)


def _unescape(text: str) -> str:
    return re.sub(r"\\([\\`*_{}\[\]()#+.!|<>-])", r"\1", text)


def plain(text: str) -> str:
    """Return a line of Markdown without its marks."""
    return "".join(span.text for span in parse_inline(text))


def _cells(line: str) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().removeprefix("|").removesuffix("|")))


def parse_markdown(text: str) -> list[Block]:
    """Parse headings, paragraphs, lists, pipe tables and fenced blocks; nothing else is used in the handbook."""
    blocks: list[Block] = []
    lines = text.splitlines()
    at = 0
    open_block = False  # the next plain line continues the block before it
    while at < len(lines):
        line = lines[at].rstrip()
        at += 1
        if line.startswith("```"):
            stop = next((i for i in range(at, len(lines)) if lines[i].startswith("```")), len(lines))
            blocks.append(Code("\n".join(lines[at:stop])))
            at, open_block = stop + 1, False
        elif not line or _RULE.fullmatch(line):
            open_block = False
        elif match := re.fullmatch(r"(#{1,6}) +(.*?)(?: +#+)?", line):
            blocks.append(Heading(len(match[1]), match[2]))
            open_block = False
        elif line.startswith("|") and at < len(lines) and _DELIMITER.fullmatch(lines[at].strip()):
            header = _cells(line)
            at += 1
            rows = []
            while at < len(lines) and lines[at].startswith("|"):
                rows.append(_cells(lines[at]))
                at += 1
            blocks.append(Table(header if any(header) else (), tuple(rows)))
            open_block = False
        elif match := _ITEM.fullmatch(line):
            number = int(match["number"]) if match["number"] else None
            blocks.append(ListItem(match["text"], min(len(match["indent"]) // 2, 1), number))
            open_block = True
        else:
            words = line.lstrip().removeprefix("> ").strip()
            last = blocks[-1] if open_block else None
            if isinstance(last, ListItem):
                blocks[-1] = ListItem(f"{last.text} {words}", last.level, last.number)
            elif isinstance(last, Paragraph):
                blocks[-1] = Paragraph(f"{last.text} {words}")
            else:
                blocks.append(Paragraph(words))
            open_block = True
    return blocks


# --- Word ---------------------------------------------------------------------------------------------------------


def build_docx(blocks: list[Block], attributes: Record) -> bytes:
    """Lay the blocks out as a Word document."""
    document = docx.Document()
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.4)
    section.top_margin = section.bottom_margin = Cm(2.2)
    normal = document.styles["Normal"]
    normal.font.name, normal.font.size = "Calibri", Pt(11)
    normal.paragraph_format.space_after = Pt(6)
    for level, size in ((1, 20), (2, 14), (3, 12)):
        style = document.styles[f"Heading {level}"]
        style.font.name, style.font.size, style.font.color.rgb = "Calibri", Pt(size), RGBColor(0x1F, 0x3A, 0x4D)
        fonts = style.element.rPr.rFonts
        for name in [name for name in fonts.attrib if name.endswith("Theme")]:
            del fonts.attrib[name]

    numbering: int | None = None
    for block in blocks:
        if not (isinstance(block, ListItem) and (block.number is not None or block.level)):
            numbering = None
        if isinstance(block, Heading):
            _docx_spans(document.add_paragraph(style=f"Heading {min(block.level, 3)}"), block.text)
        elif isinstance(block, Paragraph):
            _docx_spans(document.add_paragraph(), block.text)
        elif isinstance(block, ListItem):
            style_name = "List Bullet" if block.number is None else "List Number"
            paragraph = document.add_paragraph(style=style_name + (" 2" if block.level else ""))
            if block.number is not None and not block.level:
                if numbering is None:
                    numbering = _docx_new_list(document, block.number)
                properties = paragraph._p.get_or_add_pPr().get_or_add_numPr()
                properties.get_or_add_ilvl().val = 0
                properties.get_or_add_numId().val = numbering
            _docx_spans(paragraph, block.text)
        elif isinstance(block, Table):
            _docx_table(document, block)
        else:
            document.add_paragraph().add_run(block.text).font.name = "Consolas"

    footer = section.footer.paragraphs[0]
    footer.alignment = WD_ALIGN_PARAGRAPH.CENTER
    run = footer.add_run(_footer(attributes))
    run.font.size = Pt(8)

    core = document.core_properties
    core.title, core.author = attributes["title"], ", ".join(attributes["authors"])
    core.last_modified_by, core.category = attributes["authors"][-1], attributes["category"]
    core.subject, core.comments, core.keywords = attributes["department"], "", ""
    core.version, core.revision, core.language = attributes["version"], 1, "en-GB"
    core.created = datetime.fromisoformat(attributes["created_at"])
    core.modified = datetime.fromisoformat(attributes["last_updated_at"])
    core.last_printed = core.modified
    stream = io.BytesIO()
    document.save(stream)
    return _fixed_zip(stream.getvalue())


def _docx_spans(paragraph: Any, text: str) -> None:
    for span in parse_inline(text):
        run = paragraph.add_run(span.text)
        run.bold, run.italic = span.bold or None, span.italic or None
        if span.code:
            run.font.name = "Consolas"


def _docx_new_list(document: Any, start: int) -> int:
    """Make a numbering of its own for a list, since all "List Number" paragraphs share one otherwise."""
    style = document.styles["List Number"].element
    numbering = document.part.numbering_part.element
    shared = numbering.num_having_numId(style.pPr.numPr.numId.val)
    fresh = numbering.add_num(shared.abstractNumId.val)
    fresh.add_lvlOverride(ilvl=0).add_startOverride(start)
    return int(fresh.numId)


def _docx_table(document: Any, block: Table) -> None:
    rows = ([block.header] if block.header else []) + list(block.rows)
    width = max(len(row) for row in rows)
    table = document.add_table(rows=len(rows), cols=width, style="Table Grid")
    for row_number, row in enumerate(rows):
        for column, text in enumerate(row):
            cell = table.cell(row_number, column)
            paragraph = cell.paragraphs[0]
            paragraph.paragraph_format.space_after = Pt(2)
            is_header = bool(block.header) and row_number == 0
            _docx_spans(paragraph, f"**{plain(text)}**" if is_header and text else text)
            if is_header:
                shade = OxmlElement("w:shd")
                shade.set(qn("w:val"), "clear")
                shade.set(qn("w:fill"), "E4EBF0")
                cell._tc.get_or_add_tcPr().append(shade)
    if block.header:
        repeat = OxmlElement("w:tblHeader")
        table.rows[0]._tr.get_or_add_trPr().append(repeat)
    document.add_paragraph().paragraph_format.space_after = Pt(0)


def _fixed_zip(data: bytes) -> bytes:
    """Write a zip file again with the same members and no clock in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3
            member.external_attr = 0o644 << 16
            new.writestr(member, old.read(name))
    return stream.getvalue()


def _footer(attributes: Record) -> str:
    return f"{COMPANY}  |  {attributes['title']}  |  version {attributes['version']}, {attributes['last_updated_at']}"


# --- PDF ----------------------------------------------------------------------------------------------------------

_INK, _LINE, _SHADE = colors.HexColor(0x1F3A4D), colors.HexColor(0x9AA8B2), colors.HexColor(0xE4EBF0)


def _pdf_fonts() -> None:
    for name in ("Vera", "VeraBd", "VeraIt", "VeraBI"):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="VeraBd", italic="VeraIt", boldItalic="VeraBI")


def _pdf_markup(text: str) -> str:
    glyphs = pdfmetrics.getFont("Vera").face.charToGlyph
    parts = []
    for span in parse_inline(text):
        missing = sorted({character for character in span.text if ord(character) not in glyphs})
        if missing:
            raise ValueError(f"no glyph for {missing} in {span.text!r}")
        part = escape(span.text)
        for wanted, tag in ((span.bold, "b"), (span.italic or span.code, "i")):
            part = f"<{tag}>{part}</{tag}>" if wanted else part
        parts.append(part)
    return "".join(parts)


def build_pdf(blocks: list[Block], attributes: Record) -> bytes:
    """Lay the blocks out as a PDF document."""
    _pdf_fonts()
    body = ParagraphStyle("body", fontName="Vera", fontSize=9.5, leading=13.5, spaceAfter=6)
    cell = ParagraphStyle("cell", parent=body, fontSize=8, leading=10.5, spaceAfter=0)
    headings = {
        level: ParagraphStyle(
            f"heading{level}", parent=body, fontName="VeraBd", fontSize=size, leading=size * 1.3,
            spaceBefore=before, spaceAfter=5, textColor=_INK, keepWithNext=1,
        )
        for level, size, before in ((1, 16, 0), (2, 12, 9), (3, 10, 7))
    }  # fmt: skip

    edge = 2.3 * cm + 6  # a frame keeps 6 points free on each side
    flow: list[Flowable] = []
    for block in blocks:
        if isinstance(block, Heading):
            level = min(block.level, 3)
            flow.append(PdfParagraph(_pdf_markup(block.text), headings[level]))
        elif isinstance(block, ListItem):
            left = 20 + 18 * block.level
            style = ParagraphStyle(
                "item", parent=body, leftIndent=left, bulletIndent=left - 16, spaceAfter=3, bulletFontName="Vera"
            )
            bullet = "\N{BULLET}" if block.number is None else f"{block.number}."
            flow.append(KeepTogether([PdfParagraph(_pdf_markup(block.text), style, bulletText=bullet)]))
        elif isinstance(block, Table):
            flow += [_pdf_table(block, cell, A4[0] - 2 * edge), Spacer(1, 8)]
        else:
            flow.append(KeepTogether([PdfParagraph(_pdf_markup(block.text), body)]))

    def footer(canvas: Any, template: Any) -> None:
        canvas.saveState()
        canvas.setFont("Vera", 7)
        canvas.setFillColor(_INK)
        canvas.drawString(edge, 1.2 * cm, _footer(attributes))
        canvas.drawRightString(A4[0] - edge, 1.2 * cm, f"page {template.page}")
        canvas.restoreState()

    stream = io.BytesIO()
    SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=2.3 * cm, rightMargin=2.3 * cm, topMargin=2 * cm, bottomMargin=2.2 * cm,
        title=attributes["title"], author=", ".join(attributes["authors"]), subject=attributes["department"],
        creator=COMPANY, producer=COMPANY, lang="en-GB", invariant=1, pageCompression=1,
    ).build(flow, onFirstPage=footer, onLaterPages=footer)  # fmt: skip
    return stream.getvalue()


def _pdf_table(block: Table, style: ParagraphStyle, width: float) -> PdfTable:
    head = ParagraphStyle("head", parent=style, fontName="VeraBd")
    rows = ([block.header] if block.header else []) + list(block.rows)
    columns = max(len(row) for row in rows)
    rows = [row + ("",) * (columns - len(row)) for row in rows]
    weights = []
    for column in range(columns):
        texts = [plain(row[column]) for row in rows]
        longest_word = max((len(word) for text in texts for word in text.split()), default=1)
        weights.append(max(longest_word + 2, min(max(map(len, texts)), 45), 5))
    content = [
        [PdfParagraph(_pdf_markup(text), head if block.header and number == 0 else style) for text in row]
        for number, row in enumerate(rows)
    ]
    table = PdfTable(
        content, colWidths=[width * weight / sum(weights) for weight in weights], repeatRows=1 if block.header else 0
    )
    look: list[tuple[Any, ...]] = [
        ("GRID", (0, 0), (-1, -1), 0.4, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3.5),
    ]
    if block.header:
        look.append(("BACKGROUND", (0, 0), (-1, 0), _SHADE))
    table.setStyle(TableStyle(look))
    return table


# --- Reading ------------------------------------------------------------------------------------------------------


def collapse(text: str) -> str:
    """Replace every run of white space by one space."""
    return " ".join(text.split())


def text_of_markdown(text: str) -> str:
    """Return Markdown without marks; the cells of a table row are joined by spaces."""
    lines = []
    for block in parse_markdown(text):
        if isinstance(block, Table):
            lines += [" ".join(plain(cell) for cell in row) for row in (block.header, *block.rows)]
        elif isinstance(block, Code):
            lines.append(block.text)
        else:
            lines.append(plain(block.text))
    return "\n".join(lines)


def text_of_docx(data: bytes) -> str:
    """Return paragraphs and tables of a Word document in their order."""
    lines = []
    for item in docx.Document(io.BytesIO(data)).iter_inner_content():
        if isinstance(item, DocxTable):
            lines += [" ".join(cell.text for cell in row.cells) for row in item.rows]
        else:
            lines.append(item.text)
    return "\n".join(lines)


def text_of_pdf(data: bytes) -> str:
    """Return the text of the pages as pypdf sees it."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


_APART = [
    "p", "li", "dt", "dd", "tr", "td", "th", "div", "section", "header", "footer", "nav", "caption", "pre", "br",
    "h1", "h2", "h3", "h4", "h5", "h6",
]  # fmt: skip


def text_of_html(text: str) -> str:
    """Return the text of the body; block elements and table cells are set apart by white space."""
    soup = BeautifulSoup(text, "html.parser")
    for tag in soup(["head", "script", "style"]):
        tag.decompose()
    for tag in soup(_APART):
        tag.insert_before("\n")
        tag.insert_after("\n")
    return str(soup.get_text())


def read_csv(text: str) -> list[list[str]]:
    """Parse RFC 4180 text."""
    return list(csv.reader(io.StringIO(text, newline="")))


def text_of(path: Path) -> str:
    """Return the white-space collapsed plain text of a document of any of the six types."""
    file_type = path.suffix.removeprefix(".")
    if file_type == "docx":
        return collapse(text_of_docx(path.read_bytes()))
    if file_type == "pdf":
        return collapse(text_of_pdf(path.read_bytes()))
    text = path.read_text(encoding="utf-8")
    if file_type == "md":
        text = text_of_markdown(text)
    elif file_type == "html":
        text = text_of_html(text)
    elif file_type == "csv":
        text = "\n".join(" ".join(row) for row in read_csv(text))
    return collapse(text)


def read_jsonl(path: Path) -> list[Record]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


# --- Building -----------------------------------------------------------------------------------------------------


def source_of(root: Path, attributes: Record) -> Path:
    """Return the path of the Markdown source of a Word or PDF document."""
    return root / "source" / f"{attributes['id']}.md"


def build_document(root: Path, attributes: Record) -> bytes:
    """Return the bytes of one Word or PDF document."""
    blocks = parse_markdown(source_of(root, attributes).read_text(encoding="utf-8"))
    build = build_docx if attributes["file_type"] == "docx" else build_pdf
    return build(blocks, attributes)


def make_manifest(root: Path) -> Record:
    """Count and hash what lies under ``root``."""
    attributes = read_jsonl(root / "attributes.jsonl")
    paths = sorted(record["path"] for record in attributes)
    faq = read_csv((root / "faq.csv").read_text(encoding="utf-8"))
    return {
        "name": "handbook",
        "description": DESCRIPTION,
        "licence": "CC BY 4.0",
        "source": "written for this project",
        "counts": {
            "documents": len(attributes),
            "by_file_type": dict(sorted(Counter(record["file_type"] for record in attributes).items())),
            "by_category": dict(sorted(Counter(record["category"] for record in attributes).items())),
            "words": sum(len(text_of(root / path).split()) for path in paths),
            "questions": len(read_jsonl(root / "questions.jsonl")),
            "faq_rows": len(faq) - 1,
        },
        "files": {
            path: hashlib.sha256((root / path).read_bytes()).hexdigest() for path in sorted([*paths, *MERGED_FILES])
        },
    }


def build(root: Path) -> Record:
    """Build the Word and PDF documents and the manifest, and return the manifest."""
    for attributes in read_jsonl(root / "attributes.jsonl"):
        if attributes["file_type"] in BUILT_TYPES:
            path = root / attributes["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(build_document(root, attributes))
    manifest = make_manifest(root)
    text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
    (root / "manifest.json").write_text(text, encoding="utf-8", newline="\n")
    return manifest


# --- Checking -----------------------------------------------------------------------------------------------------


def check(root: Path) -> list[str]:
    """Return what is wrong with the data set, an empty list if nothing is."""
    needed = [*MERGED_FILES, "manifest.json"]
    problems = [f"{name}: missing" for name in needed if not (root / name).is_file()]
    if problems:
        return problems
    documents = read_jsonl(root / "attributes.jsonl")
    questions = read_jsonl(root / "questions.jsonl")
    problems += _check_attributes(root, documents)
    problems += _check_files(root, documents)
    if problems:
        return problems  # the texts cannot be relied on
    texts = {record["id"]: text_of(root / record["path"]) for record in documents}
    problems += _check_texts(root, documents, texts)
    problems += _check_questions(questions, texts)
    problems += _check_faq(read_csv((root / "faq.csv").read_text(encoding="utf-8")), texts)
    written = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    current = make_manifest(root)
    for name in sorted({*written, *current}):
        if written.get(name) != current.get(name):
            problems.append(f"manifest.json: {name} is not up to date")
    return problems


def _repeated(names: list[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _check_attributes(root: Path, documents: list[Record]) -> Iterator[str]:
    names = [str(record.get("id")) for record in documents]
    yield from (f"{name}: the id is used more than once" for name in _repeated(names))
    if names != sorted(names):
        yield "attributes.jsonl: not sorted by id"
    for record, name in zip(documents, names, strict=True):
        if set(record) != ATTRIBUTE_FIELDS:
            yield f"{name}: fields differ from the list: {sorted(set(record) ^ ATTRIBUTE_FIELDS)}"
            continue
        if record["file_type"] not in FILE_TYPES:
            yield f"{name}: unknown file type {record['file_type']}"
        if record["path"] != f"documents/{name}.{record['file_type']}" or record["category"] != name.split("/")[0]:
            yield f"{name}: path, category, file type and id do not agree"
        if record["department"] not in DEPARTMENTS:
            yield f"{name}: unknown department {record['department']}"
        if not record["authors"]:
            yield f"{name}: no author"
        if unknown := set(record["access_groups"]) - ACCESS_GROUPS:
            yield f"{name}: unknown access groups {sorted(unknown)}"
        if not FIRST_DAY <= date.fromisoformat(record["created_at"]) <= date.fromisoformat(
            record["last_updated_at"]
        ) <= LAST_DAY:  # fmt: skip
            yield f"{name}: the dates are out of range or in the wrong order"
        if not 3 <= record["view_count"] <= 25_000:
            yield f"{name}: view count {record['view_count']}"
        for field in ("superseded_by", "near_duplicate_of"):
            if record[field] is not None and (record[field] not in names or record[field] == name):
                yield f"{name}: {field} names {record[field]}, which is not another document"
        if not (root / record["path"]).is_file():
            yield f"{name}: {record['path']} is missing"
        if record["file_type"] in BUILT_TYPES and not source_of(root, record).is_file():
            yield f"{name}: no source"


def _check_files(root: Path, documents: list[Record]) -> Iterator[str]:
    known = {root / str(record.get("path")) for record in documents}
    known |= {source_of(root, record) for record in documents if record.get("file_type") in BUILT_TYPES}
    for folder in ("documents", "source"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path not in known:
                yield f"{path.relative_to(root)}: not named in attributes.jsonl"


def _check_texts(root: Path, documents: list[Record], texts: dict[str, str]) -> Iterator[str]:
    for record in documents:
        name, path = record["id"], root / record["path"]
        words = len(texts[name].split())
        if not WORDS[0] <= words <= WORDS[1]:
            yield f"{name}: {words} words"
        if record["file_type"] == "csv":
            rows = read_csv(path.read_text(encoding="utf-8"))
            if len({len(row) for row in rows}) != 1:
                yield f"{name}: rows of different length"
            if not CSV_ROWS[0] <= len(rows) - 1 <= CSV_ROWS[1]:
                yield f"{name}: {len(rows) - 1} rows"
        if record["file_type"] == "md" and not path.read_text(encoding="utf-8").startswith("# "):
            yield f"{name}: does not start with a title"
        if record["file_type"] in BUILT_TYPES:
            data = build_document(root, record)
            fresh = text_of_docx(data) if record["file_type"] == "docx" else text_of_pdf(data)
            if collapse(fresh) != texts[name]:
                yield f"{name}: the file does not agree with its source; build again"


def _check_questions(questions: list[Record], texts: dict[str, str]) -> Iterator[str]:
    names = [str(record.get("id")) for record in questions]
    yield from (f"question {name}: the id is used more than once" for name in _repeated(names))
    asked = [collapse(record["question"]).lower() for record in questions]
    yield from (f"question asked twice: {text}" for text in _repeated(asked))
    for record, name in zip(questions, names, strict=True):
        if set(record) != QUESTION_FIELDS:
            yield f"question {name}: fields differ from the list: {sorted(set(record) ^ QUESTION_FIELDS)}"
            continue
        if record["kind"] not in KINDS:
            yield f"question {name}: unknown kind {record['kind']}"
        if not record["question"].strip() or not record["answer"].strip():
            yield f"question {name}: empty question or answer"
        if not record["evidence"]:
            yield f"question {name}: no evidence"
        for document, grade in record["relevance"].items():
            if document not in texts:
                yield f"question {name}: relevance of an unknown document {document}"
            if grade not in (1, 2, 3):
                yield f"question {name}: grade {grade}"
        if max(record["relevance"].values(), default=0) < 2:
            yield f"question {name}: no document answers it"
        for evidence in record["evidence"]:
            document, text = evidence["document"], collapse(evidence["text"])
            if not EVIDENCE_CHARACTERS[0] <= len(text) <= EVIDENCE_CHARACTERS[1]:
                yield f"question {name}: evidence of {len(text)} characters"
            if document not in texts:
                yield f"question {name}: evidence in an unknown document {document}"
            elif text not in texts[document]:
                yield f"question {name}: not found in {document}: {text}"
            if record["relevance"].get(document, 0) < 2:
                yield f"question {name}: evidence in {document}, which is not graded 2 or 3"


def _check_faq(rows: list[list[str]], texts: dict[str, str]) -> Iterator[str]:
    if not rows or rows[0] != FAQ_FIELDS:
        yield "faq.csv: the header is not as agreed"
        return
    yield from (f"faq.csv: asked twice: {text}" for text in _repeated([row[0] for row in rows[1:] if row]))
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(FAQ_FIELDS) or not all(row):
            yield f"faq.csv row {number}: not five filled fields"
            continue
        question, answer, category, uri, department = row
        if len(question) > 300 or len(answer) > 2000:
            yield f"faq.csv row {number}: too long"
        if uri.removeprefix("handbook/") not in texts or not uri.startswith(f"handbook/{category}/"):
            yield f"faq.csv row {number}: {uri} is not a document of the category {category}"
        if department not in DEPARTMENTS:
            yield f"faq.csv row {number}: unknown department {department}"


# --- Command line -------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(description="Build or check the handbook data set.")
    parser.add_argument("--check", action="store_true", help="change nothing, report what is wrong")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder of the data set (default: that of this file)")
    options = parser.parse_args(arguments)
    if options.check:
        problems = check(options.root)
        print(*problems, sep="\n", end="\n" if problems else "")
        print(f"{len(problems)} problems" if problems else "no problems")
        return 1 if problems else 0
    print(json.dumps(build(options.root)["counts"], indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
