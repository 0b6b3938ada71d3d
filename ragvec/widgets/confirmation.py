"""A button that asks again before anything is lost."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets

from ragvec.errors import RagvecError
from ragvec.widgets.tables import html_error, html_said

__all__ = ["Confirmation"]


class Confirmation(ipywidgets.VBox):  # type: ignore[misc]
    """The button `label`. Pressed, it shows the sentence of `ask` on what will happen, and calls what `ask` gave beside
    it only when that is confirmed, which tells in a sentence what was done. What was asked is what is done, whatever
    the fields around it say by then. An error of either is shown, and nothing more is done."""

    def __init__(self, label: str, *, ask: Callable[[], tuple[str, Callable[[], str]]]) -> None:
        self.button = ipywidgets.Button(description=label, layout={"width": "auto"})
        self.yes = ipywidgets.Button(description=f"Yes, {label[:1].lower()}{label[1:]}", button_style="danger")
        self.no = ipywidgets.Button(description="No, leave it")
        self.yes.layout.width = self.no.layout.width = "auto"
        self.told = ipywidgets.HTML()
        self._question = ipywidgets.HBox([self.yes, self.no])
        self._ask = ask
        self._act: Callable[[], str] | None = None
        super().__init__([self.button, self.told])
        self.button.on_click(self._on_ask)
        self.yes.on_click(self._on_yes)
        self.no.on_click(lambda _: self._close(html_said("Nothing was changed.")))

    def _on_ask(self, _: object) -> None:
        try:
            sentence, self._act = self._ask()
        except RagvecError as error:
            self._close(html_error(str(error)))
            return
        self.told.value = html_said(sentence)
        self.button.disabled = True
        self._show(self.button, self.told, self._question)

    def _on_yes(self, _: object) -> None:
        if self._act is None:
            return
        try:
            done = html_said(self._act())
        except RagvecError as error:
            done = html_error(str(error))
        self._close(done)

    def _close(self, told: str) -> None:
        self._act = None
        self.told.value = told
        self.button.disabled = False
        self._show(self.button, self.told)

    def _show(self, *children: object) -> None:
        self.children = children
