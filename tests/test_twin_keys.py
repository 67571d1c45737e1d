"""One twin that many share: who may ask, how much at once, and who used what."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from kit import connect
from kit.chat import stream
from kit.errors import EndpointError, InvalidValue
from kit.http import get
from kit.twin.app import app
from kit.twin.keys import Keys, add_key, read_keys
from kit.twin.server import Twin

ANNA, BEN = "anna-anna-anna-anna", "ben-ben-ben-ben-ben"
CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "What is 15% of 240?"}], "max_tokens": 30}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "keys.txt"
    file.write_text(f"# the room\nanna {ANNA}\n\nben\t{BEN}  # at the window\n", encoding="utf-8")
    return file


@pytest.fixture
def client(file: Path) -> Iterator[TestClient]:
    twin = Twin("h200x8", speed=100, keys=Keys(file, 2))
    with TestClient(app(twin), base_url="http://127.0.0.1") as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def used(client: TestClient) -> dict[tuple[str, str], float]:
    """(family, learner) → value, as Prometheus' own parser reads the page."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (family.name.removeprefix("kit:learner_"), one.labels["learner"]): one.value
        for family in families
        if family.name.startswith("kit:")
        for one in family.samples
    }


@pytest.mark.parametrize("headers", [{}, bearer("x"), bearer(""), {"authorization": ANNA}])
def test_nothing_is_told_without_a_known_key(client: TestClient, headers: dict[str, str]) -> None:
    for method, path in (("GET", "/v1/models"), ("POST", CHAT), ("GET", "/server_info")):
        assert client.request(method, path, headers=headers, json=ASK).status_code == 401
    assert client.get("/health").status_code == client.get("/metrics").status_code == 200
    assert not any(used(client).values())


def test_each_key_is_counted_by_itself(client: TestClient) -> None:
    once = client.post(CHAT, json=ASK, headers=bearer(ANNA)).json()["usage"]
    with client.stream("POST", CHAT, json={**ASK, "stream": True}, headers=bearer(ANNA)) as answer:
        answer.read()
    client.post("/generate", json={"text": "Hi"}, headers=bearer(BEN))
    client.get("/v1/models", headers=bearer(BEN))
    found = used(client)
    assert found["requests", "anna"] == 2
    assert found["requests", "ben"] == 1
    assert found["prompt_tokens", "anna"] == 2 * once["prompt_tokens"]
    assert found["generation_tokens", "anna"] == 2 * once["completion_tokens"] == 60
    assert found["running", "anna"] == found["refused", "anna"] == 0


def test_a_key_added_while_it_runs_counts_at_once(client: TestClient, file: Path) -> None:
    new = add_key(file, "carol")
    assert add_key(file, "carol") == new
    assert client.get("/v1/models", headers=bearer(new)).status_code == 200
    file.write_text("what is this", encoding="utf-8")
    assert client.get("/v1/models", headers=bearer("nobody")).status_code == 401
    assert client.get("/v1/models", headers=bearer(ANNA)).status_code == 200


def test_a_file_of_keys_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "new.txt"
    key = add_key(file, "anna")
    assert read_keys(file) == {key: "anna"}
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "line",
    ["anna", "anna short", f"anna {ANNA} more", f"dora {ANNA}", f"anna {BEN}1", f"a b {BEN}"],
)
def test_a_wrong_line_is_named_and_no_key_shown(file: Path, line: str) -> None:
    with file.open("a", encoding="utf-8") as more:
        more.write(line + "\n")
    with pytest.raises(InvalidValue, match="line 5") as problem:
        Keys(file)
    assert ANNA not in str(problem.value)


@pytest.fixture
def shared(file: Path) -> Iterator[str]:
    """The address of `kit twin --keys`, on a socket."""
    command = [sys.executable, "-m", "kit.cli", "twin", "--port", "0", "--speed", "4"]
    command += ["--keys", str(file), "--key-limit", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as twin:
        assert twin.stdout is not None
        yield twin.stdout.readline().split()[-1]
        twin.terminate()


def test_a_limit_is_of_each_key_and_says_so(shared: str) -> None:
    with pytest.raises(EndpointError, match="refused the key"):
        connect(shared, quiet=True)
    anna, ben = (connect(shared, key, quiet=True) for key in (ANNA, BEN))
    messages = [{"role": "user", "content": "Hi"}]

    def ask(_: int) -> object:
        return anna.client().chat.completions.create(
            model=anna.model, messages=messages, max_tokens=600, extra_body={"ignore_eos": True}
        )

    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(ask, n) for n in range(2)]
        until_s = time.monotonic() + 10
        while 'running{learner="anna"} 2.0' not in get(f"{shared}/metrics").content.decode():
            assert time.monotonic() < until_s
        with pytest.raises(EndpointError) as problem:
            list(stream(anna, "What is 15% of 240?", thinking=False))
        assert list(stream(ben, "What is 15% of 240?", thinking=False))
        assert all(one.result() for one in held)
    assert re.search("limit.*anna has 2 requests running.*2 at once", problem.value.what)
    assert problem.value.hint == "wait 1 s, then ask again"
    assert list(stream(anna, "What is 15% of 240?", thinking=False))
