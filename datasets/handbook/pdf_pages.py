# mypy: disable-error-code="import-untyped"
"""PDF documents from blocks, the same bytes each time."""

from __future__ import annotations

import io
from typing import Any
from xml.sax.saxutils import escape

from company import COMPANY, Record, footer_text
from markdown_source import Block, Heading, ListItem, Table, parse_inline, plain
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, KeepTogether, SimpleDocTemplate, Spacer, TableStyle
from reportlab.platypus import Paragraph as PdfParagraph
from reportlab.platypus import Table as PdfTable

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

    def draw_footer(canvas: Any, template: Any) -> None:
        canvas.saveState()
        canvas.setFont("Vera", 7)
        canvas.setFillColor(_INK)
        canvas.drawString(edge, 1.2 * cm, footer_text(attributes))
        canvas.drawRightString(A4[0] - edge, 1.2 * cm, f"page {template.page}")
        canvas.restoreState()

    stream = io.BytesIO()
    SimpleDocTemplate(
        stream, pagesize=A4, leftMargin=2.3 * cm, rightMargin=2.3 * cm, topMargin=2 * cm, bottomMargin=2.2 * cm,
        title=attributes["title"], author=", ".join(attributes["authors"]), subject=attributes["department"],
        creator=COMPANY, producer=COMPANY, lang="en-GB", invariant=1, pageCompression=1,
    ).build(flow, onFirstPage=draw_footer, onLaterPages=draw_footer)  # fmt: skip
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
