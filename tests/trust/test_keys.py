"""The key goes to its server and nowhere else: a canary is looked for wherever it could turn up."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from servers import Handler, Server

import kit
from kit import chat, endpoint, vision
from kit import http as kit_http
from kit.bench.transport import Origin, Pool
from kit.cli.main import main
from kit.endpoint import Endpoint
from kit.errors import EndpointError, KitError
from kit.launch import LaunchOptions, launch_plan
from kit.launch.render import FORMS
from kit.server import launch, registry
from kit.server import server as server_module
from kit.server.command import ServerCommand
from kit.server.processes import free_port

KEY = "sk-CANARY-7f3a9b"
LEAK = KEY[3:9]  # spelt so that no traceback of these tests holds it
UNSENDABLE = ("\n", "\r\n", "\0", "é", "–", " ", "\t", "\x1b[31m", "\ud800", "🙂")


class Repeater(Server):
    """A server that takes every request, notes its key, and repeats it in each error."""

    def __init__(self, status: int = 200, location: str = "") -> None:
        self.status, self.location = status, location
        self.keys: list[str | None] = []
        super().__init__(Repeating)


class Repeating(Handler):
    server: Repeater

    def do_GET(self) -> None:
        self.server.keys.append(self.headers["authorization"])
        told = {"api_key": KEY, "launch_command": f"--api-key {KEY} --admin-api-key='{KEY}'"}
        info = {"internal_states": [told], "version": "0.5.23", "argv": ["--api-key", KEY], **told}
        models = {"data": [{"id": "m"}]}
        said = {"/v1/models": models, "/server_info": info}.get(self.path, {})
        self._send(self.server.status, said)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.keys.append(self.headers["authorization"])
        self._send(400, {"message": f"wrong key {self.headers['authorization']}", "code": 400})

    def _send(self, status: int, said: dict[str, Any]) -> None:
        to = self.server.location
        self.reply(said, status, **({"location": to + self.path} if to else {}))


@pytest.fixture
def repeater() -> Iterator[Repeater]:
    with Repeater() as server:
        yield server


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KIT_BASE_URL", "KIT_API_KEY", "KIT_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(endpoint, "_LOCAL_PORTS", ())


def printed(by: Callable[[], Any]) -> str:
    """What running it prints and raises: the two lines, their repr, and a whole traceback."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        try:
            by()
        except KitError as error:
            rendered = error._render_traceback_()
            out.write(f"{error}{error!r}{rendered}")
            out.write("".join(traceback.format_exception(error)))
    return out.getvalue()


def test_nothing_that_is_shown_holds_the_key(repeater: Repeater) -> None:
    server = kit.connect(repeater.url, key=KEY, quiet=True)
    asked = chat.stream(server, "x")
    shown = {
        "str": str(server),
        "repr": repr(server),
        "in a list": f"{[server]}",
        "provenance": f"{server.provenance}{server.provenance.to_json()}",
        "vars": repr(vars(server)),
        "key itself": repr(server.key),
        "fields": repr({f.name: getattr(server, f.name) for f in dataclasses.fields(server)}),
        "copy": repr(replace(server, speed=2.0)),
        "clients": f"{server.client()!r}{server.async_client()!r}{vars(server.client())!r}",
        "stream": f"{asked!r}{asked.body}{vars(asked)!r}",
        "origin": repr(Origin.of(repeater.url, KEY)),
        "pool": repr(vars(Pool(Origin.of(repeater.url, KEY)))),
        "server_info": repr(server.server_info()),
    }
    assert [name for name, text in shown.items() if LEAK in text] == []
    assert f"Bearer {KEY}" in repeater.keys  # it was sent all the same
    assert server.key == KEY


