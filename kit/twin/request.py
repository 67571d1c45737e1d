"""A request's JSON → what is asked, checked in the order and the words of SGLang."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kit.twin.errors import Refused, bad_request, invalid, not_served
from kit.twin.tokenizer import VOCAB_SIZE

DEFAULT_MODEL = "default"  # what SGLang echoes where a request names no model
GENERATE_TOKENS = 128  # /generate's max_new_tokens where it is not given
COMPLETION_TOKENS = 16  # /v1/completions' max_tokens
ROLES = ("system", "assistant", "tool", "function", "developer", "user")

_INTEGERS = ("max_tokens", "max_completion_tokens", "max_new_tokens", "n", "top_k", "top_logprobs")
_NUMBERS = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty")
_SWITCHES = ("stream", "ignore_eos", "separate_reasoning", "stream_reasoning")


@dataclass(frozen=True)
class SamplingParams:
    """How far a generation goes. `max_tokens` None: to its own end."""

    max_tokens: int | None
    stops: tuple[str, ...]
    stop_ids: tuple[int, ...]
    ignore_eos: bool


@dataclass(frozen=True)
class ChatAsk:
    """A request for /v1/chat/completions. `tools` are those that may be called."""

    model: str
    messages: tuple[Mapping[str, Any], ...]
    tools: tuple[Mapping[str, Any], ...]
    must_call: str | bool
    thinking: bool
    sampling: SamplingParams
    n: int
    stream: bool
    include_usage: bool
    continuous_usage: bool
    separate_reasoning: bool
    stream_reasoning: bool


@dataclass(frozen=True)
class TextAsk:
    """A request for /v1/completions or /generate: a bare prompt, as text or as token ids."""

    model: str
    prompt: str | tuple[int, ...]
    sampling: SamplingParams
    stream: bool
    include_usage: bool
    rid: str | None = None


def parse(raw: bytes) -> dict[str, Any]:
    """The body as an object. Raises Refused."""
    try:
        body = json.loads(raw)
    except ValueError as problem:
        at = getattr(problem, "pos", 0)
        raise invalid("json_invalid", (at,), "JSON decode error", {}) from problem
    if not isinstance(body, dict):
        raise invalid("model_attributes_type", (), "Input should be a valid dictionary", body)
    return body


def chat(body: Mapping[str, Any], context_length: int, thinks: bool) -> ChatAsk:
    """Raises Refused. `thinks` is whether the model thinks where nobody says."""
    _typed(body)
    messages = _messages(body)
    tools, must_call = _tools(body)
    limit = body.get("max_completion_tokens")
    if limit is None:
        limit = body.get("max_tokens")
    if limit is not None and limit > context_length:
        raise bad_request(
            f"max_completion_tokens is too large: {limit}."
            f"This model supports at most {context_length} completion tokens."
        )
    sampling = _sampling(body, limit)
    if body.get("logprobs"):
        raise not_served("log probabilities")
    if (body.get("response_format") or {}).get("type") not in (None, "text"):
        raise not_served("constrained answers (response_format)")
    options = body.get("stream_options") or {}
    return ChatAsk(
        model=body.get("model") or DEFAULT_MODEL,
        messages=messages,
        tools=tools,
        must_call=must_call,
        thinking=_thinking(body, thinks),
        sampling=sampling,
        n=body.get("n") or 1,
        stream=bool(body.get("stream")),
        include_usage=bool(options.get("include_usage")),
        continuous_usage=bool(options.get("continuous_usage_stats")),
        separate_reasoning=body.get("separate_reasoning") is not False,
        stream_reasoning=body.get("stream_reasoning") is not False,
    )


def completion(body: Mapping[str, Any]) -> TextAsk:
    """Raises Refused."""
    _typed(body)
    if "prompt" not in body:
        raise invalid("missing", ("prompt",), "Field required", dict(body))
    if body.get("logprobs"):
        raise not_served("log probabilities")
    limit = body.get("max_tokens")
    return TextAsk(
        model=body.get("model") or DEFAULT_MODEL,
        prompt=_prompt(body["prompt"]),
        sampling=_sampling(body, COMPLETION_TOKENS if limit is None else limit),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def generate(body: Mapping[str, Any]) -> TextAsk:
    """Raises Refused, its body as /generate writes errors."""
    try:
        _typed(body)
        given = body.get("sampling_params") or {}
        if not isinstance(given, Mapping):
            raise not_served("batches in one request")
        _typed(given)
        prompt = body.get("text") if body.get("input_ids") is None else body["input_ids"]
        if prompt is None:
            raise bad_request("Either text, input_ids or input_embeds should be provided.")
        if body.get("return_logprob"):
            raise not_served("log probabilities")
        if body.get("image_data"):
            raise not_served("images on /generate")
        limit = given.get("max_new_tokens")
        return TextAsk(
            model="",
            prompt=_prompt(prompt),
            sampling=_sampling(given, GENERATE_TOKENS if limit is None else limit),
            stream=bool(body.get("stream")),
            include_usage=False,
            rid=body["rid"] if isinstance(body.get("rid"), str) else None,
        )
    except Refused as refused:
        raise Refused(400, {"error": {"message": refused.body["message"]}}) from refused


def check_length(input_tokens: int, sampling: SamplingParams, context_length: int) -> None:
    """Raises Refused where prompt and answer do not fit the context."""
    limit = sampling.max_tokens
    if input_tokens >= context_length:
        raise bad_request(
            f"The input ({input_tokens} tokens) is longer than the model's context length "
            f"({context_length} tokens)."
        )
    if limit is not None and input_tokens + limit > context_length:
        raise bad_request(
            "Requested token count exceeds the model's maximum context length of "
            f"{context_length} tokens. You requested a total of {input_tokens + limit} tokens: "
            f"{input_tokens} tokens from the input messages and {limit} tokens for the "
            "completion. Please reduce the number of tokens in the input messages or the "
            "completion to fit within the limit."
        )


def bad_regex(body: Mapping[str, Any]) -> str | None:
    """What is wrong with a request's `regex`; None where it has none. Raises Refused for one
    that is right: the twin cannot make an answer follow it."""
    import re

    pattern = body.get("regex")
    if pattern is None:
        return None
    try:
        re.compile(pattern)
    except re.error as problem:
        at = problem.pos or 0
        return f"Failed to compile regex grammar: error at position {at}: {problem.msg}.\n"
    raise not_served("constrained answers (regex)")


def _typed(body: Mapping[str, Any]) -> None:
    for name in _INTEGERS:
        value = body.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise invalid("int_type", (name,), "Input should be a valid integer", value)
    for name in _NUMBERS:
        value = body.get(name)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
            raise invalid("float_type", (name,), "Input should be a valid number", value)
    for name in _SWITCHES:
        value = body.get(name)
        if value is not None and not isinstance(value, bool):
            raise invalid("bool_type", (name,), "Input should be a valid boolean", value)
    for name in ("stream_options", "chat_template_kwargs", "response_format"):
        value = body.get(name)
        if value is not None and not isinstance(value, Mapping):
            raise invalid("dict_type", (name,), "Input should be a valid dictionary", value)


def _messages(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    if "messages" not in body:
        raise invalid("missing", ("messages",), "Field required", dict(body))
    messages = body["messages"]
    if not isinstance(messages, list):
        raise invalid("list_type", ("messages",), "Input should be a valid list", messages)
    for i, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise invalid(
                "dict_type", ("messages", i), "Input should be a valid dictionary", message
            )
        if message.get("role") not in ROLES:
            names = ", ".join(map(repr, ROLES))
            role = message.get("role")
            where = ("messages", i, "role")
            raise invalid("value_error", where, f"'role' must be one of {names}.", role)
    if not messages:
        raise bad_request("Messages cannot be empty.")
    return tuple(messages)


def _tools(body: Mapping[str, Any]) -> tuple[tuple[Mapping[str, Any], ...], str | bool]:
    """The tools that may be called, and the one that must be; True: some one of them."""
    given = body.get("tools") or ()
    if not isinstance(given, Sequence) or not all(isinstance(tool, Mapping) for tool in given):
        raise invalid("list_type", ("tools",), "Input should be a valid list", given)
    tools = tuple(given)
    choice = body.get("tool_choice")
    if choice == "none":
        return (), False
    if choice == "required" and not tools:
        raise bad_request("Tools cannot be empty if tool choice is set to required.")
    if not isinstance(choice, Mapping):
        return tools, choice == "required"
    if not tools:
        raise bad_request("Tools cannot be empty if tool choice is set to a specific tool.")
    name = (choice.get("function") or {}).get("name")
    if name not in {(tool.get("function") or {}).get("name") for tool in tools}:
        raise bad_request(f"Tool '{name}' not found in tools list.")
    return tools, str(name)


def _thinking(body: Mapping[str, Any], thinks: bool) -> bool:
    switch = (body.get("chat_template_kwargs") or {}).get("enable_thinking")
    if switch is None and body.get("reasoning_effort") == "none":
        return False
    return thinks if switch is None else bool(switch)


def _sampling(body: Mapping[str, Any], limit: int | None) -> SamplingParams:
    temperature, top_p = body.get("temperature"), body.get("top_p")
    min_p, top_k = body.get("min_p"), body.get("top_k")
    if temperature is not None and not (math.isfinite(temperature) and temperature >= 0):
        given = float(temperature)
        raise bad_request(f"temperature must be a non-negative finite number, got {given}.")
    if top_p is not None and not 0 < top_p <= 1:
        raise bad_request(f"top_p must be in (0, 1], got {float(top_p)}.")
    if min_p is not None and not 0 <= min_p <= 1:
        raise bad_request(f"min_p must be in [0, 1], got {float(min_p)}.")
    if top_k is not None and top_k < 1 and top_k != -1:
        raise bad_request(f"top_k must be -1 (disable) or at least 1, got {top_k}.")
    for name in ("frequency_penalty", "presence_penalty"):
        value = body.get(name)
        if value is not None and not -2 <= value <= 2:
            raise bad_request(f"{name} must be in [-2, 2], got {float(value)}.")
    if limit is not None and limit < 0:
        raise bad_request(f"max_new_tokens must be at least 0, got {limit}.")
    stop = body.get("stop") or ()
    return SamplingParams(
        max_tokens=limit,
        stops=(stop,) if isinstance(stop, str) else tuple(map(str, stop)),
        stop_ids=tuple(body.get("stop_token_ids") or ()),
        ignore_eos=bool(body.get("ignore_eos")),
    )


def _prompt(prompt: Any) -> str | tuple[int, ...]:
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        raise bad_request("The prompt must be a text or a list of token ids, and not empty.")
    if isinstance(prompt[0], str | list):
        if len(prompt) > 1:
            raise not_served("batches in one request")
        return _prompt(prompt[0])
    if not all(isinstance(token, int) and 0 <= token < VOCAB_SIZE for token in prompt):
        raise bad_request(f"Token ids are integers from 0 to {VOCAB_SIZE - 1}.")
    return tuple(prompt)
