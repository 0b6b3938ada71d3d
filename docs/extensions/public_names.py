"""The directive `public-names`: every name in a package's `__all__`, with its docstring and its members."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import msgspec
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

__all__ = ["PACKAGES", "PublicNames", "entries", "setup"]

# One thing has one description: in the first of these packages that makes it public.
PACKAGES = (
    "ragvec.errors",
    "ragvec",
    "ragvec.pipeline",
    "ragvec.kendra",
    "ragvec.langchain",
    "ragvec.evaluation",
    "ragvec.widgets",
)


def entries(package: str) -> list[str]:
    """The lines of autodoc directives for the names that `package` makes public, in the order of the alphabet.

    A name that an earlier one of `PACKAGES` describes refers to that description.
    """
    module = importlib.import_module(package)
    lines: list[str] = []
    for name in sorted(module.__all__, key=str.lower):
        if name.startswith("__"):
            continue
        value = getattr(module, name)
        first = _first(name, value)
        if first != package:
            lines += [f"``{name}``", f"   :py:obj:`{first}.{name}`", ""]
        elif inspect.isclass(value):
            kind = "exception" if issubclass(value, BaseException) else "class"
            bases = [f"   {option}" for option in _inheritance(value)]
            lines += [f".. auto{kind}:: {package}.{name}{_fields(value)}", "   :members:", *bases, ""]
        elif inspect.isroutine(value):
            lines += [f".. autofunction:: {package}.{name}", ""]
        else:
            lines += [f".. py:data:: {package}.{name}", f"   :type: {type(value).__name__}", ""]
    return lines


def _inheritance(value: type) -> list[str]:
    """autodoc's options for what a class inherits.

    Bases that are ragvec's own affair divide a class into files, and their members are shown as its own; those that
    somebody may know, of other packages or among the errors, are named.
    """
    ancestors = [base for base in value.__mro__[1:] if base.__module__.partition(".")[0] not in ("builtins", "msgspec")]
    if not ancestors:
        return []
    own = all(base.__module__.startswith("ragvec.") for base in ancestors) and not issubclass(value, BaseException)
    return [":inherited-members:"] if own else [":show-inheritance:"]


def _fields(value: type) -> str:
    """The signature of a msgspec structure, as its annotations are written; nothing for other classes.

    autodoc would print every default in full, and some are forty lines long.
    """
    if not issubclass(value, msgspec.Struct):
        return ""
    written = {name: said for base in reversed(value.__mro__) for name, said in inspect.get_annotations(base).items()}
    names, defaults = value.__struct_fields__, value.__struct_defaults__
    required = [msgspec.NODEFAULT] * (len(names) - len(defaults))
    shown = [] if value.__match_args__ else ["*"]
    for name, default in zip(names, [*required, *defaults], strict=True):
        given = "" if default is msgspec.NODEFAULT else f" = {repr(default) if _literal(default) else '...'}"
        shown.append(f"{name}: {written[name]}{given}")
    return f"({', '.join(shown)})"


def _literal(value: object) -> bool:
    """Whether `value` is shown as it would be typed."""
    return value is None or isinstance(value, (bool, int, float, str, tuple))


def _first(name: str, value: object) -> str:
    """The first of `PACKAGES` that makes `value` public as `name`."""
    modules = map(importlib.import_module, PACKAGES)
    return next(home.__name__ for home in modules if name in home.__all__ and getattr(home, name) is value)


class PublicNames(SphinxDirective):
    """`{public-names} PACKAGE`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of all entries."""
        package = self.arguments[0]
        container = nodes.section()
        container.document = self.state.document
        lines = StringList(entries(package), source=f"{package}.__all__")
        self.state.nested_parse(lines, self.content_offset, container, match_titles=True)
        return container.children


def setup(app: Any) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("public-names", PublicNames)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
