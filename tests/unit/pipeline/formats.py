"""Files of every format, made by the libraries that people make them with."""

from __future__ import annotations

from pathlib import Path

from ragvec.pipeline.documents import Document, Failure
from ragvec.pipeline.load import load

__all__ = ["blocks_of", "documents", "make_docx", "make_pdf", "only", "plain_pdf"]

MARKDOWN = """# Expenses

Rules for **money** you spend; see [the form](https://example.org/f) and `FX-1`.
Second line of the paragraph.

## Per diem

- Keep *receipts*
- Ask first
  1. your manager
  2. finance

| City | Rate |
|------|-----:|
| Porto | 48 |
| Lisbon | 54 |

```python
total = 48 * 2

print(total)
```
"""


def documents(source: object, **options: object) -> list[Document]:
    """What is loaded, when nothing fails."""
    found = list(load(source, **options))  # type: ignore[arg-type]  # whatever a test wants to load
    failures = [str(item) for item in found if isinstance(item, Failure)]
    assert not failures, failures
    return [item for item in found if isinstance(item, Document)]


def only(source: object, **options: object) -> Document:
    (document,) = documents(source, **options)
    return document


def blocks_of(document: Document) -> list[tuple[str, int, str]]:
    return [(block.kind, block.level, document.text[block.begin : block.end]) for block in document.blocks]


def make_docx(path: Path, *, heading: str = "Travel policy") -> Path:
    import docx

    document = docx.Document()
    document.core_properties.title = "From the properties"
    if heading:
        document.add_heading(heading, level=1)
    document.add_paragraph("Book in Harbor. Trains before planes.")
    document.add_heading("Rates", level=2)
    document.add_paragraph("Keep receipts", style="List Bullet")
    document.add_paragraph("Ask first", style="List Number")
    table = document.add_table(rows=3, cols=3)
    for row, cells in enumerate([("City", "Rate", "Note"), ("Porto", "48", ""), ("Lisbon", "54", "capital")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    merged = document.add_table(rows=2, cols=3)
    for column, text in enumerate(("Who", "When", "Where")):
        merged.cell(0, column).text = text
    merged.cell(1, 0).merge(merged.cell(1, 1)).text = "Ann, always"
    merged.cell(1, 2).text = "Porto"
    document.add_paragraph("The end.")
    document.save(str(path))
    return path


def make_pdf(path: Path, *, title: str = "Field manual") -> Path:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import (
        ListFlowable,
        ListItem,
        PageBreak,
        Paragraph,
        SimpleDocTemplate,
        Table,
    )

    styles = getSampleStyleSheet()

    def foot(canvas: object, template: object) -> None:
        canvas.drawString(72, 30, f"Tidewell, page {template.page}")  # type: ignore[attr-defined]  # reportlab has no types

    words = "The crew walks the site twice before anything is lifted, and writes down what it saw in the register. " * 4
    story = [
        Paragraph("Field manual", styles["Title"]),
        Paragraph("Before you go", styles["Heading2"]),
        Paragraph(words, styles["BodyText"]),
        Paragraph("A second paragraph stands apart.", styles["BodyText"]),
        ListFlowable(
            [ListItem(Paragraph(text, styles["BodyText"])) for text in ("Take the permit", "Take the rope")],
            bulletType="bullet",
        ),
        PageBreak(),
        Paragraph("Depths", styles["Heading2"]),
        Table([["Depth", "Rope", "Anchor"], ["8 m", "20 m", "60 kg"], ["20 m", "", "140 kg"]]),
    ]
    template = SimpleDocTemplate(str(path), title=title)
    template.build(story, onFirstPage=foot, onLaterPages=foot)
    return path


def plain_pdf(path: Path, text: str) -> Path:
    """A PDF of one line, written by hand."""
    stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    xref = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    xref += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(body))
    path.write_bytes(body + xref + trailer)
    return path
