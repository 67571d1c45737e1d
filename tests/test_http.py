"""The one GET: what a web server may do to whoever asks it, done by a real one."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Iterator

import pytest
from servers import Handler, Server

from kit import http
from kit.errors import EndpointError


class Pages(Handler):
    def do_GET(self) -> None:
        seen = self.server.seen  # type: ignore[attr-defined]
        seen.append((self.path, self.headers["authorization"]))
        if self.path == "/health":
            self.reply(b"", 503)
        elif self.path == "/v1/models":
            self.reply({"data": [{"id": "qwen"}]})
        elif self.path == "/away":
            port = self.server.server_port  # type: ignore[attr-defined]
            self.reply(b"", 302, location=f"http://localhost:{port}/v1/models")
        elif self.path == "/round":
            self.reply(b"", 302, location="/round")
        elif self.path == "/gzip":
            self.reply(gzip.compress(b"0" * 100_000), content_encoding="gzip")
        else:
            self.reply(b"", 404)


@pytest.fixture
def web() -> Iterator[Server]:
    with Server(Pages) as server:
        server.seen = []  # type: ignore[attr-defined]
        yield server


def test_a_key_is_sent_to_the_server_that_was_asked_and_to_no_other(
    web: Server,
) -> None:
    assert http.get(f"{web.url}/away", "hush").json == {"data": [{"id": "qwen"}]}
    assert web.seen == [("/away", "Bearer hush"), ("/v1/models", None)]  # type: ignore[attr-defined]


def test_a_server_that_sends_in_circles_is_left(web: Server) -> None:
    with pytest.raises(EndpointError, match="redirects"):
        http.get(f"{web.url}/round")


def test_what_unpacks_to_too_much_is_refused(web: Server) -> None:
    with pytest.raises(http.NoReply) as refused:
        http.fetch(f"{web.url}/gzip", max_bytes=50_000)
    assert refused.value.reason == "too large"


def test_a_server_that_answers_503_is_there_and_not_healthy(web: Server) -> None:
    assert http.get(f"{web.url}/health").status == 503
    assert not http.healthy(web.url)
    assert http.served_model(web.url) == "qwen"
    assert http.get_json(web.url, "/server_info") is None


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
