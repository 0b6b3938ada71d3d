"""A JupyterLab of its own in a folder, and a Chromium that looks at it."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

NEEDED = ("jupyterlab", "playwright", "anywidget", "ipywidgets")
ANSWER_S = 120.0


def chromium() -> str | None:
    """Where the browser is."""
    given = os.environ.get("RAGVEC_CHROMIUM")
    return given or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def missing() -> list[str]:
    """What has to be installed before anything here can run."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None] + (
        ["chromium"] if not chromium() else []
    )


class Lab:
    """A running JupyterLab: its address, its token, and the folder that it shows."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.token, self.folder = url, token, folder

    def notebook(self, *cells: str) -> str:
        """The address of a new notebook with these cells."""
        name = f"{uuid.uuid4().hex[:8]}.ipynb"
        made = [
            {
                "cell_type": "code",
                "execution_count": None,
                "id": f"c{at}",
                "metadata": {},
                "outputs": [],
                "source": cell,
            }
            for at, cell in enumerate(cells)
        ]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        written = {"cells": made, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        (self.folder / name).write_text(json.dumps(written), encoding="utf-8")
        # A workspace of its own: none of the documents of tests before.
        return f"{self.url}lab/workspaces/{name[:8]}/tree/{name}?token={self.token}"

    def stop_kernels(self) -> None:
        """End every kernel that runs."""
        for kernel in json.loads(self._ask("GET", "api/kernels")):
            self._ask("DELETE", f"api/kernels/{kernel['id']}")

    def _ask(self, method: str, path: str) -> bytes:
        asked = Request(f"{self.url}{path}", method=method, headers={"Authorization": f"token {self.token}"})
        with urlopen(asked, timeout=ANSWER_S) as answer:
            return bytes(answer.read())


@contextmanager
def running_lab(folder: Path) -> Iterator[Lab]:
    """JupyterLab on a free port of this machine, with nothing from the user's own settings."""
    work, runtime = folder / "work", folder / "runtime"
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    for made in (work, runtime, settings):
        made.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(
        json.dumps({"fetchNews": "false", "checkForUpdates": False}), encoding="utf-8"
    )
    token = uuid.uuid4().hex
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    arguments = [
        "--no-browser",
        "--allow-root",
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.port=0",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={work}",
        "--LabApp.expose_app_in_browser=True",
        "--ServerApp.terminals_enabled=False",
    ]
    log = folder / "lab.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *arguments],
            env=environment,
            cwd=work,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Lab(_address(process, runtime, log), token, work)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen[bytes], runtime: Path, log: Path) -> str:
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        assert process.poll() is None, f"JupyterLab ended: {log.read_text(errors='replace')[-2000:]}"
        for file in runtime.glob("jpserver-*.json"):
            try:
                return str(json.loads(file.read_text(encoding="utf-8"))["url"])
            except (ValueError, KeyError):
                continue  # it is being written
        time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not begin in {ANSWER_S:.0f} s: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in containers, Chromium runs without its sandbox or not at all; it sees our own pages alone.
        options = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        started = playwright.chromium.launch(executable_path=chromium(), args=options)
        try:
            yield started
        finally:
            started.close()


def open_notebook(page: Any, lab: Lab, *cells: str, theme: str = "JupyterLab Light") -> None:
    """Open a new notebook with these cells alone, in a theme, and run it; who calls waits for what it shows."""
    page.goto(lab.notebook(*cells))
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=ANSWER_S * 1e3)
    page.wait_for_function(
        "globalThis.jupyterapp?.commands.hasCommand('apputils:change-theme')", timeout=ANSWER_S * 1e3
    )
    set_theme(page, theme)
    page.evaluate("void jupyterapp.commands.execute('application:set-mode', {mode: 'single-document'})")
    page.evaluate("jupyterapp.shell.collapseLeft()")
    kernel = "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"{kernel}?.status === 'idle'", timeout=ANSWER_S * 1e3)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")


def set_theme(page: Any, theme: str) -> None:
    """Have JupyterLab in this theme, and wait until it is."""
    page.evaluate("theme => void jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    page.wait_for_function("theme => document.body.dataset.jpThemeName === theme", arg=theme, timeout=ANSWER_S * 1e3)
