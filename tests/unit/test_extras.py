"""Every extra that a message tells people to install is there, and brings the package that the message names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

tomllib = pytest.importorskip("tomllib", reason="reading pyproject.toml needs Python 3.11")

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
NAME = re.compile(r"^[A-Za-z0-9._-]+")
ASKED = re.compile(r"ragvec\[(?P<extras>[a-z0-9,-]+)\]")
# Packages that come with one that the extra names.
BROUGHT_BY = {"cryptography": "pyjwt", "tokenizers": "sentence-transformers"}


class Need(NamedTuple):
    """A call that says which extra brings what."""

    where: str
    extra: str
    package: str | None


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(extra: str) -> set[str]:
    """The packages that an extra brings itself, through the extras that it names too."""
    found: set[str] = set()
    for requirement in EXTRAS[extra]:
        inner = ASKED.match(requirement)
        if inner:
            found.update(*(packages_of(name) for name in inner["extras"].split(",")))
        else:
            found.add(normal(NAME.match(requirement)[0]))  # type: ignore[index]  # a requirement begins with a name
    return found


def text_of(value: ast.expr | None, constants: dict[str, str]) -> str | None:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return value.value
    return constants.get(value.id) if isinstance(value, ast.Name) else None


def needs() -> Iterator[Need]:
    """Every call in the package with `extra=` a text or a constant of its module; what is passed on is not one."""
    for path in sorted((ROOT / "ragvec").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name) and isinstance(node.value.value, str)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            extra = text_of(given.get("extra"), constants)
            if extra is None or "purpose" not in given:
                continue
            package = text_of(given.get("package"), constants)
            if package is None and "package" not in given and node.args:
                module = text_of(node.args[0], constants)
                package = module.partition(".")[0] if module else None
            yield Need(f"{path.relative_to(ROOT)}:{node.lineno}", extra, package)


NEEDS = list(needs())


def test_the_walk_finds_the_calls_that_name_extras() -> None:
    assert {"embed", "langchain", "notebook", "parquet", "server", "tokens"} <= {need.extra for need in NEEDS}


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.where)
def test_an_extra_that_a_message_names_exists_and_brings_the_package(need: Need) -> None:
    assert need.extra in EXTRAS
    if need.package is not None:
        package = BROUGHT_BY.get(need.package, need.package)
        assert normal(package) in packages_of(need.extra), need.package


def test_the_extras_that_pages_and_messages_name_exist() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "ragvec").rglob("*.py")]
    for page in [*pages, *(ROOT / "notebooks").glob("*.ipynb")]:
        for asked in ASKED.finditer(page.read_text(encoding="utf-8")):
            assert set(asked["extras"].split(",")) <= set(EXTRAS), f"{asked[0]} in {page.name}"


def test_everything_for_users_is_in_the_extra_all() -> None:
    apart = {"all", "bench", "dev", "docs", "faiss", "fuzz", "ir-datasets", "scann", "umap"}
    missing = {extra: packages_of(extra) - packages_of("all") for extra in set(EXTRAS) - apart}
    assert {extra: packages for extra, packages in missing.items() if packages} == {}
