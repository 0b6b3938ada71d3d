"""The search widget, in JupyterLab and a browser, as a person uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ferry_corpus import HOSTILE
from running_jupyter import ANSWER_S, Lab, open_notebook, set_theme

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright").expect


@pytest.fixture
def widget(page: Any, lab: Lab, store: Path) -> Any:
    """A widget over the ferries, on the screen; `w` in the notebook."""
    open_notebook(page, lab, cell(store))
    shown = page.locator(".ragvec")
    shown.locator(".found article").first.wait_for(timeout=ANSWER_S * 1e3)
    return shown


def cell(store: Path, more: str = "") -> str:
    return (
        "import ragvec\nfrom ragvec.widgets import SearchWidget\n"
        f"store = ragvec.Store({str(store)!r}, backend='exact')\n"
        f"w = SearchWidget(store.bucket('docs').index('ferries'){more})\nw"
    )


def count_of(widget: Any) -> int:
    text = widget.locator(".status").inner_text()
    return int(re.match(r"([\d,]+) document", text)[1])  # type: ignore[index]


def test_a_person_types_filters_pages_and_reads_the_source(widget: Any) -> None:
    expect(widget.locator(".status")).to_contain_text("26 documents · page 1 of 3")
    widget.get_by_role("combobox", name="Search").fill("bicycles on the morning ferry")
    widget.get_by_role("combobox", name="Search").press("Enter")
    expect(widget.locator(".found mark").first).to_be_visible()
    expect(widget.locator(".score").first).to_be_visible()
    everything = count_of(widget)

    box = widget.get_by_role("checkbox", name=re.compile("^Safety"))
    box.check()
    expect(widget.get_by_role("button", name="Remove the filter Department: Safety")).to_be_visible()
    safety = count_of(widget)
    assert 0 < safety < everything
    # The counts beside the chosen value stay, so that another one can be added.
    widget.get_by_role("checkbox", name=re.compile("^Sales")).check()
    expect(widget.locator(".status")).not_to_contain_text(f"{safety} documents")
    assert safety < count_of(widget) < everything
    widget.get_by_role("button", name="Clear all").click()
    expect(widget.locator(".status")).to_contain_text(f"{everything} documents")

    first = widget.locator(".found ol button.title").first.inner_text()
    widget.get_by_role("button", name="Next →").click()
    expect(widget.locator(".pager")).to_contain_text("Page 2 of")
    assert widget.locator(".found ol button.title").first.inner_text() != first
    widget.get_by_role("button", name="← Previous").click()
    expect(widget.locator(".found ol button.title").first).to_have_text(first)

    widget.locator(".found ol button.title").first.click()
    source = widget.locator(".source")
    expect(source.locator(".here")).to_be_visible()
    source.get_by_role("button", name="Close").click()
    expect(widget.locator(".source")).to_have_count(0)


def test_the_filter_builder_offers_fields_operators_and_values(widget: Any) -> None:
    widget.get_by_text("Filter and access").click()
    widget.get_by_label("Field").select_option("Priority")
    operators = widget.get_by_label("Condition").locator("option").all_inner_texts()
    assert operators == ["is", "is not", "at least", "at most", "is there", "is missing"]
    widget.get_by_label("Condition").select_option("at least")
    widget.get_by_label("Value").fill("4")
    widget.get_by_role("button", name="Add condition").click()
    expect(widget.get_by_role("button", name="Remove the filter Priority at least 4")).to_be_visible()
    expect(widget.locator(".status")).to_contain_text("6 documents")
    widget.get_by_label("Value").fill("many")
    widget.get_by_role("button", name="Add condition").click()
    expect(widget.get_by_role("alert")).to_contain_text("Expected a number for 'priority', got 'many'")
    expect(widget.locator(".status")).to_contain_text("6 documents")


def test_everything_can_be_done_from_the_keyboard(page: Any, widget: Any) -> None:
    box = widget.get_by_role("combobox", name="Search")
    box.focus()
    page.keyboard.type("bicycles")
    page.keyboard.press("Enter")
    expect(widget.locator(".found mark").first).to_be_visible()
    cells = page.locator(".jp-Cell").count()
    checkbox = widget.get_by_role("checkbox", name=re.compile("^Safety"))
    checkbox.focus()
    page.keyboard.press("Space")
    expect(widget.get_by_role("checkbox", name=re.compile("^Safety"))).to_be_checked()
    # What was replaced under the keyboard has the focus again.
    expect(widget.get_by_role("checkbox", name=re.compile("^Safety"))).to_be_focused()
    widget.locator(".found ol button.title").first.focus()
    page.keyboard.press("Enter")
    expect(widget.locator(".source .here")).to_be_visible()
    expect(widget.locator(".found ol button.title").first).to_be_focused()
    # JupyterLab's own keys (`a` adds a cell) do not act inside.
    page.keyboard.press("a")
    expect(page.locator(".jp-Cell")).to_have_count(cells)


def test_hostile_text_is_shown_and_never_run(page: Any, widget: Any) -> None:
    title = page.title()
    widget.get_by_role("combobox", name="Search").fill("parrot on the bridge")
    widget.get_by_role("combobox", name="Search").press("Enter")
    card = widget.locator("article[data-document=hostile]").first
    expect(card).to_contain_text(HOSTILE)
    expect(card.locator("button.title").first).to_contain_text(HOSTILE)
    card.locator("button.title").first.click()
    expect(widget.locator(".source").first).to_contain_text(HOSTILE)
    widget.get_by_role("checkbox", name=re.compile("img src")).check()
    expect(widget.locator(".chips")).to_contain_text("<img src=x")
    widget.get_by_role("combobox", name="Search").fill(HOSTILE)
    widget.get_by_role("combobox", name="Search").press("Enter")
    expect(widget.locator("[aria-busy=true]")).to_have_count(0)
    assert widget.locator("img, script, iframe").count() == 0
    assert page.title() == title


def test_python_and_the_page_see_each_other(page: Any, lab: Lab, store: Path, tmp_path: Path) -> None:
    qrels = tmp_path / "judged"
    judge = f", 'lifejackets', qrels={str(qrels)!r}"
    open_notebook(page, lab, cell(store, judge), "w.value = 'morning crossing'")
    shown = page.locator(".ragvec")
    expect(shown.get_by_role("combobox", name="Search")).to_have_value("morning crossing", timeout=ANSWER_S * 1e3)
    shown.get_by_role("combobox", name="Search").fill("lifejackets")
    shown.get_by_role("button", name="Search").click()
    card = shown.locator(".found ol article").first
    expect(card).to_contain_text("Lifejackets")
    card.get_by_role("button", name="Relevant: ", exact=False).first.click()
    expect(shown.locator("[aria-pressed=true]").first).to_be_visible()
    assert (qrels / "qrels.txt").read_text() == "q1 0 lifejackets 1\n"


def test_axe_finds_nothing_to_object_to(page: Any, lab: Lab, store: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    open_notebook(page, lab, cell(store, ", 'where are lifejackets kept on bicycles'"))
    shown = page.locator(".ragvec")
    shown.locator(".found article").first.wait_for(timeout=ANSWER_S * 1e3)
    shown.get_by_text("Filter and access").click()
    shown.get_by_text("Copy as code").click()
    shown.locator(".found ol button.title").first.click()
    shown.locator(".source").wait_for()
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        set_theme(page, theme)
        results = axe.Axe().run(page, context=".ragvec")
        assert results.violations_count == 0, f"{theme}: {results.generate_report()}"
