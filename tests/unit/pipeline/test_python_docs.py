"""The standard library as a corpus."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

from ragvec.errors import DocumentError
from ragvec.pipeline.documents import Document
from ragvec.pipeline.python_docs import python_docs


@pytest.fixture(scope="module")
def corpus() -> list[Document]:
    return list(python_docs())


def test_it_is_large_and_has_every_kind(corpus: list[Document]) -> None:
    assert len(corpus) > 7_000
    kinds = {document.attributes["kind"] for document in corpus}
    assert kinds == {"module", "class", "exception", "function", "method", "property"}
    assert len({document.id for document in corpus}) == len(corpus)
    assert sum(document.attributes["public"] for document in corpus) > 5_000


def test_what_people_ask_for_is_under_its_name(corpus: list[Document]) -> None:
    found = {document.id: document for document in corpus}
    expected = {
        "json": "module",
        "json.dumps": "function",
        "json.JSONEncoder": "class",
        "os.path.join": "function",
        "os.stat": "function",
        "io.TextIOWrapper": "class",
        "socket.socket.settimeout": "method",
        "asyncio.gather": "function",
        "pathlib.Path.exists": "method",
        "builtins.str.split": "method",
        "subprocess.CalledProcessError": "exception",
        "datetime.datetime.fromisoformat": "method",
    }
    assert {name: found[name].attributes["kind"] for name in expected} == expected


def test_a_document_is_signature_and_docstring(corpus: list[Document]) -> None:
    (dumps,) = [document for document in corpus if document.id == "json.dumps"]
    docstring = inspect.getdoc(json.dumps)
    assert docstring is not None
    assert dumps.text == f"json.dumps{inspect.signature(json.dumps)}\n\n{docstring}"
    assert dumps.title == "json.dumps"
    assert dumps.uri == ""
    assert dumps.attributes == {
        "module": "json",
        "kind": "function",
        "public": True,
        "length": len(docstring),
        "version": sys.version.split()[0],
    }


def test_inherited_docstrings_come_once(corpus: list[Document]) -> None:
    ids = {document.id for document in corpus}
    assert "builtins.object.__init__" in ids
    assert "builtins.int.__init__" not in ids
    assert "collections.OrderedDict.__contains__" not in ids


def test_modules_and_limit_narrow_it() -> None:
    assert {document.attributes["module"].split(".")[0] for document in python_docs(modules=["json", "csv"])} == {
        "json",
        "csv",
    }
    assert [document.id for document in python_docs(modules=["json"], limit=2)] == ["json", "json.JSONDecodeError"]


def test_the_order_is_fixed_and_nothing_is_printed() -> None:
    code = (
        "import hashlib; from ragvec.pipeline.python_docs import python_docs; "
        "print(hashlib.sha256(repr(list(python_docs())).encode()).hexdigest())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "SECRET": seed},
        )
        for seed in ("1", "2")
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout) == 65
    assert runs[0].stderr == runs[1].stderr == ""


def test_what_this_process_has_done_to_the_library_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(python_docs(modules=["json"]))
    monkeypatch.setattr(json, "dumps", lambda: None)
    monkeypatch.setattr(json.loads, "__doc__", "Changed here.")
    assert list(python_docs(modules=["json"])) == before


def test_a_reader_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ragvec.pipeline.python_docs._READER", "ragvec.pipeline.nothing_here")
    with pytest.raises(DocumentError, match="could not be read: .*nothing_here"):
        list(python_docs(limit=1))
