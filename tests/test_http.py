"""The one GET: what a web server may do to whoever asks it, done by a real one."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from kit import http
from kit.errors import EndpointError


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        seen = self.server.seen  # type: ignore[attr-defined]
        seen.append((self.path, self.headers["authorization"]))
        if self.path == "/health":
            self._send(503, b"")
        elif self.path == "/v1/models":
            self._send(200, json.dumps({"data": [{"id": "qwen"}]}).encode())
        elif self.path == "/away":
            port = self.server.server_port  # type: ignore[attr-defined]
            self._send(302, b"", location=f"http://localhost:{port}/v1/models")
        elif self.path == "/round":
            self._send(302, b"", location="/round")
        elif self.path == "/gzip":
            self._send(200, gzip.compress(b"0" * 100_000), **{"content-encoding": "gzip"})
        else:
            self._send(404, b"")

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url(web: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{web.server_port}"


def test_a_key_is_sent_to_the_server_that_was_asked_and_to_no_other(
    web: ThreadingHTTPServer,
) -> None:
    assert http.get(f"{url(web)}/away", "hush").json == {"data": [{"id": "qwen"}]}
    assert web.seen == [("/away", "Bearer hush"), ("/v1/models", None)]  # type: ignore[attr-defined]


def test_a_server_that_sends_in_circles_is_left(web: ThreadingHTTPServer) -> None:
    with pytest.raises(EndpointError, match="redirects"):
        http.get(f"{url(web)}/round")


def test_what_unpacks_to_too_much_is_refused(web: ThreadingHTTPServer) -> None:
    with pytest.raises(http.NoReply) as refused:
        http.fetch(f"{url(web)}/gzip", max_bytes=50_000)
    assert refused.value.reason == "too large"


def test_a_server_that_answers_503_is_there_and_not_healthy(web: ThreadingHTTPServer) -> None:
    assert http.get(f"{url(web)}/health").status == 503
    assert not http.healthy(url(web))
    assert http.served_model(url(web)) == "qwen"
    assert http.get_json(url(web), "/server_info") is None


def test_nobody_there_is_neither_healthy_nor_serving() -> None:
    nobody = "http://127.0.0.1:9"
    assert not http.healthy(nobody)
    assert http.served_model(nobody) is None


def test_a_proxy_that_cannot_be_spoken_to_is_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(EndpointError, match="SOCKS"):
        http.get("http://example.invalid/")


def test_the_library_is_loaded_by_the_first_request() -> None:
    code = "import sys, kit.endpoint; print({'httpx2', 'openai'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
