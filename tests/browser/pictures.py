"""Pictures of the widgets for the documentation: `python tests/browser/pictures.py` writes docs/images.

The index is that of the handbook by MiniLM, made in a folder that is removed again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from running_jupyter import ANSWER_S, Lab, browser, missing, open_notebook, running_lab

import ragvec
from ragvec.evaluation import Experiment, grid, handbook

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
HANDBOOK = ROOT / "datasets" / "handbook"
QUESTION = "Can I still get my sign-in code by SMS?"


def fill(folder: Path, embedder: str) -> None:
    """The handbook's index, and an experiment's folder."""
    with ragvec.Store(folder / "store") as store:
        index = store.bucket("docs").index("handbook")
        pipeline = ragvec.Pipeline(index=index, embedder=embedder)
        pipeline.run(HANDBOOK / "documents", attributes=HANDBOOK / "attributes.jsonl", progress=False)
    Experiment(handbook(HANDBOOK), grid(way=["text", "dense", "query"]), folder=folder / "experiment").run()


def pictures(page: Any, lab: Lab, folder: Path) -> None:
    """All of them, in both themes where that tells more."""
    path = str(folder / "store")
    opened = f"import ragvec\nstore = ragvec.Store({path!r})\nindex = store.bucket('docs').index('handbook')\n"
    # Asked twice: the first time is that of the model, which is loaded then.
    made = f"from ragvec.widgets import SearchWidget\nw = SearchWidget(index, {QUESTION!r}, page_size=3)"
    search = f"{opened}{made}\nw.search()\nw"
    ready = ".ragvec .found .block.answers"

    def shoot(name: str, code: str, wait: str, act: Callable[[Any], None] | None = None, theme: str = "Light") -> None:
        open_notebook(page, lab, code, theme=f"JupyterLab {theme}")
        page.wait_for_selector(wait, timeout=ANSWER_S * 1e3)
        page.wait_for_timeout(700)
        if act is not None:
            act(page)
            page.wait_for_timeout(700)
        shown = page.locator(".jp-OutputArea-output").last
        shown.screenshot(path=str(IMAGES / f"{name}.png"), animations="disabled")

    shoot("search-light", search, ready)
    shoot("search-dark", search, ready, filtered, theme="Dark")
    shoot("search-source", search, ready, read)
    shoot("map", f"{opened}from ragvec.widgets import VectorMap\nVectorMap(index)", ".ragvec .legend button", lasso)
    experiment = (
        "from ragvec.evaluation import Experiment, grid, handbook\nfrom ragvec.widgets import EvaluationWidget\n"
        f"report = Experiment(handbook({str(HANDBOOK)!r}), grid(way=['text', 'dense', 'query']), "
        f"folder={str(folder / 'experiment')!r}).run()\nEvaluationWidget(report)"
    )
    shoot("evaluation", experiment, ".jp-OutputArea-output table")


def filtered(page: Any) -> None:
    page.get_by_text("Filter and access").click()
    page.locator("fieldset input").first.click()


def read(page: Any) -> None:
    page.locator(".found ol button.title").first.click()
    page.wait_for_selector(".source .here")


def lasso(page: Any) -> None:
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 120, box["y"] + 120)
    page.mouse.down()
    for x, y in ((300, 100), (330, 300), (110, 330)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    page.mouse.move(box["x"] + 210, box["y"] + 200)


def main() -> None:
    absent = missing()
    if absent:
        raise SystemExit(f"needs {', '.join(absent)}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, "minilm")
        with running_lab(folder / "lab") as lab, browser() as chromium:
            page = chromium.new_page(viewport={"width": 1180, "height": 1700})
            page.set_default_timeout(ANSWER_S * 1e3)
            pictures(page, lab, folder)


if __name__ == "__main__":
    main()
