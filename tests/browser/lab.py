"""JupyterLab on a folder, and a page in chromium that drives it. Leaves no process behind."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playwright.sync_api import Browser, Locator, Page, Playwright
from playwright.sync_api import TimeoutError as TooLate
from servers import start, stop

from kit.http import get_json
from kit.server.processes import free_port

CHROMIUM = "/usr/bin/chromium"
KERNEL = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
WAITING = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells]
  .map((cell, at) => [at, cell.type, cell.sharedModel.source, cell])
  .filter(([at, type, source, cell]) => type === 'code' && source.trim()
    && (cell.executionCount === null || cell.executionState === 'running'))
  .map(([at, type, source, cell]) => [at, cell.executionState, source.slice(0, 60)])"""
_QUIET = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}


class Lab:
    """A JupyterLab server of its own on `folder`, with settings of its own. A context manager."""

    def __init__(self, folder: Path, env: dict[str, str] | None = None) -> None:
        self.folder = folder
        self._env = env or {}
        self._home = Path(tempfile.mkdtemp(prefix="kit-lab-"))

    def __enter__(self) -> Self:
        config = self._home / "config" / "labconfig" / "page_config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps(_QUIET))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(self._home / "config"),
            "JUPYTER_DATA_DIR": str(self._home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self._home / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self._home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self._home / "workspaces"),
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token="]
        command += [f"--ServerApp.root_dir={self.folder}", "--ServerApp.disable_check_xsrf=True"]
        command += ["--LabApp.expose_app_in_browser=True"]
        self._process = start(
            command,
            lambda: get_json(self.url, "/api/status") is not None,
            self._home / "lab.log",
            env=env | self._env,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            for kernel in self.api("api/kernels"):
                self.api(f"api/kernels/{kernel['id']}", "DELETE")
        finally:
            stop(self._process)
            shutil.rmtree(self._home, ignore_errors=True)

    def api(self, path: str, method: str = "GET") -> Any:
        """What Jupyter's REST interface answers, as JSON."""
        request = urllib.request.Request(f"{self.url}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            text = response.read()
        return json.loads(text) if text else None


class Notebook:
    """A notebook open in JupyterLab, in a window of `size`, its kernel connected."""

    def __init__(
        self, browser: Browser, lab: Lab, path: str, size: tuple[int, int], theme: str = "Light"
    ) -> None:
        self.lab = lab
        self.path = path
        width, height = size
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=2
        )
        self._url = f"{lab.url}/lab/workspaces/t{time.monotonic_ns()}/tree/{path}?reset"
        self.console: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self._open()
        if theme != "Light":
            self.command("apputils:change-theme", {"theme": f"JupyterLab {theme}"})
            self.page.wait_for_selector('[data-jp-theme-light="false"]', state="attached")
        self.page.wait_for_function(
            "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
            "?.connectionStatus === 'connected'",
            timeout=60_000,
        )

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Start a JupyterLab command; does not wait for its end."""
        self.page.evaluate(
            "([name, args]) => { void window.jupyterapp.commands.execute(name, args) }",
            [name, arguments or {}],
        )

    def present(self) -> None:
        """Only the notebook: no sidebar, as on a projector."""
        self.page.evaluate("window.jupyterapp.shell.collapseLeft()")
        self.page.evaluate("window.jupyterapp.shell.collapseRight()")

    def play(self, timeout_s: float) -> None:
        """Run all of it, presented, to an end without an error."""
        self.present()
        self.run_all()
        self.wait_until_done(timeout_s)
        assert self.page.locator(".jp-mod-error").count() == 0

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def run_cell(self, number: int) -> None:
        """Start the cell, counted from 0."""
        self.page.evaluate(
            "n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n }", number
        )
        self.command("notebook:run-cell")

    def wait_until_done(self, timeout_s: float = 60) -> None:
        """Wait until every code cell has a number: all have run."""
        try:
            self.page.wait_for_function(
                f"({WAITING})().length === 0", timeout=timeout_s * 1000, polling=250
            )
        except TooLate as error:
            waiting, kernel = self.page.evaluate(f"[({WAITING})(), {KERNEL}.status]")
            said = "\n".join(self.console[-20:])
            raise AssertionError(
                f"after {timeout_s:g} s the kernel is {kernel}, and these cells have not run:\n"
                f"{waiting}\nthe console's last lines:\n{said}"
            ) from error

    def save(self) -> dict[str, Any]:
        """Save, and give back what is in the file."""
        self.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
        saved: dict[str, Any] = json.loads((self.lab.folder / self.path).read_text())
        return saved

    @property
    def stream_views(self) -> Locator:
        """The stream views in the notebook."""
        return self.page.locator(".kit-stream")

    def screenshot(self, path: Path, of: Locator | None = None) -> None:
        """A PNG of the window, or of one element."""
        path.parent.mkdir(parents=True, exist_ok=True)
        (of or self.page).screenshot(path=path)

    def reopen_without_kernel(self) -> None:
        """As on the next day: the page anew, and the kernel it had is gone."""
        self.page.goto("about:blank")
        for kernel in self.lab.api("api/kernels"):
            self.lab.api(f"api/kernels/{kernel['id']}", "DELETE")
        self._open()

    def _open(self) -> None:
        self.page.goto(self._url)
        self.page.wait_for_selector(".jp-Notebook", timeout=60_000)

    def close(self) -> None:
        self.page.close()


def launch(playwright: Playwright) -> Browser:
    """Debian's chromium, headless."""
    return playwright.chromium.launch(
        executable_path=CHROMIUM,
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--font-render-hinting=none",
        ],
    )
