"""Who wrote an answer: by the twin's word, or by the served model's name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from scripted import DONE, Scripted, finish, say

import kit
from kit import chat
from kit.course.lessons import lessons
from kit.endpoint import Endpoint, open_endpoint
from kit.pocket import SERVED_NAME
from kit.provenance import Author, AuthorKind
from kit.tools import calculator, run_tools
from kit.twin import process


def author(endpoint: Endpoint) -> Author:
    stream = chat.stream(endpoint, "Hi")
    assert list(stream)
    return stream.author


def test_the_author_is_the_twins_word_or_the_models_name() -> None:
    script = [say("x"), finish(), DONE]
    with Scripted(script, headers={"x-kit-author": "authored"}) as server:
        who = author(server.endpoint)
    assert "no model ran" in str(who)
    with Scripted(script) as server:
        who = author(server.endpoint)
    assert str(who) == "written by m"


def test_the_pocket_model_is_known_in_the_twin_and_behind_a_live_server() -> None:
    script = [say("x"), finish(), DONE]
    named = "pocket; pocket model (3.2 M parameters)"
    with Scripted(script, headers={"x-kit-author": named}) as server:
        who = author(server.endpoint)
    assert who == Author(AuthorKind.POCKET, "pocket model (3.2 M parameters)")
    with Scripted(script) as server:
        who = author(replace(server.endpoint, model=SERVED_NAME))
    assert str(who).startswith(f"written by {SERVED_NAME}, ")
    assert str(who).endswith("not Qwen3.5's quality")


def test_a_plain_openai_reply_of_the_twin_carries_who_wrote_it() -> None:
    twin = process.start("h200x8", 100.0)
    client = openai.OpenAI(base_url=f"{twin.url}/v1", api_key="none")  # none of the kit's own
    asked = {"model": "Qwen/Qwen3.5-397B-A17B", "max_tokens": 40}
    lesson = [{"role": "user", "content": "Explain in three sentences what a KV cache is."}]
    reply = client.chat.completions.create(messages=lesson, **asked)
    assert kit.author(reply) == "authored reply"
    chunks = list(client.chat.completions.create(messages=lesson, stream=True, **asked))
    twin.close()
    assert kit.author(chunks) == kit.author(chunks[0]) == "authored reply"


def test_any_other_reply_is_by_the_model_that_its_server_names() -> None:
    def reply(model: str, name: str = "chatcmpl-1") -> SimpleNamespace:
        return SimpleNamespace(id=name, model=model)

    assert kit.author(reply("Qwen/Qwen3.5-9B")) == "Qwen/Qwen3.5-9B"
    assert kit.author(reply(SERVED_NAME)) == "pocket model"
    pocket = AuthorKind.POCKET.mark + "0" * 20
    assert kit.author(reply("Qwen/Qwen3.5-397B-A17B", pocket)) == "pocket model · 3.2 M"
    assert kit.author(reply("m", AuthorKind.NOTICE.mark)) == "notice from the twin"


@pytest.fixture(scope="module")
def without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """A twin whose pocket model cannot run, as in a browser's page or without llama.cpp."""
    folder = tmp_path_factory.mktemp("missing")
    (folder / "xllamacpp.py").write_text("raise ImportError('not here')", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
        twin = process.start("h200x8", 100.0)
    yield open_endpoint(twin.url, None, None, "")
    twin.close()


def test_a_notice_differs_from_an_answer_in_every_form_of_a_reply(without_model: Endpoint) -> None:
    def plain(question: str) -> Any:
        return without_model.client().chat.completions.create(
            model=without_model.model, messages=[{"role": "user", "content": question}]
        )

    def streamed(question: str) -> Any:
        stream = chat.stream(without_model, question)
        list(stream)
        return stream

    def with_tools(question: str) -> Any:
        run = run_tools(without_model, question, [calculator])
        list(run)
        return run

    forms: tuple[Callable[[str], Any], ...] = (plain, streamed, with_tools)
    for form in forms:
        why = kit.notice(form("What is 48 + 27?"))
        assert why.startswith("not here: no model answered")
        assert "The pocket model cannot answer" in why
        assert kit.notice(form("What is 15% of 240?")) == ""


def test_no_cell_of_lesson_11_counts_the_notice(without_model: Endpoint) -> None:
    """Its loop would take the notice for a wrong sum, and its table for the edge of the model."""
    lesson = next(path for path in lessons() if path.name.startswith("11"))
    sources = [
        "".join(cell["source"])
        for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    asking = sources[sources.index(next(s for s in sources if "def ask" in s)) - 1 :][:5]
    here: dict[str, Any] = {"kit": kit, "endpoint": without_model, "seed": 1, "display": print}
    said = []
    for source in asking:
        with redirect_stdout(StringIO()) as out:
            exec(source, here)
        said.append(out.getvalue())
    _guess, _ask, loop, table, tool = said
    for shown in (loop, table, tool):
        assert shown.startswith("not here: ")
    assert "It wrote" not in loop
    assert all("The pocket model cannot answer" in shown for shown in (loop, tool))
