# mypy: disable-error-code="import-untyped"
"""Word documents from blocks, the same bytes each time."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime
from typing import Any

import docx
from company import Record, footer_text
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt, RGBColor
from markdown_source import Block, Heading, ListItem, Paragraph, Table, parse_inline, plain


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
    run = footer.add_run(footer_text(attributes))
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
