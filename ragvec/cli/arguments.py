"""Argument types, and what the parsers of all commands share. A wrong value is a usage error with what was expected."""

from __future__ import annotations

import argparse
import json
import math
import textwrap
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = [
    "Commands",
    "Target",
    "add_where",
    "command",
    "count",
    "json_object",
    "json_vector",
    "target",
]

Commands = argparse._SubParsersAction
Run = Callable[..., int]


class Target(NamedTuple):
    """An index as people write it: BUCKET/INDEX."""

    bucket: str
    name: str

    def __str__(self) -> str:
        return f"{self.bucket}/{self.name}"


def target(text: str) -> Target:
    """Read BUCKET/INDEX; whether the two names are allowed is for the store to say."""
    bucket, slash, index = text.partition("/")
    if not (bucket and slash and index) or "/" in index:
        raise argparse.ArgumentTypeError(f"expected BUCKET/INDEX, such as demo/handbook; got {text!r}")
    return Target(bucket, index)


def count(text: str) -> int:
    """Read a whole number from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1; got {text!r}")
    return number


def json_object(text: str) -> dict[str, Any]:
    """Read a JSON object."""
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f'expected a JSON object, such as {{"year": 2024}}; got {text!r}')
    return value


def json_vector(text: str) -> list[float]:
    """Read a JSON list of finite numbers, or an object that holds one as `float32`, as boto3 writes vectors."""
    value = _json(text)
    if isinstance(value, dict) and list(value) == ["float32"]:
        value = value["float32"]
    if not isinstance(value, list) or not value:
        raise argparse.ArgumentTypeError(f"expected a JSON list of numbers, such as [0.1, 0.2]; got {_short(text)}")
    for at, number in enumerate(value):
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not math.isfinite(number):
            raise argparse.ArgumentTypeError(f"expected finite numbers, got {number!r} - at [{at}]")
    return value


def add_where(parser: argparse.ArgumentParser, *, help: str) -> None:  # noqa: A002 - argparse's own word
    """Add `--where JSON`."""
    parser.add_argument("--where", metavar="JSON", type=json_object, help=help)


def command(
    commands: Commands[argparse.ArgumentParser],
    name: str,
    *,
    run: Run | None,
    summary: str,
    description: str = "",
    examples: str = "",
    parents: tuple[argparse.ArgumentParser, ...] = (),
) -> argparse.ArgumentParser:
    """Add a command that calls `run(arguments, output)`; `examples` stand below its options, one a line.

    Paragraphs of `description` are parted by empty lines.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=_wrapped(description or summary[:1].upper() + summary[1:] + "."),
        epilog=f"examples:\n{_indented(examples)}" if examples else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
        allow_abbrev=False,
    )
    if run is not None:
        parser.set_defaults(run=run)
    return parser


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); got {_short(text)}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("not usable JSON: nested too deeply") from None


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _wrapped(text: str) -> str:
    """Paragraphs filled to the width of a small terminal; one with an indented line is left as it is."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if "\n " in part else textwrap.fill(part, 78) for part in paragraphs)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" if line else "" for line in text.strip().splitlines())
