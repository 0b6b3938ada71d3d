"""The site builds without a warning or a network, and describes every public name and command.

Sphinx is looked for where the tests run, and in the environment of `make docs`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
import subprocess
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from ragvec.cli.parser import build

ROOT = Path(__file__).parents[2]
PACKAGES = ["ragvec", "ragvec.errors", "ragvec.evaluation", "ragvec.kendra", "ragvec.pipeline"]
NEEDING_EXTRAS = {"ragvec.langchain": "langchain_core", "ragvec.widgets": "anywidget"}
# What a page loads without being asked; `href` of a link does so too, of an anchor only when it is followed.
LOADING = {"src", "srcset", "poster", "data", "action"}


class Loaded(HTMLParser):
    """What a page would load, and where its anchors lead."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.followed: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in LOADING or (name == "href" and tag == "link"):
                self.loaded.append(value or "")
            elif name == "href" and tag == "a":
                self.followed.append(value or "")


def read(page: Path) -> Loaded:
    parser = Loaded()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def python_with_sphinx() -> str:
    """The interpreter to build with; the test is skipped where there is none."""
    apart = ROOT / ".venv" / "docs" / "bin" / "python"
    candidates = [sys.executable] if all(map(importlib.util.find_spec, ("sphinx", "furo", "myst_nb"))) else []
    candidates += [str(apart)] if apart.exists() else []
    for python in candidates:
        if subprocess.run([python, "-c", "import sphinx, furo, myst_nb"], capture_output=True).returncode == 0:
            return python
    pytest.skip("building the site needs Sphinx: run `make docs` once, which makes .venv/docs")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site. Proxies that nobody answers for make a request fail, and a warning is an error."""
    python, target = python_with_sphinx(), tmp_path_factory.mktemp("site")
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    done = subprocess.run(
        [python, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-c", "docs", ".", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **nowhere},
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Loaded]:
    return {page: read(page) for page in sorted(site.rglob("*.html"))}


@pytest.fixture(scope="module")
def described(site: Path) -> set[str]:
    """The Python names that the site describes, from the inventory that other sites link by."""
    head, _, packed = (site / "objects.inv").read_bytes().partition(b"zlib.\n")
    assert head.startswith(b"# Sphinx inventory version 2")
    lines = zlib.decompress(packed).decode().splitlines()
    return {line.split()[0] for line in lines if line.split()[1].startswith("py:")}


def test_no_page_loads_anything_from_another_machine(site: Path, pages: dict[Path, Loaded]) -> None:
    for page, found in pages.items():
        outside = [target for target in found.loaded if urlsplit(target).netloc or target.startswith("//")]
        assert outside == [], page.relative_to(site)
    for sheet in site.rglob("*.css"):
        asked = re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*|@import[^;]*", sheet.read_text(encoding="utf-8"))
        assert asked == [], sheet.relative_to(site)


def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(site: Path, pages: dict[Path, Loaded]) -> None:
    for page, found in pages.items():
        for target in found.followed:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or target in ("", "#"):
                continue
            other = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert other.exists(), f"{page.relative_to(site)}: {target}"
            if parts.fragment and other in pages:
                assert unquote(parts.fragment) in pages[other].ids, f"{page.relative_to(site)}: {target}"


@pytest.mark.parametrize("package", [*PACKAGES, *NEEDING_EXTRAS])
def test_every_public_name_is_described(package: str, described: set[str]) -> None:
    if package in NEEDING_EXTRAS:
        pytest.importorskip(NEEDING_EXTRAS[package], reason=f"{package} needs an extra")
    module = importlib.import_module(package)
    homes = {
        package: module,
        "ragvec": importlib.import_module("ragvec"),
        "ragvec.errors": sys.modules["ragvec.errors"],
    }
    for name in module.__all__:
        if name.startswith("__"):
            continue
        value = getattr(module, name)
        places = {f"{home}.{name}" for home, held in homes.items() if getattr(held, name, None) is value}
        assert places & described, f"{package}.{name}"


@pytest.mark.parametrize("client", ["ragvec.Client", "ragvec.kendra.Client"])
def test_every_operation_of_a_client_is_described(client: str, described: set[str]) -> None:
    package, _, name = client.rpartition(".")
    operations = [each for each in dir(getattr(importlib.import_module(package), name)) if not each.startswith("_")]
    documented = [each for each in operations if getattr(getattr(sys.modules[package], name), each).__doc__]
    assert len(documented) > 15
    assert {f"{client}.{each}" for each in documented} <= described


def test_every_command_has_its_section(site: Path, pages: dict[Path, Loaded]) -> None:
    found = pages[site / "docs" / "reference" / "command-line.html"]
    (commands,) = (part.choices for part in build()._actions if isinstance(part, argparse._SubParsersAction))
    assert len(commands) > 15
    assert {f"ragvec-{name}" for name in commands} <= found.ids


def test_every_page_of_the_repository_is_on_the_site(site: Path) -> None:
    sources = [*(ROOT / "docs").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb")]
    for source in sources:
        assert (site / source.relative_to(ROOT).with_suffix(".html")).exists(), source.name


def test_the_front_door_leads_to_the_first_page(site: Path) -> None:
    (first,) = read(site / "index.html").followed
    assert "ragvec" in (site / first).read_text(encoding="utf-8")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_class_and_function_has_a_docstring(package: str) -> None:
    module = importlib.import_module(package)
    bare = [
        name for name in module.__all__ if callable(getattr(module, name)) and not (getattr(module, name).__doc__ or "")
    ]
    assert bare == []
