from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ragvec.cli.main import main


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAGVEC_STORE", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def ragvec(store: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Run a command line on the test's own store, in this process."""

    def run(*words: object) -> Done:
        capsys.readouterr()
        status = main(["--store", str(store), *map(str, words)])
        out, err = capsys.readouterr()
        return Done(status, out, err)

    return run


@pytest.fixture
def process(store: Path) -> Callable[..., Done]:
    """Run `python -m ragvec` on the test's own store, in a process of its own."""

    def run(*words: object, stdin: str | bytes = b"", env: dict[str, str] | None = None) -> Done:
        done = subprocess.run(
            arguments(words),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "RAGVEC_STORE": str(store), **(env or {})},
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def arguments(words: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "ragvec", *map(str, words)]
