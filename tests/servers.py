"""Servers for tests: a handler or a folder that is served, a command that runs until it answers."""

from __future__ import annotations

import functools
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what it is given, and prints nothing."""

    def reply(self, body: object, status: int = 200, **headers: str) -> None:
        """`body` is bytes, or sent as JSON; an underscore in a header's name is a dash."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers = {"content_type": "application/json", **headers}
        self.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """A web server on a free port of this machine. A client that hangs up is no error."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, handler: Callable[..., http.server.BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        super().__exit__(*error)

    def handle_error(self, *request: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            super().handle_error(*request)


class _Files(http.server.SimpleHTTPRequestHandler):
    def __init__(self, *request: Any, below: str, pages: dict[str, bytes], folder: Path) -> None:
        self._below, self._pages = below, pages
        super().__init__(*request, directory=str(folder))

    def do_GET(self) -> None:
        if self.path in self._pages:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(self._pages[self.path])
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        return super().translate_path(path.removeprefix(self._below))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def folder_served(
    folder: Path, below: str = "", pages: dict[str, bytes] | None = None
) -> Iterator[str]:
    """The address of a folder's files, below the path `below` ("/a/course"). `pages` are HTML
    beside them: path → text."""
    files = functools.partial(_Files, below=below, pages=pages or {}, folder=folder)
    with Server(files) as server:
        yield f"{server.url}{below}/"


def start(
    command: Sequence[str | Path],
    answers: Callable[[], bool],
    log: Path,
    seconds: float = 60,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a command, whose output goes into `log`, and wait until it answers. `options` are
    those of Popen. Raises RuntimeError, with the end of the log, where it does not."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, **options)
    until_s = time.monotonic() + seconds
    while not answers():
        if process.poll() is not None or time.monotonic() > until_s:
            process.kill()
            process.wait()
            said = log.read_text(errors="replace")[-4000:]
            raise RuntimeError(f"{command[0]} does not answer:\n{said}")
        time.sleep(0.1)
    return process


def stop(process: subprocess.Popen[bytes], patience_s: float = 10) -> None:
    """End a process: politely first."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
