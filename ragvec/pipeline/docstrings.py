"""The docstrings of the running Python's standard library as documents, in the order of their names.

It imports whatever the library holds, so it is run in an interpreter of its own: `python -m ragvec.pipeline.docstrings
[--limit N] [MODULE ...]` prints a document a line, in JSON. `ragvec.pipeline.python_docs` does that.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import inspect
import io
import os
import pkgutil
import platform
import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from types import ModuleType
from typing import Any

import msgspec

from ragvec.pipeline.documents import Document

__all__ = ["library_documents", "main"]

# Modules that do something when imported (open a browser, print, set the terminal), that other packages replace
# (distutils), or that hold tests, programs and tables instead of a library.
_ACTING = """
__hello__ __main__ __phello__ antigravity distutils idlelib lib2to3 pydoc_data readline rlcompleter test this turtledemo
"""
_LEFT_OUT = frozenset(_ACTING.split())
_SUBMODULES_LEFT_OUT = re.compile(r"(?:^|\.)(?:tests?|__main__|_bundled)(?:\.|$)|^encodings\.")
_IMPORT_ERRORS = (ImportError, OSError, RuntimeError, AttributeError, ValueError, TypeError, SystemExit)
_KNOWN_AS = {"posix": "os", "nt": "os"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_METHODS = (
    "function builtin_function_or_method method_descriptor classmethod_descriptor wrapper_descriptor cython_function"
)
_PROPERTIES = "property cached_property getset_descriptor member_descriptor"
_KINDS = {
    **dict.fromkeys((name for name in _METHODS.split(" ")), "method"),
    **dict.fromkeys((name for name in _PROPERTIES.split(" ")), "property"),
}


def library_documents(*, modules: Iterable[str] | None = None, limit: int | None = None) -> Iterator[Document]:
    """The documents that `ragvec.pipeline.python_docs.python_docs` describes, of what this process can import."""
    wanted = None if modules is None else frozenset(modules)
    seen: set[str] = set()
    docstrings: set[tuple[str, str]] = set()
    count = 0
    for document in _all(_module_names(wanted)):
        docstring = (document.title.rpartition(".")[2], document.text.partition("\n\n")[2])
        if document.id in seen or docstring in docstrings:
            continue
        seen.add(document.id)
        docstrings.add(docstring)
        yield document
        count += 1
        if count == limit:
            return


def _module_names(wanted: frozenset[str] | None) -> list[str]:
    names = sorted(sys.stdlib_module_names - _LEFT_OUT, key=lambda name: (name.startswith("_"), name))
    if wanted is None:
        return names
    return [name for name in names if any(name == one or one.startswith(f"{name}.") for one in wanted)]


def _all(names: list[str]) -> Iterator[Document]:
    found: dict[str, ModuleType] = {}
    for name in names:
        found.update(_with_submodules(name))
    homes = _homes(found)
    for name in sorted(found, key=lambda name: (not _is_public(name), name)):
        yield from _module_documents(found[name], name, homes)


def _homes(modules: dict[str, ModuleType]) -> dict[int, str]:
    """For everything that modules hold, by its `id()`, the module under which people know it."""
    best: dict[int, tuple[Any, ...]] = {}
    for name, module in modules.items():
        exported = frozenset(getattr(module, "__all__", ()))
        for attribute, thing in vars(module).items():
            home = getattr(thing, "__module__", None)
            if not isinstance(home, str) or not _is_stdlib(home):
                continue
            home = _KNOWN_AS.get(home, home)
            related = name.partition(".")[0] == home.partition(".")[0].lstrip("_")
            official = related and attribute in exported
            rank = (
                not _is_public(name),
                not official,
                len(name) if official else 0,
                name != home,
                not related,
                attribute not in exported,
                len(name),
                name,
            )
            if id(thing) not in best or rank < best[id(thing)]:
                best[id(thing)] = rank
    return {thing: rank[-1] for thing, rank in best.items()}


def _with_submodules(name: str) -> Iterator[tuple[str, ModuleType]]:
    module = _imported(name)
    if module is None:
        return
    yield name, module
    for below in sorted(entry.name for entry in pkgutil.iter_modules(getattr(module, "__path__", ()), f"{name}.")):
        if not _SUBMODULES_LEFT_OUT.search(below):
            yield from _with_submodules(below)


def _imported(name: str) -> ModuleType | None:
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(name)
        except _IMPORT_ERRORS:
            return None


def _module_documents(module: ModuleType, name: str, homes: dict[int, str]) -> Iterator[Document]:
    shown = "os.path" if module is os.path else name
    yield from _document(shown, module, module.__doc__, module=shown, kind="module")
    for attribute in sorted(vars(module)):
        thing = vars(module)[attribute]
        if homes.get(id(thing)) != name or attribute.startswith("__") or getattr(thing, "__name__", "") != attribute:
            continue
        if inspect.isclass(thing):
            yield from _class_documents(thing, f"{shown}.{attribute}", module=shown, depth=0)
        elif inspect.isroutine(thing):
            yield from _document(f"{shown}.{attribute}", thing, thing.__doc__, module=shown, kind="function")


def _class_documents(owner: type, title: str, *, module: str, depth: int) -> Iterator[Document]:
    kind = "exception" if issubclass(owner, BaseException) else "class"
    docstring = vars(owner).get("__doc__")
    # A data class without a docstring is given its signature as one.
    if not (dataclasses.is_dataclass(owner) and str(docstring).startswith(f"{owner.__name__}(")):
        yield from _document(title, owner, docstring, module=module, kind=kind)
    members = _members(owner)
    for name in sorted(members):
        member = members[name]
        if inspect.isclass(member):
            if depth < 2 and member.__qualname__ == f"{owner.__qualname__}.{name}":
                yield from _class_documents(member, f"{title}.{name}", module=module, depth=depth + 1)
            continue
        if isinstance(member, (staticmethod, classmethod)):
            member = member.__func__
        member_kind = "property" if isinstance(member, cached_property) else _KINDS.get(type(member).__name__)
        docstring = getattr(member, "__doc__", None)
        if member_kind is not None and docstring and not _is_inherited(owner, name, docstring):
            yield from _document(f"{title}.{name}", member, docstring, module=module, kind=member_kind)


def _members(owner: type) -> dict[str, Any]:
    """What a class defines, and what it has from a class that only the library itself should use."""
    members: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        if base is owner or (
            base.__module__ != "builtins" and not _is_public(f"{base.__module__}.{base.__qualname__}")
        ):
            members.update(vars(base))
    return members


def _document(title: str, thing: Any, docstring: object, *, module: str, kind: str) -> Iterator[Document]:
    if not isinstance(docstring, str) or not docstring.strip():
        return
    cleaned = inspect.cleandoc(docstring).encode("utf-8", "replace").decode("utf-8")
    yield Document(
        id=title,
        title=title,
        text=f"{title}{_signature(thing) if kind in ('class', 'function', 'method') else ''}\n\n{cleaned}",
        attributes={
            "module": module,
            "kind": kind,
            "public": _is_public(title),
            "length": len(cleaned),
            "version": platform.python_version(),
        },
    )


def _signature(thing: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            signature = inspect.signature(thing)
        except (ValueError, TypeError, AttributeError, NameError):
            return ""
        # Only plain defaults are shown: others differ between runs and machines (addresses, the environment, paths).
        parameters = [
            parameter if _is_plain(parameter.default) else parameter.replace(default=_Ellipsis())
            for parameter in signature.parameters.values()
        ]
        return _ADDRESS.sub("", str(signature.replace(parameters=parameters)))


class _Ellipsis:
    def __repr__(self) -> str:
        return "..."


def _is_plain(default: object) -> bool:
    if isinstance(default, tuple):
        return all(_is_plain(item) for item in default)
    plain = (bool, int, float, bytes, type(None))
    return default is inspect.Parameter.empty or type(default) in plain or (type(default) is str and "/" not in default)


def _is_inherited(owner: type, name: str, docstring: str) -> bool:
    bases = [base for base in owner.__mro__[1:] if base.__module__ == "builtins" or _is_public(base.__module__)]
    return any(getattr(vars(base).get(name), "__doc__", None) == docstring for base in bases)


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def _is_stdlib(module: str) -> bool:
    return module.partition(".")[0] in sys.stdlib_module_names


def main() -> None:
    """Print the documents of the modules named, or of all, a JSON object a line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int)
    parser.add_argument("modules", nargs="*")
    arguments = parser.parse_args()
    out = sys.stdout.buffer
    for document in library_documents(modules=arguments.modules or None, limit=arguments.limit):
        out.write(msgspec.json.encode(document) + b"\n")


if __name__ == "__main__":
    main()
