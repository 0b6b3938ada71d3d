"""The notebooks run from top to bottom, and show what they are kept with."""

from __future__ import annotations

from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="running notebooks needs nbformat and nbclient")
nbclient = pytest.importorskip("nbclient", reason="running notebooks needs nbformat and nbclient")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")
def test_a_notebook_runs_without_an_error(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    assert all(cell.get("outputs") is not None for cell in notebook.cells if cell.cell_type == "code")
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}})
    client.execute()


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_kept_with_its_outputs_and_imports_only_public_names(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    for cell in cells:
        assert not any(output.output_type == "error" for output in cell.outputs)
        for line in cell.source.splitlines():
            assert not line.startswith(("from ragvec.", "import ragvec.")), line
