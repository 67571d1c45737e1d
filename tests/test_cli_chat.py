"""`kit chat` says who wrote what it shows: as text, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from kit.cli import main
from kit.twin.llama_cpp import Weights
from kit.twin.process import TwinProcess, start

STRANGE = "Something nobody wrote down"


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
    assert main(["chat", "--url", twin.url, "--json", STRANGE]) == 0
    author = json.loads(capsys.readouterr().out)["author"]
    assert (author["hand"], author["name"]) == ("pocket", name)
    assert main(["chat", "--url", twin.url, STRANGE]) == 0
    assert f"written by {name}, this course's own" in capsys.readouterr().out
