"""The Python in docs/guide-widgets.md runs, and prints what is shown there."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```)?", re.DOTALL | re.MULTILINE)


def test_the_guide_prints_what_it_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "guide-widgets.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    blocks = list(BLOCK.finditer(page))
    assert len(blocks) >= 6
    for block in blocks:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(block["code"], "guide-widgets.md", "exec"), names)
        assert printed.getvalue() == (block["output"] or "")
    names["store"].close()


def test_the_pictures_of_the_guide_are_there() -> None:
    page = (DOCS / "guide-widgets.md").read_text(encoding="utf-8")
    for picture in re.findall(r"\]\((images/[^)]+)\)", page):
        assert (DOCS / picture).is_file(), picture
