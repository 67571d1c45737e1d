"""The hub of deploy/jupyterhub, started under another base URL, with ports of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import psutil
from servers import start, stop

from kit.http import get_json
from kit.server.processes import free_port

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv-hub" / "bin"
PASSWORD = "a-room-of-five"
CONFIG = """
load_subconfig({deployed!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{port}/room/"
c.JupyterHub.hub_port = {hub_port}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.JupyterHub.services = [{{"name": "culler", "api_token": {token!r}}}]  # the test starts it
c.JupyterHub.last_activity_interval = 1
c.Spawner.environment["JUPYTERHUB_ACTIVITY_INTERVAL"] = "1"
c.Spawner.args += ["--LabApp.expose_app_in_browser=True"]  # the browser's test drives it
"""


class Hub:
    """A context manager; nothing that it started is left behind."""

    def __init__(self, folder: Path) -> None:
        port, hub_port, proxy_port = free_port(), free_port(), free_port()
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}/room/"
        self.hub_port = hub_port
        self.token = secrets.token_hex(16)
        self._config = folder / "config.py"
        self._config.write_text(
            CONFIG.format(
                deployed=str(ROOT / "deploy" / "jupyterhub" / "jupyterhub_config.py"),
                port=port,
                hub_port=hub_port,
                proxy_port=proxy_port,
                token=self.token,
            )
        )

    def __enter__(self) -> Self:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("KIT_", "PYTHON"))}
        environment["PATH"] = f"{BIN}{os.pathsep}{environment['PATH']}"
        environment |= {"KIT_HUB_PASSWORD": PASSWORD, "KIT_HUB_FOLDER": str(self.folder)}
        self._process = start(
            [BIN / "jupyterhub", "-f", self._config],
            lambda: get_json(self.url, "/hub/api/") is not None,
            self.folder / "hub.log",
            cwd=self.folder,
            env=environment,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        family = self.processes()
        stop(self._process, 20)
        for one in family:
            if one.is_running():
                one.kill()

    @property
    def log(self) -> str:
        return (self.folder / "hub.log").read_text(errors="replace")[-4000:]

    def users(self) -> dict[str, Any]:
        """Name → what the hub says of each user."""
        headers = {"Authorization": f"token {self.token}"}
        found = httpx2.get(f"{self.url}hub/api/users", headers=headers, trust_env=False)
        return {one["name"]: one for one in found.json()}

    def cull(self, timeout_s: int) -> subprocess.Popen[bytes]:
        """Start the culler that the deployed hub runs, for shorter times."""
        environment = os.environ | {"JUPYTERHUB_API_TOKEN": self.token}
        command = [BIN / "python", "-m", "jupyterhub_idle_culler", f"--timeout={timeout_s}"]
        command += ["--cull-every=1", f"--url={self.url}hub/api"]
        with (self.folder / "hub.log").open("ab") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def processes(self, of: str = "") -> list[psutil.Process]:
        """Of the hub, or of one learner: the server, kernels, twins (which are nobody's child)."""
        home = str(self.folder / of) if of else str(self.folder)
        found = []
        for one in psutil.process_iter():
            try:
                belongs = any(str(v).startswith(home) for v in one.environ().values())
            except psutil.Error:
                continue
            if belongs and one.pid != os.getpid():
                found.append(one)
        return found


def memory_mb(processes: list[psutil.Process]) -> float:
    """Proportional: what several share counts once."""
    total = 0.0
    for one in processes:
        try:
            total += one.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return total
