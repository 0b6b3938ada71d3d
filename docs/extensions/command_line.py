"""The directive `command-line`: every command of `ragvec` with its arguments, from the parser itself."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from ragvec.cli.parser import build

__all__ = ["CommandLine", "commands", "setup"]

WIDTH = 86


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The name and the parser of each command below `parser`, with those below it, in the parser's order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield child.prog, child
                yield from commands(child)


class CommandLine(SphinxDirective):
    """`{command-line}`: a section for each command, holding its help."""

    def run(self) -> list[nodes.Node]:
        """A section for each command."""
        sections: list[nodes.Node] = []
        for name, parser in commands(build()):
            parser.formatter_class = _wide(parser.formatter_class)
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title(text=name)
            section += nodes.literal_block(text=parser.format_help(), language="text")
            self.state.document.note_implicit_target(section)
            sections.append(section)
        return sections


def _wide(formatter: Any) -> Any:
    """`formatter` for a page, whatever the width of the terminal that the site is built in."""
    return lambda prog: formatter(prog, width=WIDTH)


def setup(app: Any) -> dict[str, bool]:
    """Make the directive known."""
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