@pytest.mark.parametrize("more", UNSENDABLE, ids=ascii)
def test_a_key_that_no_header_takes_is_refused_without_being_shown(
    more: str, repeater: Repeater, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = kit.connect(repeater.url, quiet=True)
    repeater.keys.clear()
    for bad in (KEY + more, more + KEY, KEY[:6] + more + KEY[6:]):
        with suppress(ValueError):  # no environment holds NUL
            monkeypatch.setenv("KIT_API_KEY", bad)
        holding = replace(server, key=bad)
        for ask in (
            lambda bad=bad: kit.connect(repeater.url, key=bad, quiet=True),
            lambda: os.environ.get("KIT_API_KEY") and kit.connect(repeater.url, quiet=True),
            lambda one=holding: list(chat.stream(one, "hello")),
            lambda one=holding: one.server_info(),
            lambda one=holding: one.client(),
            lambda bad=bad: Origin.of(repeater.url, bad),
        ):
            text = printed(ask)  # type: ignore[arg-type]
            assert LEAK not in text
            assert "EndpointError" in text or not text
    assert repeater.keys == []


ADDRESSES = [
    "http://user:{}@127.0.0.1:{}", "http://{}@127.0.0.1:{}", "user:{}@127.0.0.1:{}",
    "http://:{}@127.0.0.1:{}/v1", "http://127.0.0.1:1/?key={}&port={}", "http://127.0.0.1:1#{}{}",
    "http://a:b@{}@127.0.0.1:{}", "ftp://u:{}@127.0.0.1:{}", "http://u:{}\x1b@127.0.0.1:{}",
    "http://[u:{}@127.0.0.1:{}", "http://u:{}/x@127.0.0.1:{}",
]  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_key_in_an_address_is_refused_and_not_shown(
    address: str, repeater: Repeater, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = address.format(KEY, repeater.server_port)
    monkeypatch.setenv("KIT_BASE_URL", url)
    asked: list[Callable[[], Any]] = [
        lambda: kit.connect(url, quiet=True),
        lambda: kit.connect(quiet=True),
        lambda: main(["chat", "--url", url, "hi"]),
        lambda: main(["run", "01", "--url", url, "--out", str(tmp_path / "pages")]),
        lambda: vision.image(url if "://" in url else f"http://{url}"),
    ]
    for ask in asked:
        text = printed(ask)
        assert text
        assert LEAK not in text
    assert not (tmp_path / "pages").exists()


def test_the_key_goes_to_no_server_that_nobody_named(
    repeater: Repeater, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_LOCAL_PORTS", (repeater.server_port,))
    monkeypatch.setenv("KIT_API_KEY", KEY)
    found = kit.connect(quiet=True)
    assert found.base_url == repeater.url
    assert found.key is None
    printed(lambda: list(chat.stream(found, "hello")))
    printed(lambda: kit.connect(key=KEY, quiet=True))
    assert set(repeater.keys) <= {None, "Bearer none"}
    repeater.keys.clear()
    kit.connect(repeater.url, quiet=True)
    monkeypatch.setenv("KIT_BASE_URL", repeater.url)
    kit.connect(quiet=True)
    assert set(repeater.keys) == {f"Bearer {KEY}"}


def test_a_local_server_that_wants_a_key_is_named_and_not_given_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    locked = Repeater(status=401)
    monkeypatch.setattr(endpoint, "_LOCAL_PORTS", (locked.server_port,))
    monkeypatch.setenv("KIT_API_KEY", KEY)
    monkeypatch.setattr(endpoint, "_twin", lambda *settings: settings[-1])
    why = str(endpoint.connect(quiet=True))
    locked.shutdown()
    locked.server_close()
    assert f"localhost:{locked.server_port} wants a key" in why
    assert locked.keys == [None]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_server_does_not_take_the_key_along(
    status: int, repeater: Repeater
) -> None:
    sender = Repeater(status=status, location=repeater.url)
    found = kit.connect(sender.url, key=KEY, quiet=True)
    with suppress(EndpointError):
        list(chat.stream(found, "hello"))
    sender.shutdown()
    sender.server_close()
    assert repeater.keys
    assert f"Bearer {KEY}" not in repeater.keys


def test_an_error_that_repeats_the_key_is_shown_without_it(
    repeater: Repeater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIT_API_KEY", KEY)
    server = kit.connect(repeater.url, quiet=True)
    with pytest.raises(EndpointError, match="wrong key Bearer …"):
        list(chat.stream(server, "hello"))
    for dialect in ("chat", "native"):
        lines = tmp_path / f"{dialect}.jsonl"
        words = ["bench", "--url", repeater.url, "--num-prompts", "2", "--input-len", "8"]
        text = printed(
            lambda words=words, dialect=dialect, lines=lines: main(  # type: ignore[misc]
                [*words, "--output-len", "8", "--dialect", dialect, "--out", str(lines), "--json"]
            )
        )
        assert "wrong key Bearer …" in text
        assert LEAK not in text + (lines.read_text() if lines.exists() else "")


@pytest.mark.parametrize("command", ["chat", "bench", "run", "eval gsm8k"])
@pytest.mark.parametrize("option", ["--key=", "--key ", "--api-key=", "--api-key "])
def test_a_key_on_the_command_line_is_refused_and_not_repeated(command: str, option: str) -> None:
    words = [*command.split(), *f"{option}{KEY}".split(" ")]
    text = printed(lambda: main(words))
    assert LEAK not in text
    assert "--key-file FILE" in text
    assert len(text.splitlines()) == 2


def test_a_key_comes_from_a_file_or_standard_input(
    repeater: Repeater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\r\n")
    printed(lambda: main(["chat", "--url", repeater.url, "--key-file", str(file), "hi"]))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{KEY}\n"))
    printed(lambda: main(["chat", "--url", repeater.url, "--key-file", "-", "hi"]))
    assert set(repeater.keys) == {f"Bearer {KEY}"}
    file.write_text("two words\n")
    assert "two words" not in printed(lambda: main(["chat", "--key-file", str(file), "hi"]))
    missing = printed(lambda: main(["chat", "--key-file", str(tmp_path / "none"), "hi"]))
    assert "No such file" in missing


def test_a_served_key_is_in_a_file_of_its_owner_until_the_server_is_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KIT_API_KEY", KEY)
    monkeypatch.setattr(server_module.preflight, "preflight", lambda command: ())
    waits = (sys.executable, "-c", "import time; time.sleep(30)")
    command = ServerCommand(
        title="fake", argv=(*waits, "--api-key", "$KIT_API_KEY", "--name", "$KIT_API_KEY"),
        host="127.0.0.1", port=free_port(), sglang="0.5.23", checkpoint=str(tmp_path), weights_gb=0,
    )  # fmt: skip
    running = launch(command)
    try:
        words = Path(f"/proc/{running.group}/cmdline").read_text().split("\0")
        file = Path(words[words.index("--config") + 1])
        assert file.read_text() == f'api-key: "{KEY}"\n'
        assert file.stat().st_mode & 0o777 == 0o600
        assert registry.folder().stat().st_mode & 0o777 == 0o700
        assert KEY not in words
        assert "$KIT_API_KEY" in words  # a word that only looks like it stays what it is
    finally:
        running.stop()
    held = {p.name: p.read_text("utf-8", "replace") for p in registry.folder().glob("*")}
    assert [name for name, text in held.items() if LEAK in text] == []
    monkeypatch.setenv("KIT_API_KEY", f"{KEY}\n")
    assert LEAK not in printed(lambda: launch(command))


def test_no_form_of_a_plan_holds_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIT_API_KEY", KEY)
    plan = launch_plan(kit.profile("h200x8"), options=LaunchOptions(api_key=True))
    texts = [plan.form(form) for form in FORMS]
    texts += [str(plan), plan._repr_markdown_(), json.dumps(plan.to_json())]
    assert not any(LEAK in text for text in texts)


NOTEBOOKS = {
    "connect at the end of a cell": "kit.connect({url!r})",
    "endpoints in a dict": "{{'a': kit.connect({url!r})}}",
    "a key with a line's end": "kit.connect({url!r}, key=os.environ['KIT_API_KEY'] + chr(10))",
    "an error in chat": "list(kit.chat.stream(kit.connect({url!r}), 'x'))",
    "openai's own error": "kit.connect({url!r}).client().chat.completions.create(model='m')",
    "variables in a traceback": "%xmode Verbose\nep = kit.connect({url!r})\n1 / 0",
}  # fmt: skip


@pytest.mark.trust_long
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_an_executed_notebook_holds_no_key(
    name: str, repeater: Repeater, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nbformat

    from kit.course.lessons import run

    monkeypatch.setenv("KIT_API_KEY", KEY)
    cell = "import os, kit\n" + NOTEBOOKS[name].format(url=repeater.url)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, tmp_path / "00_canary.ipynb")
    (done,) = run([tmp_path / "00_canary.ipynb"], tmp_path / "out", say=lambda line: None)
    assert f"Bearer {KEY}" in repeater.keys or "line's end" in name
    for file in (done.notebook, done.page):
        assert LEAK not in file.read_text("utf-8")


@pytest.mark.trust_long
def test_the_process_list_holds_no_key(repeater: Repeater, tmp_path: Path) -> None:
    env = {**os.environ, "KIT_API_KEY": KEY}
    for words in (["chat", "hello"], ["bench", "--num-prompts", "2"], ["eval", "gsm8k"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "kit.cli", words[0], *words[1:], "--url", repeater.url],
            env=env, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        time.sleep(0.3)
        lists = [file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline")]
        assert not any(KEY.encode() in line for line in lists)
        assert LEAK not in process.communicate(timeout=60)[0]


def test_what_a_server_tells_of_itself_is_kept_without_its_keys() -> None:
    """As SGLang 0.5.23 tells it: in its fields, and in the command that it was started by."""
    told = {
        "api_key": KEY,
        "admin_api_key": None,
        "port": 1,
        "launch_command": f"--api-key {KEY} -x",
    }
    kept = {"api_key": "…", "admin_api_key": None, "port": 1, "launch_command": "--api-key … -x"}
    assert kit_http.masked({"a": [told]}) == {"a": [kept]}
    assert kit_http.masked({"argv": ["--api-key", KEY]}, KEY) == {"argv": ["--api-key", "…"]}


def test_a_key_is_a_string_to_everything_else() -> None:
    key = kit_http.checked_key(KEY)
    assert (key, f"{key}", json.dumps(key), len(key)) == (KEY, KEY, f'"{KEY}"', len(KEY))
    assert repr(key) == "'…'"
    assert isinstance(Endpoint.__dataclass_fields__["key"].repr, bool)
