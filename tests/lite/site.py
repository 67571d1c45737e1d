"""The site of `make lite` in chromium, below a path, and without any other host."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("KIT_LITE_SITE") or ROOT / "build" / "lite")
CHROMIUM = "/usr/bin/chromium"
BELOW = "a/course"  # the path that the site is served below
TABLET = (820, 1180)


def launch(playwright: Any, profile: Path, size: tuple[int, int] = (1280, 900)) -> Any:
    """A browser with a profile of its own that finds no other host."""
    return playwright.chromium.launch_persistent_context(
        str(profile),
        executable_path=CHROMIUM,
        viewport={"width": size[0], "height": size[1]},
        args=["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
    )


class Page:
    """A lesson open in the site. `elsewhere` are the requests that went to another host."""

    def __init__(self, context: Any, address: str, lesson: str) -> None:
        self.elsewhere: list[str] = []
        self.began_s = time.monotonic()
        self.page = context.new_page()
        self.page.on("request", lambda request: self._note(request.url, address))
        self.page.goto(f"{address}lab/index.html?path={lesson}")
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
        self.lab_s = time.monotonic() - self.began_s

    def _note(self, url: str, address: str) -> None:
        if url.startswith(("http:", "https:", "ws:", "wss:")) and not url.startswith(
            address.partition(BELOW)[0]
        ):
            self.elsewhere.append(url)

    def wait_for_kernel(self, seconds: float = 180) -> float:
        """Until the kernel has answered. Returns the seconds since the page was asked for."""
        self.page.wait_for_function(
            """() => {
                const panel = window.jupyterapp?.shell.currentWidget;
                const kernel = panel?.sessionContext?.session?.kernel;
                return kernel && kernel.status !== 'unknown';
            }""",
            timeout=seconds * 1000,
        )
        return time.monotonic() - self.began_s

    def cells(self) -> list[dict[str, Any]]:
        """The notebook's cells as they are now, outputs and all."""
        found = self.page.evaluate(
            "() => JSON.stringify(window.jupyterapp.shell.currentWidget.model.toJSON().cells)"
        )
        cells: list[dict[str, Any]] = json.loads(found)
        return cells

    def run_all(self, seconds: float) -> float:
        """Run every cell. Returns the seconds that it took."""
        began_s = time.monotonic()
        self.start_all()
        self.wait_until_done(seconds)
        return time.monotonic() - began_s

    def start_all(self) -> None:
        """Begin to run every cell."""
        self.page.evaluate(
            """() => {
                window.kitDone = false;
                const done = () => { window.kitDone = true; };
                window.jupyterapp.commands.execute('notebook:run-all-cells').then(done, done);
            }"""
        )

    def wait_until_done(self, seconds: float) -> None:
        """Until every cell has run."""
        self.page.wait_for_function("() => window.kitDone", timeout=seconds * 1000)

    def replace_cells(self, sources: list[str]) -> None:
        """Give the notebook these code cells and no others."""
        self.page.evaluate(
            """(sources) => {
                const shared = window.jupyterapp.shell.currentWidget.model.sharedModel;
                shared.deleteCellRange(0, shared.cells.length);
                shared.insertCells(0, sources.map((source) => ({ cell_type: 'code', source })));
            }""",
            sources,
        )

    def text(self, number: int) -> str:
        """What a cell has printed."""
        outputs = self.cells()[number]["outputs"]
        return "".join("".join(o.get("text") or o.get("evalue", "")) for o in outputs)

    def seconds(self) -> float:
        """Since the page was asked for."""
        return time.monotonic() - self.began_s

    def close(self) -> None:
        self.page.close()
