"""The Python in the README and the guides runs as it stands, and prints what the page says.

An example of the README stands alone, in one folder with those before it; a guide is read from top to bottom.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = [*sorted((ROOT / "docs").glob("guide-*.md")), ROOT / "docs" / "langchain.md", ROOT / "docs" / "evaluation.md"]
BLOCK = re.compile(
    r"^```python\n(?P<code>(?:(?!```).)*)```\n(?:\n+```text\n(?P<output>(?:(?!```).)*)```)?", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\]\((?P<target>[^)#:]+)\)")
RUNNER = """
import contextlib, io, json, sys
names, outputs = {"__name__": "__main__"}, []
for code in json.load(sys.stdin):
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    outputs.append(printed.getvalue())
json.dump(outputs, sys.stdout)
"""


class Example(NamedTuple):
    code: str
    output: str


def examples(page: Path) -> list[Example]:
    """The Python blocks of a page, each with the text block that follows it, "" where none does."""
    return [Example(found["code"], found["output"] or "") for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def printed(codes: list[str], *, folder: Path) -> list[str]:
    """What each of several blocks prints, run one after the other in one process."""
    done = subprocess.run(
        [sys.executable, "-c", RUNNER],
        cwd=folder,
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stderr
    outputs: list[str] = json.loads(done.stdout)
    return outputs


def test_the_examples_of_the_readme_print_what_they_are_shown_to_print(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="the first example embeds: pip install 'ragvec[embed]'")
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    found = examples(ROOT / "README.md")
    assert len(found) >= 4
    for example in found:
        assert printed([example.code], folder=tmp_path) == [example.output]


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_the_examples_of_a_guide_print_what_they_are_shown_to_print(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("pandas", reason="the guide to the pipeline reads a DataFrame: pip install 'ragvec[notebook]'")
    found = examples(page)
    assert len(found) >= 4
    assert printed([example.code for example in found], folder=tmp_path) == [example.output for example in found]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.stem
)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        assert (page.parent / link["target"]).exists(), link["target"]
