"""Paste a server's log, read the answer: what `kit diagnose` prints, in a page.

diagnose_log()               # a field and a button
diagnose_log(recorded("flag-gone").text)

What is pasted is text, and stays text: nothing of it is run or drawn.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from kit.errors import KitError
from kit.server.failures import Diagnosis, examine
from kit.server.log_text import read
from kit.views.live import Bundle, ControlledOutput
from kit.views.safe_markdown import html_text

if TYPE_CHECKING:
    import ipywidgets

_EMPTY = "No log yet: paste one, then press the button."
_STEP = "margin:4px 0 4px 1.5em;"
_LOG = "margin:4px 0 4px 1.5em;font-family:monospace;overflow-wrap:anywhere;opacity:0.85;"
_HEAD = "margin:8px 0 4px;font-weight:600;"


class LogDiagnosis(ControlledOutput):
    """A log and what it shows. `diagnosis` is None where there is no log, or `problem` says why."""

    def __init__(self, log: str = "") -> None:
        self.log = log
        self.diagnosis: Diagnosis | None = None
        self.problem: KitError | None = None
        self._examine()

    def set(self, log: str) -> None:
        """Another log."""
        self.log = log
        self._examine()
        self.redraw()

    def _examine(self) -> None:
        self.diagnosis = self.problem = None
        if not self.log.strip():
            return
        try:
            data = io.BytesIO(self.log.encode("utf-8", "replace"))
            self.diagnosis = examine(read(data, "what was pasted"))
        except KitError as error:
            self.problem = error

    def controls(self) -> ipywidgets.Box:
        """The field, under its label, and the button that reads it."""
        import ipywidgets as w

        field = w.Textarea(
            value=self.log,
            description="The server's log",
            placeholder="Paste it here: the whole log, or what you have of it",
            continuous_update=False,
            rows=8,
            style={"description_width": "initial"},
            layout={"width": "auto"},
        )
        button = w.Button(description="Read the log", button_style="primary")
        # a click may overtake the text that it was about, so the text counts when it comes, too
        field.observe(lambda change: self.set(change["new"]), names="value")
        button.on_click(lambda _: self.set(field.value))
        return w.VBox([field, button]).add_class("kit-diagnose")

    def bundle(self) -> Bundle:
        text = str(self.diagnosis or self.problem or _EMPTY)
        lines = "".join(
            f'<div style="{_style(line)}">{html_text(line)}</div>' for line in _said(text)
        )
        return {
            "text/html": f'<div class="kit-diagnosis" role="status">{lines}</div>',
            "text/plain": text,
        }


def diagnose_log(log: str = "") -> LogDiagnosis:
    """A field to paste a server's log into, and a button: under it stands how far the server came,
    what went wrong and what to change. `log` is what it holds at first.
    """
    return LogDiagnosis(log)


def _said(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def _style(line: str) -> str:
    """A heading, a line of the log, or a step."""
    if not line.startswith("  "):
        return _HEAD
    return _LOG if line.startswith("  line ") else _STEP
