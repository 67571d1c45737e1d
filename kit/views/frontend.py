"""What is known of the front end: whether a page draws, whether a reader can be asked.

That has to be known before a widget is made: nbclient and papermill save the state of every
widget that was ever opened, 320 kB for a stream view, closed or not.
"""

from __future__ import annotations

import asyncio
import sys
from functools import cache
from pathlib import Path
from typing import Any

from kit import page

STATIC = Path(__file__).parent / "static"
"""The JavaScript and CSS of the widgets."""

COLAB_WIDGETS = "from google.colab import output; output.enable_custom_widget_manager()"
"""What turns them on there: google/colab/output/_widgets.py of googlecolab/colabtools."""

WIDGET = "application/vnd.jupyter.widget-view+json"
_PATIENCE_S = 1.0

_answered: bool | None = None  # what this kernel's front end answered


@cache
def page_script() -> str:
    """HTML that an output brings along: with it figures follow the width of the page (in a narrow
    one they have a single column, the legend below), and sliders carry their names."""
    return f"<script>{(STATIC / 'outputs.js').read_text(encoding='utf-8')}</script>"


async def has_page() -> bool:
    """Whether a front end will draw what this cell shows.

    JupyterLab and VS Code name the cell in every request. Any other front end has to close a comm
    whose target it does not know (Jupyter's messaging protocol), and a headless client does not
    answer; it is asked once per kernel.
    """
    global _answered
    kernel = _kernel()
    if kernel is None or widgets_are_off():
        return False
    if "cellId" in kernel.get_parent().get("metadata", {}):
        return True
    if _answered is None:
        _answered = await _closes_unknown_comm()
    return _answered


def widgets_are_off() -> bool:
    """Whether this is Colab, and does not draw the widgets of others: so it is at first. Says
    once how they are turned on."""
    manager = sys.modules.get("google.colab.output._widgets")
    off = "google.colab" in sys.modules and not getattr(manager, "_installed_url", None)
    if off:
        _say_how_to_turn_them_on()
    return off


@cache
def _say_how_to_turn_them_on() -> None:
    print("Colab shows the course's widgets as text → " + COLAB_WIDGETS)


def has_reader() -> bool:
    """Whether somebody sees this cell run, who can type and click.

    JupyterLab allows to ask for input with each request; nbclient, and with it papermill and
    nbconvert, does not. Python in a browser's page runs only where it is looked at.
    """
    return page.HERE or bool(getattr(_kernel(), "_allow_stdin", False))


def widget_bundle(widget: Any, text: str) -> dict[str, Any]:
    """A widget as an output, with `text` for where none is drawn: its own would be a repr."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {WIDGET: view, "text/plain": text}


def _kernel() -> Any:
    """The IPython kernel that this runs in; None outside a kernel."""
    from IPython.core.getipython import get_ipython

    return getattr(get_ipython(), "kernel", None)


async def _closes_unknown_comm() -> bool:
    from comm import create_comm

    closed = asyncio.Event()
    probe = create_comm(target_name="kit.is-a-page-there")
    probe.on_close(lambda _: closed.set())
    try:
        await asyncio.wait_for(closed.wait(), _PATIENCE_S)
    except TimeoutError:
        probe.close()
    return closed.is_set()
