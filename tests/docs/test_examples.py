"""The examples run as their first lines say, and a strict type checker has nothing to say about them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PRINTED = {
    "vectors": "p926 2.711 {'year': 2021, 'colour': 'blue'}\n",
    "documents": "2 documents\n",
    "cloud_code": "[('travel', 0.226)]\n[('leave', 0.005), ('travel', 0.226)]\n",
}


def ran(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_example_is_run_by_a_test() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", ["vectors", "cloud_code"])
def test_an_example_prints_what_it_finds(name: str, tmp_path: Path) -> None:
    assert ran(EXAMPLES / f"{name}.py", folder=tmp_path).startswith(PRINTED[name])


def test_the_example_of_documents_says_where_a_passage_is_from(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "leave.md").write_text("# Leave\n\nAnnual leave is twenty-five days a year.\n", encoding="utf-8")
    (folder / "lunch.txt").write_text("Lunch is served from noon.\n", encoding="utf-8")
    printed = ran(EXAMPLES / "documents.py", folder, "how much leave?", folder=tmp_path)
    assert printed.startswith(PRINTED["documents"])
    assert "leave.md, characters" in printed.splitlines()[-1]
    assert "Annual leave is twenty-five" in printed.splitlines()[-1]


def test_the_examples_pass_a_strict_type_checker() -> None:
    pytest.importorskip("mypy", reason="checking types needs mypy: pip install 'ragvec[dev]'")
    assert "no issues found in 3 source files" in ran("-m", "mypy", "--strict", "examples", folder=ROOT)
