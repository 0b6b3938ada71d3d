from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ragvec.cli.main import main
from ragvec.cli.parser import build

Run = Callable[..., Any]


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from commands(inner, (*path, name))


COMMANDS = list(commands(build()))


def test_every_command_of_the_contract_is_there() -> None:
    names = {path[0] for path in COMMANDS if path}
    assert names == {
        "backup", "buckets", "cache", "compact", "demo", "evaluate", "export", "import", "indexes", "ingest",
        "migrate", "query", "repair", "restore", "serve", "stats", "vectors", "verify", "version",
    }  # fmt: skip
    assert {path[1] for path in COMMANDS if path[:1] == ("vectors",) and len(path) == 2} == {
        "count", "delete", "get", "list", "put", "query",
    }  # fmt: skip


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_fits_80_columns_and_gives_examples(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*path, "--help"]) == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert f"ragvec {' '.join(path)}".strip() in text.partition("examples:")[2]
    for option in ("--store DIR", "--json"):
        assert option in text
    # Examples are to be copied whole; everything else fits.
    assert max(len(line) for line in text.partition("examples:")[0].splitlines()) <= 80


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    parser = build()
    for name in path:
        (action,) = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        parser = action.choices[name]
    for option in parser._actions:
        if option.option_strings:
            assert option.help, f"{path}: {option.option_strings}"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["frobnicate"], "invalid choice: 'frobnicate'"),
        (["query", "handbook", "leave"], "expected BUCKET/INDEX, such as demo/handbook; got 'handbook'"),
        (["query", "a/b/c", "leave"], "expected BUCKET/INDEX, such as demo/handbook; got 'a/b/c'"),
        (["query", "/b", "leave"], "expected BUCKET/INDEX"),
        (["query", "a/b"], "the following arguments are required: TEXT"),
        (["query", "a/b", "x", "--page", "0"], "expected a whole number from 1; got '0'"),
        (["query", "a/b", "x", "--page-size", "many"], "expected a whole number from 1; got 'many'"),
        (["query", "a/b", "x", "--where", "{year: 1}"], "not JSON"),
        (["query", "a/b", "x", "--where", "[1]"], "expected a JSON object"),
        (["query", "a/b", "x", "--where", '{"year": NaN}'], "NaN is not a JSON number"),
        (["query", "a/b", "x", "--frob"], "unrecognized arguments: --frob"),
        (["query", "a/b", "x", "--pag", "1"], "unrecognized arguments: --pag 1"),
        (["query", "a/b", "x", "--passages", "--sort", "year"], "leave out --facet and --sort"),
        (["vectors"], "the following arguments are required: ACTION"),
        (["vectors", "query", "a/b"], "expected --vector, --key or --text"),
        (["vectors", "query", "a/b", "--key", "x", "--in", "title"], "--by, --in and --fusion belong to --text"),
        (["vectors", "query", "a/b", "--text", "x", "--by", "meaning", "--in", "y"], "--by meaning takes the place of"),
        (["vectors", "query", "a/b", "--vector", "[1]", "--key", "x"], "not allowed with argument --vector"),
        (["vectors", "query", "a/b", "--vector", "[1, true]"], "expected finite numbers, got True - at [1]"),
        (["vectors", "query", "a/b", "--vector", "[1e999]"], "expected finite numbers, got inf - at [0]"),
        (["vectors", "query", "a/b", "--vector", "[]"], "expected a JSON list of numbers"),
        (["vectors", "delete", "a/b", "--yes"], "expected keys, or --where with a filter, and not both"),
        (["vectors", "delete", "a/b", "k", "--where", "{}", "--yes"], "and not both"),
        (["indexes", "create", "a/b"], "the following arguments are required: --dimension"),
        (["indexes", "create", "a/b", "--dimension", "3", "--metric", "dot"], "invalid choice: 'dot'"),
        (["export", "a/b", "-", "--json"], "name a file or leave out --json"),
        (["ingest", "docs"], "the following arguments are required: --into"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_was_expected(ragvec: Run, words: list[str], message: str) -> None:
    done = ragvec(*words)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_without_a_command_the_help_is_shown_and_the_exit_code_is_that_of_wrong_usage(ragvec: Run) -> None:
    done = ragvec()
    assert (done.status, done.out) == (2, "")
    assert "commands:" in done.err


def test_version(ragvec: Run) -> None:
    import ragvec as package

    assert ragvec("version").out == f"ragvec {package.__version__}\n"
    assert ragvec("version", "--json").json["ragvec"] == package.__version__


def test_version_loads_nothing_heavy() -> None:
    code = (
        "import sys; from ragvec.cli.main import main; main(['version']);"
        "print({'numpy', 'msgspec', 'rich', 'tqdm', 'sqlite3', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == ["set()"]


def test_options_of_every_command_stand_before_or_after_its_name(tmp_path: Path, capsys: Any) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert main(["--store", str(first), "buckets", "create", "one"]) == 0
    assert main(["buckets", "create", "two", "--store", str(second)]) == 0
    capsys.readouterr()
    assert main(["--json", "buckets", "list", "--store", str(first)]) == 0
    assert '"bucket":"one"' in capsys.readouterr().out
    assert main(["buckets", "--json", "--store", str(second), "list"]) == 0
    assert '"bucket":"two"' in capsys.readouterr().out


def test_the_store_comes_from_the_environment_and_an_option_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAGVEC_STORE", str(tmp_path / "environment"))
    assert main(["buckets", "create", "one"]) == 0
    assert main(["buckets", "create", "one", "--store", "option"]) == 0
    monkeypatch.delenv("RAGVEC_STORE")
    assert main(["buckets", "create", "one"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["environment", "option", "ragvec-store"]


@pytest.mark.parametrize(
    "words", [("buckets",), ("stats",), ("indexes", "create", "a/b", "--dimension", "2"), ("vectors", "count", "a/b")]
)
def test_no_store_is_made_by_commands_that_need_one(ragvec: Run, store: Path, words: tuple[str, ...]) -> None:
    done = ragvec(*words)
    assert done.status == 1
    assert done.err.startswith(f"ragvec: error: No store at {store}: expected a folder made by ragvec")
    assert not store.exists()


def test_a_folder_of_other_things_is_refused_and_left_alone(ragvec: Run, store: Path) -> None:
    store.mkdir()
    (store / "letter.txt").write_text("Dear")
    for words in (("buckets",), ("buckets", "create", "one")):
        done = ragvec(*words)
        assert done.status == 1
        assert re.fullmatch(r"ragvec: error: .*\n", done.err)
    assert [path.name for path in store.iterdir()] == ["letter.txt"]


def test_errors_are_one_line_on_standard_error(ragvec: Run) -> None:
    ragvec("buckets", "create", "work")
    for words, message in (
        (("indexes", "create", "nope/x", "--dimension", "2"), "No bucket 'nope': the store has work"),
        (("vectors", "count", "work/x"), "No index 'x' in bucket 'work': it has none"),
        (("buckets", "create", "work"), "exists"),
        (("buckets", "create", "Upper"), "Invalid vector bucket name"),
    ):
        done = ragvec(*words)
        assert (done.status, done.out) == (1, "")
        assert re.fullmatch(r"ragvec: error: .*\n", done.err)
        assert message in done.err


def test_a_bug_keeps_its_traceback(ragvec: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ragvec.store.Store.buckets", fail)
    ragvec("buckets", "create", "work")
    with pytest.raises(ZeroDivisionError):
        ragvec("buckets", "list")


def lines_for(count: int) -> str:
    return "".join(f'{{"key": "{n:06d}", "data": [1, {n}], "metadata": {{"n": {n}}}}}\n' for n in range(count))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE convention")
@pytest.mark.parametrize(
    "words",
    [
        ("vectors", "list", "work/notes", "--limit", "5000"),
        ("vectors", "list", "work/notes", "--limit", "5000", "--json"),
        ("export", "work/notes", "-"),
    ],
)
def test_a_reader_that_goes_away_ends_the_command_quietly(
    ragvec: Run, store: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(lines_for(5000))
    ragvec("buckets", "create", "work")
    ragvec("indexes", "create", "work/notes", "--dimension", "2")
    assert ragvec("vectors", "put", "work/notes", path).status == 0
    command = [sys.executable, "-m", "ragvec", "--store", str(store), *words]
    # Unbuffered, Python itself loses the rest of a write that a closed pipe cut short, without an error.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert len(running.stdout.read(100)) == 100
        running.stdout.close()
        errors = running.stderr.read()
        assert (running.wait(timeout=60), errors) == (141, b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for children")
def test_an_interrupt_exits_with_130_and_one_line(ragvec: Run, store: Path) -> None:
    ragvec("buckets", "create", "work")
    ragvec("indexes", "create", "work/notes", "--dimension", "2")
    command = [sys.executable, "-m", "ragvec", "--store", str(store), "vectors", "put", "work/notes", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None
        # More than a pipe holds: once it is written, the command is reading, and waits for the rest.
        running.stdin.write(lines_for(4000).encode())
        running.stdin.flush()
        running.send_signal(signal.SIGINT)
        out, errors = running.communicate(timeout=60)
    assert (running.returncode, out, errors) == (130, b"", b"ragvec: error: interrupted\n")
