"""Files of the formats that are made of others, or by other programs than a text editor."""

from __future__ import annotations

import datetime
import json
import zipfile
from email.message import EmailMessage
from pathlib import Path

__all__ = ["letter", "make_epub", "make_ipynb", "make_mbox", "make_pptx", "make_xlsx", "make_zip"]

BODY = "Dear Bo,\n\nthe berth is free.\n"
CONTAINER = """<?xml version="1.0"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?>
<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/" version="3.0">
<metadata><dc:title>The Tide  Tables</dc:title><dc:creator>Ann Quist</dc:creator><dc:language>en-GB</dc:language>
<dc:date>2024-05-01</dc:date></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="two" href="text/two.xhtml" media-type="application/xhtml+xml"/>
<item id="one" href="text/ch%201.xhtml" media-type="application/xhtml+xml"/>
<item id="css" href="a.css" media-type="text/css"/></manifest>
<spine><itemref idref="nav"/><itemref idref="one"/><itemref idref="two"/></spine></package>"""


def make_xlsx(path: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    rates = book.active
    rates.title = "Rates"
    rates.append(["Rates of 2026"])
    rates.append(["City", "Rate", "Since"])
    rates.append(["Porto", 48, datetime.date(2026, 1, 1)])
    rates.append([None, None, None])
    rates.append(["Lisbon", 54.5, None])
    hidden = book.create_sheet("Hidden")
    hidden.append(["not", "read"])
    hidden.sheet_state = "hidden"
    plain = book.create_sheet("Plain")
    plain.append([1, 2.0, True])
    plain["A3"] = "=A1+1"
    book.properties.title = "Rates, all of them"
    book.save(path)
    return path


def make_pptx(path: Path) -> Path:
    import pptx

    shown = pptx.Presentation()
    first = shown.slides.add_slide(shown.slide_layouts[1])
    first.shapes.title.text = "Safety first"
    first.placeholders[1].text = "Wear a vest\nLook twice"
    first.notes_slide.notes_text_frame.text = "Tell the story of the crane."
    second = shown.slides.add_slide(shown.slide_layouts[5])
    second.shapes.title.text = "Depths"
    table = second.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for column, texts in enumerate([("Depth", "8 m"), ("Rope", "20 m")]):
        for row, text in enumerate(texts):
            table.cell(row, column).text = text
    box = second.shapes.add_textbox(0, 0, 100, 100)
    box.text_frame.text = "Words in a box."
    third = shown.slides.add_slide(shown.slide_layouts[5])
    third.shapes.title.text = "Not shown"
    third.element.set("show", "0")
    shown.save(path)
    return path


def make_epub(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("mimetype", "application/epub+zip")
        book.writestr("META-INF/container.xml", CONTAINER)
        book.writestr("OEBPS/book.opf", PACKAGE)
        book.writestr("OEBPS/nav.xhtml", "<html><body><nav>Contents</nav>left out</body></html>")
        book.writestr("OEBPS/text/ch 1.xhtml", "<html><body><h1>Springs</h1><p>High water, é.</p></body></html>")
        book.writestr("OEBPS/text/two.xhtml", "<html><body><h1>Neaps</h1><ul><li>low</li></ul></body></html>")
    return path


def make_ipynb(path: Path) -> Path:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Tides\n", "\n", "Read the **table**."]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "source": "level = 3\n\nprint(level)",
            "outputs": [{"output_type": "stream", "name": "stdout", "text": "3\n"}],
        },
        {"cell_type": "raw", "metadata": {}, "source": "As it is."},
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": cells}))
    return path


def letter(
    subject: str = "Berth 4", *, number: str = "1@quay", body: str = "Dear Bo,\n\nthe berth is free.\n"
) -> EmailMessage:
    made = EmailMessage()
    made["Subject"] = subject
    made["From"] = "Ann Quist <ann@quay.example>"
    made["To"] = "bo@quay.example, Cy <cy@quay.example>"
    made["Date"] = "Mon, 02 Mar 2026 10:00:00 +0100"
    made["Message-ID"] = f"<{number}>"
    made.set_content(body)
    return made


def make_mbox(path: Path, *letters: EmailMessage) -> Path:
    boxed = [b"From quay Mon Mar  2 10:00:00 2026\n" + bytes(each).replace(b"\nFrom ", b"\n>From ") for each in letters]
    path.write_bytes(b"\n".join(boxed))
    return path


def make_zip(path: Path, members: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path
