"""A learner of a hub, as a browser would be: logs in by the form, starts a server, runs cells."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Self

import httpx2
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

START_S = 120.0


@dataclass
class Ran:
    """One cell: what it printed as (moment of arrival, text), and its error."""

    prints: list[tuple[float, str]] = field(default_factory=list)
    error: str = ""


class Learner:
    """`url` is the hub's, with its base URL and a slash at the end."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url
        self.name = name
        self.server = f"{url}user/{name}/"
        self.started_s = 0.0  # how long the server took
        self.page = ""  # JupyterLab's
        self._http = httpx2.AsyncClient(follow_redirects=True, timeout=60, trust_env=False)
        self._socket: WebSocketClientConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._socket is not None:
            self._socket.close()
        await self._http.aclose()

    async def log_in(self, password: str) -> int:
        """By the form. Returns the status of what follows."""
        page = await self._http.get(f"{self.url}hub/login")
        hidden = re.search(r'name="_xsrf"\s+value="([^"]+)"', page.text)
        assert hidden, page.text
        form = {"username": self.name, "password": password, "_xsrf": hidden[1]}
        answer = await self._http.post(f"{self.url}hub/login?next=", data=form)
        return answer.status_code

    async def start(self) -> None:
        """Start the server and wait until it answers."""
        began_s = time.monotonic()
        await self._http.get(f"{self.url}hub/spawn/{self.name}")
        while True:  # until then the hub answers in its place
            page = await self._http.get(f"{self.server}lab")
            if page.status_code == 200 and "jupyter-config-data" in page.text:
                break
            assert time.monotonic() - began_s < START_S, page.text[:500]
            await asyncio.sleep(0.5)
        self.started_s = time.monotonic() - began_s
        self.page = page.text

    async def api(self, method: str, path: str, **options: Any) -> Any:
        """The server's own interface."""
        headers = {"X-XSRFToken": self._cookie("_xsrf")}
        url = f"{self.server}api/{path}"
        answer = await self._http.request(method, url, headers=headers, **options)
        assert answer.is_success, f"{method} {url}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    async def open(self, notebook: str) -> list[str]:
        """Start a kernel for a notebook. Returns the sources of its code cells."""
        found = await self.api("GET", f"contents/{notebook}")
        session = {"path": notebook, "type": "notebook", "name": "", "kernel": {"name": "python3"}}
        kernel = (await self.api("POST", "sessions", json=session))["kernel"]["id"]
        cookies = "; ".join(f"{one.name}={one.value}" for one in self._cookies())
        address = f"{self.server}api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        request = HTTPRequest(address.replace("http", "ws", 1), headers={"Cookie": cookies})
        self._socket = await websocket_connect(request, max_message_size=2**28)
        cells = found["content"]["cells"]
        return ["".join(one["source"]) for one in cells if one["cell_type"] == "code"]

    async def run(self, source: str) -> Ran:
        """Run one cell to its end."""
        assert self._socket is not None
        sent, ran = uuid.uuid4().hex, Ran()
        header = {"msg_id": sent, "msg_type": "execute_request", "version": "5.3"}
        header |= {"username": self.name, "session": "learner", "date": ""}
        content = {"code": source, "silent": False, "store_history": True, "allow_stdin": False}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
        await self._socket.write_message(json.dumps({**message, "channel": "shell", "buffers": []}))
        replied = idle = False
        while not (replied and idle):
            data = await self._socket.read_message()
            assert data is not None, "the connection to the kernel ended"
            came = json.loads(data) if isinstance(data, str) else _unpacked(data)
            if came["parent_header"].get("msg_id") != sent:
                continue
            kind, content = came["msg_type"], came["content"]
            if kind == "stream":
                ran.prints.append((time.time(), content["text"]))
            elif kind == "error":
                ran.error = "\n".join([content["ename"], content["evalue"], *content["traceback"]])
            replied |= kind == "execute_reply"
            idle |= kind == "status" and content["execution_state"] == "idle"
        return ran

    def _cookies(self) -> list[Any]:
        """Those that a browser sends to the learner's server, the ones of longer paths first."""
        path = self.server.split("/", 3)[3]
        sent = [one for one in self._http.cookies.jar if f"/{path}".startswith(one.path)]
        return sorted(sent, key=lambda one: -len(one.path))

    def _cookie(self, name: str) -> str:
        return next((str(one.value) for one in self._cookies() if one.name == name), "")


def _unpacked(data: bytes) -> Any:
    """A message with buffers: their number, their offsets, the JSON, and they themselves."""
    offsets = [int.from_bytes(data[4 * n : 4 * n + 4], "big") for n in (1, 2)]
    count = int.from_bytes(data[:4], "big")
    return json.loads(data[offsets[0] : offsets[1] if count > 1 else None])
