"""connect(): which server, and why; and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import openai
import pytest
from servers import Handler, Server

from kit import endpoint, http, server_identity
from kit.endpoint import Endpoint, base_url, connect
from kit.errors import EndpointError, LaunchError, UnknownName
from kit.hardware import SGLANG
from kit.provenance import Kind
from kit.twin.process import start


@dataclass
class Stub:
    """A server that answers GETs with what it is told to."""

    answers: dict[str, tuple[int, str, str]]  # path → status, content type, body
    authorizations: list[str | None] = field(default_factory=list)

    def __enter__(self) -> Stub:
        stub = self

        class Noting(Handler):
            def do_GET(self) -> None:
                stub.authorizations.append(self.headers["authorization"])
                missing = (404, "text/plain", "no such page")
                status, media, body = stub.answers.get(self.path, missing)
                self.reply(body.encode(), status, content_type=media)

        self._server = Server(Noting)
        self.port, self.url = self._server.server_port, self._server.url
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)


def serving(*models: str) -> Stub:
    listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in models]}
    return Stub({"/v1/models": (200, "application/json", json.dumps(listed))})


@pytest.fixture(autouse=True)
def _no_servers_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KIT_BASE_URL", "KIT_API_KEY", "KIT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "_LOCAL_PORTS", ())


@pytest.fixture(scope="module")
def twin() -> Iterator[Endpoint]:
    opened = connect("twin", speed=50, quiet=True)
    yield opened
    opened.close()


def two_lines(error: EndpointError) -> tuple[str, str]:
    what, hint = str(error).splitlines()
    assert hint.startswith("→ ")
    return what, hint


def test_without_anything_else_there_is_the_twin(capsys: pytest.CaptureFixture[str]) -> None:
    found = connect(speed=50)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) < 100
    assert f"twin · SGLang {SGLANG} simulated on h200x8, clock ×50 · {found.base_url}" in said
    assert "because no URL was given, and nothing answers on localhost:30000 or :8000" in said
    assert (found.kind, found.profile, found.speed, found.sglang) == ("twin", "h200x8", 50, SGLANG)
    assert found.model == "Qwen/Qwen3.5-397B-A17B"
    assert found.provenance.kind is Kind.SIMULATED
    found.close()


def test_quiet_says_nothing(twin: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    connect("twin", speed=50, quiet=True)
    assert capsys.readouterr().out == ""


def test_the_same_twin_is_used_again_and_another_is_another(twin: Endpoint) -> None:
    again = connect("twin", speed=50, quiet=True)
    assert again.base_url == twin.base_url
    other = connect("twin", profile="b200x8", speed=50, quiet=True)
    assert other.base_url != twin.base_url
    other.close()
    with pytest.raises(EndpointError):
        other.server_info()
    assert twin.server_info()["status"] == "ready"


def test_a_twin_that_died_is_replaced() -> None:
    first = connect("twin", speed=40, quiet=True)
    first.close()
    second = connect("twin", speed=40, quiet=True)
    assert second.server_info()["status"] == "ready"
    second.close()


def test_a_twin_at_a_url_is_known_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    process = start("b200x8", speed=25, sglang="0.5.9")
    found = connect(process.url)
    process.close()
    played = (found.kind, found.profile, found.speed, found.sglang)
    assert played == ("twin", "b200x8", 25.0, "0.5.9")
    assert "because its URL was given" in capsys.readouterr().out


def test_a_server_is_live_and_its_figures_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    with serving("Qwen/Qwen3.5-27B") as server:
        found = connect(server.url)
    assert (found.kind, found.model, found.speed) == ("live", "Qwen/Qwen3.5-27B", 1.0)
    assert (found.profile, found.sglang) == (None, None)
    assert found.provenance.kind is Kind.MEASURED
    assert server.url in found.provenance.source
    assert "live · Qwen/Qwen3.5-27B · OpenAI-compatible" in capsys.readouterr().out


def test_sglang_tells_its_version() -> None:
    with serving("m") as server:
        told = json.dumps({"version": "0.5.23", "internal_states": []})
        server.answers["/server_info"] = (200, "application/json", told)
        assert connect(server.url, quiet=True).sglang == "0.5.23"


def test_the_environment_names_a_server(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving("one", "two") as server:
        monkeypatch.setenv("KIT_BASE_URL", server.url + "/v1")
        monkeypatch.setenv("KIT_API_KEY", "secret")
        monkeypatch.setenv("KIT_MODEL", "two")
        found = connect()
    assert (found.base_url, found.key, found.model) == (server.url, "secret", "two")
    assert "because KIT_BASE_URL names it" in capsys.readouterr().out
    assert set(server.authorizations) == {"Bearer secret"}


def test_a_url_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving("here") as server:
        monkeypatch.setenv("KIT_BASE_URL", "http://127.0.0.1:1")
        assert connect(server.url, quiet=True).model == "here"


def test_a_server_on_a_usual_port_is_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Stub({"/v1/models": (200, "text/html", "<html>JupyterHub</html>")})
    with hub, serving("m") as server:
        monkeypatch.setattr(endpoint, "_LOCAL_PORTS", (hub.port, server.port))
        found = connect()
    assert (found.kind, found.base_url) == ("live", server.url)
    assert f"because it answers on localhost:{server.port}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:30000", "http://localhost:30000"),
        ("localhost:30000/", "http://localhost:30000"),
        ("https://host/api/v1", "https://host/api"),
        (" http://host:1/v1/chat/completions ", "http://host:1"),
        ("http://[::1]:30000/v1/models", "http://[::1]:30000"),
    ],
)
def test_urls_are_taken_as_people_have_them(given: str, kept: str) -> None:
    assert base_url(given) == kept


@pytest.mark.parametrize("given", ["", "not a url", "ftp://host", "http://", "http://host:99999"])
def test_what_is_no_url_is_told_so(given: str) -> None:
    with pytest.raises(EndpointError, match="is no URL"):
        base_url(given)


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(EndpointError) as caught:
            connect(url)
    assert two_lines(caught.value) == (
        f"nothing listens at {url}",
        "→ start a server there, or take the twin: kit.connect('twin')",
    )


def test_a_machine_that_does_not_exist() -> None:
    with pytest.raises(EndpointError, match="no machine is called"):
        connect("http://no-such-host.invalid:30000")


def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_identity, "get", lambda url, key, _: http.get(url, key, 0.2))
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(EndpointError) as caught:
            connect(f"http://127.0.0.1:{mute.getsockname()[1]}")
    what, hint = two_lines(caught.value)
    assert "said nothing for 0.2 s" in what
    assert "loading its weights" in hint


def test_a_port_where_no_http_is_spoken() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def greet() -> None:
            connection, _ = other.accept()
            connection.sendall(b"220 mail.example.org ESMTP\r\n")
            connection.close()

        threading.Thread(target=greet, daemon=True).start()
        with pytest.raises(EndpointError, match="does not answer in HTTP") as caught:
            connect(f"http://127.0.0.1:{other.getsockname()[1]}")
    two_lines(caught.value)


@pytest.mark.parametrize(
    ("answer", "what", "hint"),
    [
        ((401, "application/json", '{"error":"Unauthorized"}'), "refused the key (401)", "key="),
        ((403, "text/html", "Forbidden"), "refused the key (403)", "KIT_API_KEY"),
        ((404, "text/plain", "?"), "not an OpenAI-compatible server: /v1/models gave 404", "URL"),
        ((200, "text/html", "<html>"), "/v1/models gave text/html", "URL"),
        ((200, "application/json", "[1]"), "/v1/models gave JSON of another kind", "URL"),
        ((503, "text/plain", "loading"), "answers, but fails (503)", "log"),
        ((200, "application/json", '{"data":[]}'), "serves no model", "start it"),
    ],
)
def test_refusals_are_two_lines(answer: tuple[int, str, str], what: str, hint: str) -> None:
    with Stub({"/v1/models": answer}) as server, pytest.raises(EndpointError) as caught:
        connect(server.url)
    first, second = two_lines(caught.value)
    assert what in first
    assert hint in second


def test_of_several_models_one_is_chosen_or_asked_for() -> None:
    with serving("llama", "Qwen/Qwen3.5-9B") as server:
        assert connect(server.url, quiet=True).model == "Qwen/Qwen3.5-9B"
        assert connect(server.url, model="llama", quiet=True).model == "llama"
        with pytest.raises(UnknownName, match=r"did you mean Qwen/Qwen3.5-9B"):
            connect(server.url, model="qwen/qwen3.5-9b", quiet=True)
    with serving("a", "b") as server, pytest.raises(EndpointError, match="serves 2 models: a, b"):
        connect(server.url)


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="h200x8"):
        connect("twin", profile="h200x9")


def test_what_a_twin_cannot_play_is_told() -> None:
    with pytest.raises(LaunchError, match="times as fast"):
        connect("twin", speed=-1)


def test_the_client_is_a_plain_openai_client(twin: Endpoint) -> None:
    client = twin.client()
    assert type(client) is openai.OpenAI
    assert twin.client() is client
    answer = client.chat.completions.create(
        model=twin.model, messages=[{"role": "user", "content": "Hi"}]
    )
    assert "twin" in (answer.choices[0].message.content or "")


def test_the_async_client_belongs_to_its_loop(twin: Endpoint) -> None:
    async def ask() -> openai.AsyncOpenAI:
        client = twin.async_client()
        assert twin.async_client() is client
        listed = await client.models.list()
        assert listed.data[0].id == twin.model
        return client

    assert asyncio.run(ask()) is not asyncio.run(ask())


def test_proxies_are_not_asked_about_this_machine(
    twin: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    found = connect(twin.base_url, quiet=True)
    assert found.client().models.list().data[0].id == twin.model


def test_only_sglang_has_a_server_info() -> None:
    with serving("m") as server:
        found = connect(server.url, quiet=True)
        with pytest.raises(EndpointError, match="not an SGLang server"):
            found.server_info()
