"""The twin's faults, and what comes of each in everything that reads from a server."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from kit import chat
from kit.cli import main
from kit.endpoint import connect
from kit.errors import EndpointError, InvalidValue, StreamCut, UnknownName
from kit.twin.faults import Fault, kinds, listing
from trust import fault_matrix as matrix

SLOW = {kind for kind in kinds() if kind.startswith(("endless", "stall", "drip", "gzip", "huge"))}
SLOW |= {"keep-alives", "empty-deltas"}
SOME = ["cut", "cut-clean", "broken", "deep-json", "half-character", "choices-number", "no-finish"]
WAITING = ["stall:1", "keep-alives:1", "drip-body"]
LOST = {"cut", "cut-clean", "cut-event", "reset", "broken", "stall", "keep-alives", "empty-deltas"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with matrix.serving() as url:
        yield url


@pytest.fixture(scope="module")
def whole(base: str) -> str:
    return matrix.right_answer(base)


def failures(cells: list[matrix.Cell]) -> str:
    return "\n".join(str(c) for c in cells if c.outcome not in ("result", "error"))


def test_every_quick_fault_is_read_right_or_is_two_lines(base: str, whole: str) -> None:
    # Their shapes are read in test_stream_shapes.
    quick = [name for name, kind in kinds().items() if name not in SLOW and not kind.event]
    cells = [matrix.cell(base, "sync", fault, whole) for fault in quick]
    assert len(cells) > 25
    assert not failures(cells)
    outcome = {one.fault: one.outcome for one in cells}
    assert {outcome[fault] for fault in LOST - SLOW} == {"error"}
    forms = ("split", "joined", "crlf", "cr", "no-done", "no-usage", "odd-headers", "as-it-is")
    assert {outcome[form] for form in forms} == {"result"}


@pytest.mark.parametrize("consumer", ["async", "view", "tools", "chat", "bench"])
def test_others_fare_no_worse(base: str, whole: str, consumer: str) -> None:
    assert not failures([matrix.cell(base, consumer, fault, whole) for fault in SOME])


def test_waiting_ends(base: str, whole: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "STALL_S", 0.3)
    cells = [matrix.cell(base, one, f, whole) for one in ("sync", "async") for f in WAITING]
    assert {one.outcome for one in cells} == {"error"}
    assert max(one.seconds for one in cells) < 5


@pytest.mark.trust_long
def test_the_whole_matrix(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    cells = matrix.run(base, list(matrix.CONSUMERS), kinds())
    with capsys.disabled():
        print(f"\n{matrix.table(cells)}")
    assert not failures(cells)
    broken = {(c.consumer, c.fault) for c in cells if c.fault in LOST and c.outcome == "result"}
    assert not {pair for pair in broken if pair[0] not in ("bench", "connect")}


def test_the_control_finds_what_is_silent_raised_or_late(
    base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reader swallows errors lets them through, one waits."""

    def careless(url: str) -> matrix.Got:
        stream = chat.stream(connect(url, quiet=True), matrix.QUESTION)
        try:
            for _ in stream:
                pass
        except EndpointError:
            pass
        return matrix.Got(stream.answer)

    def raising(_: str) -> matrix.Got:
        raise RecursionError

    def waiting(_: str) -> matrix.Got:
        import time

        time.sleep(2)
        return matrix.Got("")

    monkeypatch.setattr(matrix, "LIMIT_S", 1.0)
    found = {"silent": careless, "traceback": raising, "hang": waiting}
    for outcome, reader in found.items():
        monkeypatch.setitem(matrix.CONSUMERS, "bad", reader)
        assert matrix.cell(base, "bad", "cut", "Every word of it").outcome == outcome


def test_one_request_can_ask_for_a_fault(base: str) -> None:
    endpoint = connect(f"{base}/ask/as-it-is", quiet=True)
    stream = chat.stream(endpoint, "Hello", extra_headers={"x-kit-fault": "as-it-is"})
    assert [type(event).__name__ for event in stream][-1] in ("Usage", "Finish")

    def answered(fault: str) -> tuple[int, str]:
        asked = urllib.request.Request(
            f"{base}/connect/as-it-is/model_info", headers={"x-kit-fault": fault}
        )
        try:
            with urllib.request.urlopen(asked, timeout=10) as reply:
                return reply.status, ""
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    assert answered("error404")[0] == 404
    assert answered("error404@/v1/models")[0] == 200
    status, said = answered("error5000")
    assert status == 400
    assert "did you mean error500" in json.loads(said)["message"]


def test_a_fault_below_http_reaches_the_wire(base: str) -> None:
    where = urlsplit(base)
    with socket.create_connection((where.hostname, where.port), 10) as raw:
        raw.sendall(b"GET /connect/garbage/v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert raw.recv(100).startswith(b"\x16\x03\x01")


def test_faults_are_written_as_name_number_and_path() -> None:
    assert Fault.parse("stall:2@/v1/models") == Fault("stall", 2, "/v1/models")
    for text in ("cut", "cut:12", "refuse", "html@/v1"):
        assert str(Fault.parse(text)).removesuffix(":5") == text
    for wrong in ("refuse:3", "cut:-1", "cut:", "cut:1234567", "cut@models", "cut:\u0663"):
        with pytest.raises(InvalidValue):
            Fault.parse(wrong)
    with pytest.raises(UnknownName, match="did you mean"):
        Fault.parse("keepalive")


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["twin", "--fault", "list"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == listing()
    assert len(printed.splitlines()) == len(kinds()) > 60
    assert main(["twin", "--fault", "sta11"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_what_had_arrived_is_kept(base: str) -> None:
    with pytest.raises(StreamCut) as caught:
        for _ in chat.stream(connect(f"{base}/ask/cut:3", quiet=True), "Hello"):
            pass
    assert caught.value.arrived
