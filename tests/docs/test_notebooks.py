"""The notebooks run from top to bottom, and put out what they are kept with."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="running notebooks needs nbformat and nbclient")
pytest.importorskip("nbclient", reason="running notebooks needs nbformat and nbclient")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
SLOW = {
    "01-quickstart",
    "05-hybrid-search-and-recall",
    "06-rag-with-langchain",
    "07-evaluate-and-compare",
    "09-a-million-vectors",
}
"""Those that take more than some seconds: `make notebooks` runs them, `make test` does not."""

OF_A_MACHINE = re.compile(
    r"(?<![\w.<])/(?:home|tmp|root|usr|opt|var|mnt|private|Users|work)/|[A-Z]:\\\\|ipykernel_\d|0x[0-9a-f]{8}"
)
LINKS = re.compile(r"\]\((?!https?://)([^)#]+)")

every = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def code_of(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts_of(cell: Any) -> str:
    """What a cell prints and shows as text, as a reader sees it."""
    parts = []
    for output in cell.outputs:
        assert output.output_type != "error", output
        parts.append(output.text if output.output_type == "stream" else output.data.get("text/plain", ""))
    return "\n".join(parts)


def test_there_is_a_notebook_for_each_number_and_the_readme_has_them_all() -> None:
    assert [path.stem[:3] for path in PATHS] == [f"{number:02d}-" for number in range(1, len(PATHS) + 1)]
    readme = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| \[[^]]+\]\(([^)]+)\.ipynb\)", readme, re.MULTILINE) == [path.stem for path in PATHS]
    assert {path.stem for path in PATHS} >= SLOW


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if path.stem in SLOW else [], id=path.stem) for path in PATHS],
)
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs_and_puts_out_what_it_is_kept_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(NOTEBOOKS))
    kept = nbformat.read(path, as_version=4)
    try:
        run = importlib.import_module("execute").execute(path)
    finally:
        sys.modules.pop("execute", None)
    for before, after in zip(code_of(kept), code_of(run), strict=True):
        assert [output.output_type for output in after.outputs] == [output.output_type for output in before.outputs]
        if "varies" not in before.metadata.get("tags", []):
            assert texts_of(after) == texts_of(before), before.source


@every
def test_a_notebook_is_kept_with_its_outputs_and_without_errors_and_warnings(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = code_of(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs), "a picture"
    assert not any(output.output_type == "error" or output.get("name") == "stderr" for output in outputs)


@every
def test_a_notebook_holds_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        shown = [
            cell.source,
            *(str(output) for output in cell.get("outputs", []) if "image/png" not in output.get("data", {})),
        ]
        for text in shown:
            found = OF_A_MACHINE.search(text)
            assert found is None, text[max(0, found.start() - 60) : found.end() + 60]


@every
def test_a_notebook_uses_public_names_only(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in code_of(notebook):
        for module, name in imported(ast.parse(cell.source)):
            if module.split(".")[0] == "ragvec":
                assert module.count(".") <= 1, f"{module} is not public"
                assert name in importlib.import_module(module).__all__, f"{module}.{name} is not public"


@every
def test_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in LINKS.findall(cell.source):
                assert (NOTEBOOKS / target).exists(), target


def imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """(module, name) for each name that is imported from a module, or taken from `ragvec` by a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("ragvec.") for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "ragvec":
            yield "ragvec", node.attr
