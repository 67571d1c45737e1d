"""Who wrote an answer: by the twin's word, or by the served model's name."""

from __future__ import annotations

from dataclasses import replace

from scripted import DONE, Scripted, finish, say

from kit import chat
from kit.endpoint import Endpoint
from kit.pocket import SERVED_NAME
from kit.provenance import Author, AuthorKind


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
