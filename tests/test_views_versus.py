"""One prompt to several servers, side by side, without a browser."""

import asyncio

import pytest
from scripted import DONE, Drop, Scripted, finish, say, usage

from kit.errors import InvalidValue, StreamCut
from kit.views import versus
from kit.views.live import Output


@pytest.fixture
def shown(monkeypatch):
    """What a run would have displayed."""
    outputs = []
    monkeypatch.setattr(Output, "show", lambda _, what: outputs.append(what))
    return outputs


def answer(text):
    return [say(text), finish(), usage(5, 1, 0), DONE]


def test_each_server_is_asked_and_answers_come_in_order(shown):
    with Scripted([0.3, *answer("slow")]) as slow, Scripted(answer("quick")) as quick:
        servers = {"first": slow.endpoint, "second": quick.endpoint}
        replies = asyncio.run(versus("?", servers, thinking=False, max_tokens=9))
    assert [str(reply) for reply in replies] == ["slow", "quick"]
    for server in (slow, quick):
        (asked,) = server.requests
        assert asked["max_tokens"] == 9
        assert asked["chat_template_kwargs"] == {"enable_thinking": False}
    for title in ("first", "second"):
        assert f"**{title} · m**" in shown[0]["text/markdown"]


def test_one_that_is_cut_leaves_the_other_on_the_screen(shown):
    broken = [say("ha"), Drop]
    with (
        Scripted(answer("whole")) as whole,
        Scripted(broken) as cut,
        pytest.raises(StreamCut),
    ):
        asyncio.run(versus("?", {"whole": whole.endpoint, "cut": cut.endpoint}))
    assert "whole" in shown[0]["text/markdown"]


def test_no_servers_are_an_error():
    with pytest.raises(InvalidValue, match="at least one"):
        asyncio.run(versus("?", {}))
