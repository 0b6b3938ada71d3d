"""JupyterLab and Chromium for the tests of the widgets; without them the tests are skipped, and say so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ferry_corpus import filled_store
from running_jupyter import Lab, browser, missing, running_lab

INSTALL = "apt-get install chromium; pip install -e '.[dev]'"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    absent = missing()
    if absent:
        message = f"tests/browser needs {', '.join(absent)}, which is not here: {INSTALL}"
        print(f"\n*** SKIPPED: {message}", file=sys.stderr)
        pytest.skip(message)
    with running_lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="session")
def chromium(lab: Lab) -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture
def page(chromium: Any, lab: Lab) -> Iterator[Any]:
    """A page that may ask this machine alone; what it asks elsewhere fails the test, as an error in it does."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000}, color_scheme="light")
    context.set_default_timeout(30_000)
    elsewhere: list[str] = []
    errors: list[str] = []

    def route(request: Any) -> None:
        if request.request.url.startswith((lab.url, "data:", "blob:")):
            request.continue_()
        else:
            elsewhere.append(request.request.url)
            request.abort()

    context.route("**/*", route)
    opened = context.new_page()
    # Our front ends come from blobs; JupyterLab's own errors are its own.
    opened.on("pageerror", lambda error: errors.append(error.stack) if "blob:" in (error.stack or "") else None)
    opened.on("dialog", lambda dialog: (errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    yield opened
    context.close()
    lab.stop_kernels()
    assert elsewhere == []
    assert errors == []
