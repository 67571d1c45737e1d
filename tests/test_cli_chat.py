"""`kit chat` says what its answer cost and who wrote it: as text, and as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import DONE, Scripted, chunk, finish, say, think, usage

from kit.cli import main
from kit.twin.llama_cpp import Weights
from kit.twin.process import TwinProcess, start

SUM = "What is 12 + 61?"  # without an authored reply, and claimed by the pocket model's card


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinProcess]:
    running = start("h200x8", speed=100)
    yield running
    running.close()


def test_text_ends_with_what_it_is_worth_and_who_wrote_it(
    twin: TwinProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "--url", twin.url, "Hello"]) == 0
    worth, author = capsys.readouterr().out.splitlines()[-2:]
    assert worth.startswith("simulated · ")
    assert author == "written by the authors of this course; no model ran"


def test_json_is_nothing_but_json(twin: TwinProcess, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chat", "--url", twin.url, "--no-thinking", "--json", "Hello"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["answer"].startswith("Hello!")
    assert said["author"]["hand"] == "authored"
    assert said["provenance"]["kind"] == "simulated"
    assert said["usage"]["completion_tokens"] > 10


def test_the_pocket_model_is_named_with_its_parameters(
    twin: TwinProcess, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xllamacpp")
    name = Weights.read().name
    assert main(["chat", "--url", twin.url, "--json", SUM]) == 0
    author = json.loads(capsys.readouterr().out)["author"]
    assert (author["hand"], author["name"]) == ("pocket", name)
    assert main(["chat", "--url", twin.url, SUM]) == 0
    assert f"written by {name}, this course's own" in capsys.readouterr().out


FIGURES = r"[\d,]+ tokens in · [\d,]+ tokens out, [\d,]+ of them thinking"


def test_text_ends_with_its_tokens_and_times_for_people(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = [0.1, think("hm"), say("Hi"), 0.2, say(" there"), finish(), usage(3, 1400, 1300), DONE]
    with Scripted(script) as server:
        assert main(["chat", "--url", server.url, "Hello"]) == 0
        figures, worth, _ = capsys.readouterr().out.splitlines()[-3:]
        assert main(["chat", "--url", server.url, "--json", "Hello"]) == 0
        said = json.loads(capsys.readouterr().out)
    times = r" · first token after \d{3} ms · [\d,]+ tokens/s"
    assert re.fullmatch(FIGURES + times, figures)
    assert figures.startswith("3 tokens in · 1,400 tokens out, 1,300 of them thinking")
    assert worth.startswith("measured · ")
    assert 90 < said["ttft_ms"] < 1000
    assert 1000 < said["tokens_per_s"] < 8000


def test_counts_that_no_server_gave_are_called_estimates(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Scripted([say("Hi"), say(" there"), finish(), DONE]) as server:
        assert main(["chat", "--url", server.url, "Hello"]) == 0
    assert "≈ 2 tokens out" in capsys.readouterr().out


@pytest.mark.parametrize(("reason", "why"), [("length", "max_tokens ran out"), ("stop", "stopped")])
def test_an_answer_that_never_began_is_said_to_be_missing(
    reason: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted([think("Let me see"), finish(reason), DONE]) as server:
        assert main(["chat", "--url", server.url, "Hello"]) == 0
        text = capsys.readouterr().out
        assert main(["chat", "--url", server.url, "--json", "Hello"]) == 0
        remark = json.loads(capsys.readouterr().out)["remark"]
    assert why in remark
    assert "still thinking: there is no answer." in remark
    assert remark in text


def test_calls_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    function = {"name": "get_time", "arguments": "{}"}
    calls = chunk({"tool_calls": [{"index": 0, "id": "a", "function": function}]})
    with Scripted([calls, finish("tool_calls"), DONE]) as server:
        assert main(["chat", "--url", server.url, "Hello"]) == 0
    assert "calls get_time({})" in capsys.readouterr().out


STREAMS = Path(__file__).parent / "data" / "streams"
BROKEN = ["too-long-flat", "error-in-choice", "closed-early", "error-event-plain-text"]


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_off_is_two_lines(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with Scripted([(STREAMS / f"{name}.sse").read_bytes().decode()]) as server:
        assert main(["chat", "--url", server.url, "Hello"]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 2
    assert told[1].startswith("→ ")
