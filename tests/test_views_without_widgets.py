"""A front end that draws no widget, and closes no comm, shows every view as text: a real kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

REPR = re.compile(r"<?[A-Za-z_][\w.]*(\(.*\)| object at .*>)", re.DOTALL)
START = """
import asyncio, kit
from kit import bench, views
from kit.course import drawings
from kit.course.sample_logs import recorded
twin = kit.connect("twin", speed=100, quiet=True)
machine = kit.profile("h200x8")
def city(name: str) -> str:
    "The weather in a city."
    return "sunny"
"""
CELLS = {
    "figure": ("views.ledger(kit.plan(machine))", "GiB"),
    "table": ("views.family()", "397B"),
    "sliders": ("views.sliders(machine)", "tokens"),
    "builder": ("views.builder(machine)", "--tp-size"),
    "diagnose_log": ('views.diagnose_log(recorded("context-too-long").text)', "context"),
    "upload": ("views.upload(drawings.receipt())", "tokens"),
    "guess": ('_ = kit.guess("TTFT, in ms")', "TTFT, in ms: not yet"),
    "StreamView": ('_ = await views.StreamView(twin, "What is 15% of 240?").run()', "36"),
    "StreamView, not run": ('views.StreamView(twin, "What is 15% of 240?")', "run()"),
    "Trace": ('await views.trace(twin, "What is 15% of 240?", [city])', "36"),
    "trace": ('_ = await views.trace(twin, "What is 15% of 240?", [city])', "36"),
    "live_bench": (
        "_ = await views.live_bench(twin, bench.Workload(100, 20, 2, max_concurrency=1))",
        "TTFT",
    ),
    "progress": ('views.progress("requests")(1, 4)', "1 of 4 requests"),
    "fold": ('kit.fold("The whole", "all of it")', "all of it"),
}


class FrontEnd:
    """One that runs cells, may be asked for input, and knows text alone."""

    def __init__(self) -> None:
        self._manager, self._client = start_new_kernel()

    def shows(self, cell: str) -> list[dict[str, Any]]:
        """What stands under a cell at its end, a bundle for each output."""
        outputs: list[dict[str, Any]] = []
        named: dict[str, dict[str, Any]] = {}

        def take(message: dict[str, Any]) -> None:
            kind, content = message["msg_type"], message["content"]
            if kind == "error":
                raise AssertionError("\n".join(content["traceback"]))
            if kind not in ("display_data", "execute_result", "update_display_data"):
                return
            name = content.get("transient", {}).get("display_id", "")
            if kind == "update_display_data":
                named[name].clear()
                named[name].update(content["data"])
                return
            outputs.append(dict(content["data"]))
            named[name] = outputs[-1]

        self._client.execute_interactive(cell, allow_stdin=True, output_hook=take, timeout=60)
        return outputs

    def prints(self, cell: str) -> str:
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        self._client.execute_interactive(cell, output_hook=take, timeout=60)
        return "".join(printed)

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def front_end() -> Iterator[FrontEnd]:
    made = FrontEnd()
    try:
        made.shows(START)
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("name", CELLS)
def test_it_is_read_as_text(front_end: FrontEnd, name: str) -> None:
    cell, said = CELLS[name]
    plain = [str(output.get("text/plain", "")) for output in front_end.shows(cell)]
    assert plain
    assert not [text for text in plain if REPR.fullmatch(text.strip())]
    assert said in "\n".join(plain)


COLAB = """
import sys, types
for name in ("google", "google.colab", "google.colab.output", "google.colab.output._widgets"):
    sys.modules[name] = types.ModuleType(name)
manager = sys.modules["google.colab.output._widgets"]
manager._installed_url = None
from kit.views import frontend
async def yes(): return True
frontend._closes_unknown_comm, frontend._answered = yes, None
"""


def test_on_colab_it_says_how_widgets_are_turned_on_and_shows_text_until_then(
    front_end: FrontEnd,
) -> None:
    """With the module of googlecolab/colabtools simulated: its manager is off at first."""
    front_end.shows(COLAB)
    asks = "print(await frontend.has_page(), await frontend.has_page())"
    printed = front_end.prints(asks)
    assert printed.count("output.enable_custom_widget_manager()") == 1
    assert "False False" in printed
    shown = front_end.shows(CELLS["builder"][0])
    assert not [one for one in shown if "application/vnd.jupyter.widget-view+json" in one]
    front_end.shows("manager._installed_url = 'https://…/manager.min.js'")
    assert front_end.prints(asks).strip() == "True True"
