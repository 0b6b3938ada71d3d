"""The wheel carries what ragvec needs at run time, and works where there is no checkout.

The environment that it is installed in sees the packages of the one that runs the tests, but not its ragvec.
"""

from __future__ import annotations

import email
import os
import subprocess
import sys
import venv
import zipfile
from email.message import Message
from pathlib import Path

import pytest

pytest.importorskip("build", reason="building a wheel needs the packages build and hatchling")
pytest.importorskip("hatchling", reason="building a wheel needs the packages build and hatchling")

ROOT = Path(__file__).parents[2]
ROUND_TRIP = """
import importlib, pkgutil, sys
import ragvec
assert ragvec.__file__.startswith(sys.prefix), ragvec.__file__
for package in ("ragvec", "ragvec.errors", "ragvec.evaluation", "ragvec.kendra", "ragvec.langchain", "ragvec.pipeline",
                "ragvec.widgets"):
    module = importlib.import_module(package)
    for name in module.__all__:
        getattr(module, name)
for module in pkgutil.walk_packages(ragvec.__path__, "ragvec."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
index = ragvec.Store("store").create_bucket("b").create_index("i", dimension=2, text={"body": "en"})
index.put(["a", "b"], [[1, 0], [0, 1]], [{"body": "apples"}, {"body": "pears"}])
print(index.query([0.1, 1], k=1).keys, index.query(text="apple").keys)
"""


def done(*command: str | Path, folder: Path) -> str:
    """What a command prints, run in `folder` with nothing of the checkout on its path."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=surroundings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from a source distribution as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    done(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_string(archive.read(name).decode())


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment with the wheel."""
    place = tmp_path_factory.mktemp("installed") / "environment"
    venv.EnvBuilder(with_pip=False).create(place)
    programs = place / ("Scripts" if os.name == "nt" else "bin")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(done(programs / "python", "-c", code, folder=place).strip())
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", programs / "python")
    done(*pip, "install", "--no-deps", "--no-index", wheel, folder=place)
    # The other packages, behind its own: a folder named in a .pth comes last, and brings no editable ragvec along.
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "others.pth").write_text("\n".join(others), encoding="utf-8")
    return programs


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("ragvec/")}
        others = {name.split("/")[0] for name in archive.namelist()} - {"ragvec"}
    asked = [path for path in (ROOT / "ragvec").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert held == {path.relative_to(ROOT).as_posix() for path in asked}
    assert "ragvec/py.typed" in held
    assert {name.split(".")[-1] for name in others} == {"dist-info"}


def test_the_metadata_name_the_licence_the_extras_and_a_page_to_read(metadata: Message) -> None:
    import ragvec

    assert metadata["Version"] == ragvec.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert str(metadata.get_payload()).startswith("# ragvec")
    assert {"all", "docs", "embed", "langchain", "notebook", "server"} <= set(metadata.get_all("Provides-Extra", []))


def test_the_citation_and_the_licence_are_those_of_this_version() -> None:
    import ragvec

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {ragvec.__version__}\n" in citation
    assert "\nlicense: Apache-2.0\n" in citation
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_an_installed_wheel_stores_and_finds_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("langchain_core", reason="every public name is imported: pip install 'ragvec[all]'")
    pytest.importorskip("anywidget", reason="every public name is imported: pip install 'ragvec[all]'")
    assert done(installed / "python", "-W", "ignore", "-c", ROUND_TRIP, folder=tmp_path) == "['b'] ['a']\n"


def test_an_installed_wheel_has_the_command(installed: Path, wheel: Path, tmp_path: Path) -> None:
    version = wheel.name.split("-")[1]
    assert done(installed / "ragvec", "version", folder=tmp_path) == f"ragvec {version}\n"
    assert "b" in done(installed / "ragvec", "buckets", "create", "b", "--store", "store", folder=tmp_path)
