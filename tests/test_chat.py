"""Messages in, events out, over a real socket; and the history that is sent back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from scripted import DONE, Drop, Scripted, chunk, finish, say, think, usage

from kit import chat
from kit.chat import Answer, Finish, Thinking, Usage
from kit.errors import EndpointError, KitError, StreamCut


def read(endpoint: Any, *args: Any, **kwargs: Any) -> tuple[chat.Stream, list[chat.Event]]:
    stream = chat.stream(endpoint, *args, **kwargs)
    return stream, list(stream)


# --- over a socket --------------------------------------------------------------------------

HELLO = [chunk({"role": "assistant", "content": ""}), think("hm"), say("Hi"), say(" there")]


def test_sync_and_async_give_the_same_events() -> None:
    with Scripted([*HELLO, finish(), usage(3, 4, 1), DONE]) as server:
        stream, events = read(server.endpoint, "Hello")

        async def gather() -> list[chat.Event]:
            return [event async for event in chat.stream(server.endpoint, "Hello")]

        assert asyncio.run(gather()) == events
    assert events == [
        Thinking("hm"),
        Answer("Hi"),
        Answer(" there"),
        Finish("stop"),
        Usage(3, 4, 1),
    ]
    assert (stream.thinking, stream.answer, stream.finish_reason) == ("hm", "Hi there", "stop")
    assert stream.usage == Usage(3, 4, 1)


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_is_asked_for_explicitly(thinking: bool) -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        read(server.endpoint, "Hi", thinking=thinking, chat_template_kwargs={"other": 1}, top_k=20)
    sent = server.requests[0]
    assert sent["chat_template_kwargs"] == {"other": 1, "enable_thinking": thinking}
    assert sent["top_k"] == 20
    assert sent["authorization"] == "Bearer a-key"


def test_nothing_is_said_about_thinking_unless_asked() -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        read(server.endpoint, [{"role": "user", "content": "Hi"}], max_tokens=None)
    sent = server.requests[0]
    assert "chat_template_kwargs" not in sent
    assert "max_tokens" not in sent
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_question_begins_when_the_words_of_a_twin_are_there() -> None:
    script = [say("x"), finish(), DONE]
    asked = []
    for headers in ({}, {"x-kit-held-s": "30"}):
        with Scripted(script, headers=headers) as server:
            stream, _ = read(server.endpoint, "Hi")
        assert stream.asked_s is not None
        asked.append(stream.asked_s)
    assert 30 < asked[1] - asked[0] < 40


def test_a_drop_keeps_what_had_arrived() -> None:
    with Scripted([*HELLO, 0.05, Drop]) as server:
        stream = chat.stream(server.endpoint, "Hi")
        seen: list[chat.Event] = []
        with pytest.raises(StreamCut) as caught:
            seen.extend(stream)
    assert seen == [Thinking("hm"), Answer("Hi"), Answer(" there")]
    assert caught.value.arrived == "hmHi there"
    assert len(str(caught.value).splitlines()) == 2


def test_a_stream_that_closes_without_finishing_is_cut() -> None:
    with (
        Scripted([*HELLO]) as server,
        pytest.raises(StreamCut, match="before the answer had ended"),
    ):
        read(server.endpoint, "Hi")


def test_an_error_inside_the_stream_is_two_lines() -> None:
    error = {"error": {"object": "error", "message": "parenthesis not closed", "code": 400}}
    with (
        Scripted([error, DONE]) as server,
        pytest.raises(EndpointError, match="parenthesis") as bad,
    ):
        read(server.endpoint, "Hi", regex="(((")
    assert not isinstance(bad.value, StreamCut)
    with Scripted([*HELLO, error, DONE]) as server, pytest.raises(StreamCut, match="parenthesis"):
        read(server.endpoint, "Hi")


@pytest.mark.parametrize("start", [[], HELLO])
def test_a_stall_is_given_up_and_says_how_to_wait_longer(start: list[Any]) -> None:
    with Scripted([*start, 30.0, DONE]) as server:
        with pytest.raises(EndpointError, match=r"for 0\.3 s[\s\S]*stall_s=") as caught:
            read(server.endpoint, "Hi", stall_s=0.3)
        assert isinstance(caught.value, StreamCut) == bool(start)
        assert server.hung_up.wait(5)


REFUSALS = [
    (401, {"error": {"message": "bad key"}}, "refused the key", "KIT_API_KEY"),
    (404, {"object": "error", "message": "no model m", "code": 404}, "no such path", "models.list"),
    (429, {"error": {"message": "slow down"}}, "over its limit", "wait 7 s"),
    (400, {"object": "error", "message": "top_p must be in (0, 1]"}, "top_p must", "ask again"),
    (400, {"message": "longer than the model's context length"}, "context", "shorten the prompt"),
    (503, {"message": "loading"}, "failed \\(503\\)", "log"),
]


@pytest.mark.parametrize(("status", "body", "what", "hint"), REFUSALS)
def test_a_refusal_is_two_lines_and_one_request(
    status: int, body: dict[str, Any], what: str, hint: str
) -> None:
    with Scripted([], status, body, {"retry-after": "7"}) as server:
        with pytest.raises(EndpointError, match=what) as caught:
            read(server.endpoint, "Hi")
        assert len(server.requests) == 1  # a retry would have doubled it in silence
    first, second = str(caught.value).splitlines()
    assert hint in second
    assert first


def test_a_server_that_is_gone_is_two_lines() -> None:
    with Scripted([]) as server:
        endpoint = server.endpoint
    with pytest.raises(EndpointError, match="cannot reach") as caught:
        read(endpoint, "Hi")
    assert "kit.connect()" in caught.value.hint


@pytest.mark.parametrize("body", ["<html>hello</html>", {"choices": []}])
def test_an_answer_that_is_no_stream_points_at_the_url(body: Any) -> None:
    with (
        Scripted([], body=body) as server,
        pytest.raises(EndpointError, match="not a stream") as bad,
    ):
        read(server.endpoint, "Hi")
    assert "URL" in bad.value.hint


def test_a_server_that_does_not_stream_is_read_all_the_same() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    with Scripted([], body={"object": "chat.completion", "choices": [choice]}) as server:
        _, events = read(server.endpoint, "Hi")
    assert events == [Thinking("hm"), Answer("Hi"), Finish("stop")]


def test_an_answer_taken_for_thinking_is_explained() -> None:
    """sgl-project/sglang#5874: thinking off, and the answer in `reasoning_content`."""
    with Scripted([think("Paris."), finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi", thinking=False)
    assert "reasoning parser may have taken the answer for it" in stream.remark


def test_nothing_is_waited_for_after_done() -> None:
    with Scripted([say("x"), finish(), DONE, 30.0]) as server:

        async def gather() -> list[chat.Event]:
            return [event async for event in chat.stream(server.endpoint, "Hi")]

        begun = time.monotonic()
        assert read(server.endpoint, "Hi")[1] == asyncio.run(gather())
    assert time.monotonic() - begun < 5


def test_closing_early_hangs_up() -> None:
    with Scripted([say("x"), 30.0, DONE]) as server:
        with chat.stream(server.endpoint, "Hi") as stream:
            assert next(iter(stream)) == Answer("x")
        assert server.hung_up.wait(5)


def test_cancelling_hangs_up() -> None:
    with Scripted([say("x"), 30.0, DONE]) as server:

        async def ask() -> None:
            first = asyncio.Event()

            async def consume() -> None:
                async for _ in chat.stream(server.endpoint, "Hi"):
                    first.set()

            task = asyncio.create_task(consume())
            await first.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(ask())
        assert server.hung_up.wait(5)


def test_a_stream_is_read_once() -> None:
    with Scripted([say("x"), finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi")
        with pytest.raises(KitError, match="read once"):
            list(stream)


# --- history --------------------------------------------------------------------------------


def test_history_keeps_answers_and_drops_the_thinking_behind_them() -> None:
    with Scripted([*HELLO, finish(), DONE]) as server:
        stream, _ = read(server.endpoint, "Hi")
    assert stream.message == {
        "role": "assistant",
        "content": "Hi there",
        "reasoning_content": "hm",
    }
    asked = {"role": "user", "content": "Hi"}
    inline = {"role": "assistant", "content": "<think>hm</think>\n\nHi"}
    history = chat.conversation([asked, stream.message, asked, inline, asked])
    assert history[1] == {"role": "assistant", "content": "Hi there"}
    assert history[3] == {"role": "assistant", "content": "Hi"}
    assert "reasoning_content" in stream.message  # the caller's own message is untouched


def test_history_keeps_the_thinking_of_an_open_tool_turn() -> None:
    call = {"role": "assistant", "content": "", "reasoning_content": "look", "tool_calls": [{}]}
    turn = [{"role": "user", "content": "weather?"}, call, {"role": "tool", "content": "sun"}]
    assert chat.conversation(turn)[1]["reasoning_content"] == "look"
    ended = [*turn, {"role": "assistant", "content": "Sun.", "reasoning_content": "so"}]
    assert all("reasoning_content" not in m for m in chat.conversation(ended))
    assert chat.conversation(ended, preserve_thinking=True) == ended
