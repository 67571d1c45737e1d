"""Who wrote an answer: by the twin's word, or by the served model's name."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import openai
from scripted import DONE, Scripted, finish, say

import kit
from kit import chat
from kit.endpoint import Endpoint
from kit.pocket import SERVED_NAME
from kit.provenance import Author, AuthorKind
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
