"""The map of vectors, the store explorer and the evaluation widget, in JupyterLab and a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ferry_corpus import HOSTILE
from running_jupyter import ANSWER_S, Lab, open_notebook, set_theme

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright").expect

OPENED = "import ragvec\nfrom ragvec import widgets\nstore = ragvec.Store({!r}, backend='exact')\n"


def test_a_lasso_and_the_legend_choose_points(page: Any, lab: Lab, store: Path) -> None:
    made = OPENED.format(str(store)) + "w = widgets.VectorMap(store.bucket('docs').index('ferries'))\nw"
    open_notebook(page, lab, made)
    shown = page.locator(".ragvec-map")
    status = shown.locator("[role=status]")
    expect(status).to_contain_text("vectors, PCA", timeout=ANSWER_S * 1e3)
    every = int(status.inner_text().split()[0])
    expect(shown.locator(".legend")).to_contain_text(HOSTILE[:60])
    box = shown.locator("canvas").bounding_box()
    side = box["width"]
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    for x, y in ((side - 2, 2), (side - 2, side - 2), (2, side - 2)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=3)
    page.mouse.up()
    expect(status).to_contain_text(f"{every} chosen")
    shown.get_by_role("button", name="Choose none").click()
    expect(status).not_to_contain_text("chosen")
    value = shown.get_by_role("button", name="Sales")
    value.focus()
    page.keyboard.press("Enter")
    expect(value).to_have_attribute("aria-pressed", "true")
    expect(status).to_contain_text("chosen")
    assert page.locator("img[src=x]").count() == 0
    shown.get_by_label("Colour by").select_option("Priority")
    expect(shown.locator(".legend")).not_to_contain_text("Sales")


def test_the_explorer_pages_maps_and_asks_before_it_deletes(page: Any, lab: Lab, store: Path) -> None:
    open_notebook(page, lab, OPENED.format(str(store)) + "w = widgets.StoreExplorer(store)\nw")
    shown = page.locator(".jp-OutputArea-output").last
    expect(shown).to_contain_text("1 to 20 of", timeout=ANSWER_S * 1e3)
    shown.get_by_role("button", name="Next →").click()
    expect(shown).to_contain_text("21 to ")
    shown.get_by_role("tab", name="Metadata").click()
    expect(shown).to_contain_text("most frequent")
    expect(shown).to_contain_text("<img src=x")
    shown.get_by_role("tab", name="Map").click()
    shown.locator(".legend").get_by_role("button", name="Safety").click()
    shown.get_by_role("tab", name="Records").click()
    expect(shown).to_contain_text("chosen records")
    shown.get_by_role("tab", name="Change").click()
    shown.get_by_role("button", name="Delete the index").click()
    expect(shown).to_contain_text("will be deleted, for good")
    shown.get_by_role("button", name="No, leave it").click()
    expect(shown).to_contain_text("Nothing was changed.")
    assert page.locator("img[src=x]").count() == 0


def test_a_report_is_read_by_query(page: Any, lab: Lab, tmp_path: Path) -> None:
    made = (
        "from ragvec import widgets\nfrom ragvec.evaluation import Collection, Configuration, Experiment\n"
        "from ragvec.pipeline.documents import Document\n"
        f"hostile = {HOSTILE!r}\n"
        "documents = [Document(id=f'd{n}', title=hostile, text=f'Pier number {n} of the ferry') for n in range(9)]\n"
        "queries = {'q1': hostile + ' pier 3', 'q2': 'pier 5'}\n"
        "collection = Collection(name='piers', documents=documents, queries=queries,\n"
        "    qrels={'q1': {'d3': 1}, 'q2': {'d5': 1}})\n"
        "made = [Configuration(name=way, way=way, embedder='hashing:64') for way in ('text', 'dense')]\n"
        f"report = Experiment(collection, made, folder={str(tmp_path / 'work')!r}).run()\n"
        "w = widgets.EvaluationWidget(report)\nw"
    )
    open_notebook(page, lab, made)
    shown = page.locator(".jp-OutputArea-output").last
    expect(shown).to_contain_text("piers: configurations", timeout=ANSWER_S * 1e3)
    shown.get_by_label("Query").select_option(index=1)
    expect(shown).to_contain_text("Where the relevant documents are")
    shown.get_by_label("Measure").select_option(index=1)
    expect(shown.locator("table").first).to_contain_text("the baseline")
    assert page.locator("img[src=x]").count() == 0


def test_axe_finds_nothing_to_object_to_in_the_map(page: Any, lab: Lab, store: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    made = OPENED.format(str(store)) + "widgets.VectorMap(store.bucket('docs').index('ferries'))"
    open_notebook(page, lab, made)
    page.locator(".ragvec-map .legend button").first.click(timeout=ANSWER_S * 1e3)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(page, theme)
        results = axe.Axe().run(page, context=".ragvec-map")
        assert results.violations_count == 0, f"{theme}: {results.generate_report()}"
