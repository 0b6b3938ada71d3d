"""Runs notebooks and keeps what they put out: `python notebooks/execute.py [name ...]`; without names, all of them.

What changes from run to run is left out of the file: times, the versions of the kernel, and the state of widgets.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nbclient
import nbformat

__all__ = ["execute", "keep"]

_HERE = Path(__file__).parent
_WIDGETS = "application/vnd.jupyter.widget-view+json"
_KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def execute(path: Path) -> Any:
    """The notebook with the outputs of a fresh kernel, started in the folder of the notebooks.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell ends in an error.
        nbclient.exceptions.CellTimeoutError: a cell takes more than ten minutes.
    """
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(_HERE)}},
        store_widget_state=False,
        record_timing=False,
        coalesce_streams=True,
    )
    return client.execute()


def keep(path: Path) -> None:
    """Run the notebook and write it back with its outputs, as they are the same on every machine."""
    notebook = execute(path)
    notebook.metadata = nbformat.from_dict(_KERNEL)
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(_WIDGETS, None)
    nbformat.validate(notebook)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for chosen in sorted(_HERE.glob("*.ipynb")):
        if len(sys.argv) == 1 or chosen.stem in sys.argv[1:]:
            print(chosen.stem, flush=True)
            keep(chosen)
