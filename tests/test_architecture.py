"""The structure that docs/architecture.md promises: imports point one way, files stay small, importing is quiet and
light."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import ragvec

ROOT = Path(ragvec.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
RANKS = [
    {"errors", "limits", "types", "protocols", "extras", "arrays", "distance"},
    {"filters", "text", "ann"},
    {"engine"},
    {"search"},
    {"api", "store", "care"},
    {"pipeline", "kendra", "exchange"},
    {"langchain", "evaluation", "widgets", "server", "cli"},
]
RANK_OF = {name: rank for rank, names in enumerate(RANKS) for name in names}
HEAVY = {
    "torch",
    "scann",
    "faiss",
    "pandas",
    "ipywidgets",
    "sentence_transformers",
    "rich",
    "bs4",
    "pypdf",
    "docx",
    "botocore",
    "langchain_core",
}
CAP = 500


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    """Every ragvec module that a file imports, also inside functions, with the line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if node.module == "ragvec":
                found += [(node.lineno, f"ragvec.{alias.name}") for alias in node.names]
            else:
                found.append((node.lineno, node.module))
    return [(line, name) for line, name in found if name.startswith("ragvec.")]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_to_the_same_or_a_lower_rank(path: Path) -> None:
    part = part_of(path)
    if part in {"__init__", "__main__"}:
        return
    for line, name in imported(path):
        target = name.split(".")[1]
        assert target in RANK_OF, f"{path}:{line} imports {name}, which has no rank"
        assert RANK_OF[target] <= RANK_OF[part], f"{path}:{line}: {part} (rank {RANK_OF[part]}) imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_longer_than_the_cap(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= CAP


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_and_what_it_offers(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{path} has no docstring"
    offered = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    if path.name not in {"__init__.py", "__main__.py"}:
        assert offered, f"{path} has no __all__"
    for names in offered:
        assert len(names) == len(set(names)), f"{path} offers a name twice"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_offered_name_is_there(path: Path) -> None:
    dotted = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")
    if dotted.endswith("__main__"):
        return
    module = importlib.import_module(dotted)
    for name in getattr(module, "__all__", []):
        assert hasattr(module, name), f"{dotted} offers {name} and does not have it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_packages_are_imported_only_on_use(path: Path) -> None:
    # Who imports ragvec.langchain wants subclasses of LangChain's classes, and of the widgets' classes ragvec.widgets.
    own = {"langchain": {"langchain_core"}, "widgets": {"ipywidgets"}}.get(part_of(path), set())
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            assert name.split(".")[0] not in HEAVY - own, f"{path}:{node.lineno} imports {name} when it is loaded"


def test_importing_the_package_loads_nothing_heavy_and_prints_nothing() -> None:
    code = "import sys, ragvec; sys.stderr.write(','.join(sorted(m for m in sys.modules if '.' not in m)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.split(","))
    assert done.stdout == ""
    assert not loaded & (HEAVY | {"numpy", "msgspec", "pyroaring", "sqlite3"})


def test_the_public_surface_is_sorted_and_every_name_resolves() -> None:
    assert ragvec.__all__ == sorted(ragvec.__all__)
    assert dir(ragvec) == ragvec.__all__
    for name in ragvec.__all__:
        assert getattr(ragvec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ragvec.nothing


UNSAFE_MODULES = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"}
UNSAFE_CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_or_executed(path: Path) -> None:
    """Files and answers are data: no bytes from outside can become code."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            assert name.split(".")[0] not in UNSAFE_MODULES, f"{path}:{node.lineno} imports {name}"
        if isinstance(node, ast.Call):
            wrong = unsafe_call(node)
            assert wrong is None, f"{path}:{node.lineno} {wrong}"


def unsafe_call(node: ast.Call) -> str | None:
    """What a call does that could run somebody's bytes as code."""
    given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
    if isinstance(node.func, ast.Name):
        return f"calls {node.func.id}" if node.func.id in UNSAFE_CALLS else None
    if not isinstance(node.func, ast.Attribute) or not isinstance(node.func.value, ast.Name):
        return None
    owner, name = node.func.value.id, node.func.attr
    if owner in ("np", "numpy") and name == "load" and given.get("allow_pickle") is not False:
        return f"calls {owner}.{name} without allow_pickle=False"
    if owner == "torch" and name == "load" and given.get("weights_only") is not True:
        return "calls torch.load without weights_only=True"
    return None


@pytest.mark.parametrize(
    "code",
    ["eval(x)", "exec(x)", "np.load(x)", "np.load(x, allow_pickle=True)", "torch.load(x)", "compile(x, y, z)"],
)
def test_the_test_for_unsafe_calls_sees_them(code: str) -> None:
    (node,) = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert unsafe_call(node) is not None
