"""A request's body → a checked request, in the order and with the errors of SGLang.

First the body must fit a model of `kit.twin.protocol`, then its values must be in range. What the
twin cannot do is refused as well: no answer is invented.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from kit.twin.body import parse
from kit.twin.errors import Refused, bad_request, invalid, native, not_served
from kit.twin.protocol import (
    ChatCompletionRequest,
    CompletionRequest,
    GenerateReqInput,
    GenerateSamplingParams,
)
from kit.twin.tokenizer import VOCAB_SIZE

M = TypeVar("M", bound=BaseModel)

MOST_CHOICES = 128  # of one request: OpenAI's limit, where SGLang has none
# Of one request as well: so many that checking and writing them takes well under a second.
_MOST = {"messages": 2048, "tools": 1024, "stop": 256, "stop_regex": 256, "stop_token_ids": 1024}
_MOST_PARTS = 2048  # content parts and tool calls of all messages
_MOST_NAME = 1024  # characters of what each event of a stream repeats: model and rid
_MOST_REGEX = 10_000

# What SGLang's SamplingParams.verify checks, in its order: name, condition, what it must be.
_RANGES: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("temperature", lambda v: math.isfinite(v) and v >= 0, "a non-negative finite number"),
    ("top_p", lambda v: 0 < v <= 1, "in (0, 1]"),
    ("min_p", lambda v: 0 <= v <= 1, "in [0, 1]"),
    ("top_k", lambda v: v == -1 or v >= 1, "-1 (disable) or at least 1"),
    ("frequency_penalty", lambda v: -2 <= v <= 2, "in [-2, 2]"),
    ("presence_penalty", lambda v: -2 <= v <= 2, "in [-2, 2]"),
    ("repetition_penalty", lambda v: 0 < v <= 2, "in (0, 2] (1.0 = no penalty)"),
    ("min_tokens", lambda v: v >= 0, "in [0, max_new_tokens]"),
    ("limit", lambda v: v >= 0, "at least 0"),
)
_SGLANG_NAMES = {"min_tokens": "min_new_tokens", "limit": "max_new_tokens"}
# What the contract of /generate calls a type: pydantic's error → the name of the type.
_EXPECTED = {
    "int_type": "i64",
    "float_type": "f64",
    "bool_type": "a boolean",
    "string_type": "a string",
    "list_type": "a sequence",
    "dict_type": "a map",
}


@dataclass(frozen=True)
class SamplingParams:
    """Where a generation ends. `max_tokens` None: at its own end."""

    max_tokens: int | None
    stops: tuple[str, ...]
    stop_ids: tuple[int, ...]
    ignore_eos: bool


@dataclass(frozen=True)
class TextRequest:
    """A request for /v1/completions or /generate: a bare prompt, as text or as token ids."""

    prompt: str | tuple[int, ...]
    sampling: SamplingParams
    stream: bool
    model: str = ""
    include_usage: bool = False
    rid: str | None = None


def checked(kind: type[M], body: Any) -> M:
    """The body as the model `kind`. Raises Refused."""
    _check_counts(body)
    try:
        return kind.model_validate(body, from_attributes=True)  # as FastAPI does
    except ValidationError as problem:
        raise invalid(problem.errors(include_url=False)) from problem


def chat(body: Any, context_length: int) -> ChatCompletionRequest:
    """A request for /v1/chat/completions. Raises Refused."""
    asked = checked(ChatCompletionRequest, body)
    if not asked.messages:
        raise bad_request("Messages cannot be empty.")
    if "chat_template" in (asked.chat_template_kwargs or {}):
        raise bad_request(
            "Request-supplied chat_template is not allowed. Start the server with "
            "--trust-request-chat-template to permit it."
        )
    _check_tools(asked)
    if asked.limit is not None and asked.limit > context_length:
        raise bad_request(
            f"max_completion_tokens is too large: {asked.limit}."
            f"This model supports at most {context_length} completion tokens."
        )
    _check_ranges(asked)
    if asked.n == 0:
        raise bad_request("range() arg 3 must not be zero", "BadRequest")
    if asked.n > MOST_CHOICES:
        raise not_served(f"more than {MOST_CHOICES} choices of one request")
    if asked.logprobs:
        raise not_served("log probabilities")
    if asked.response_format is not None and asked.response_format.type != "text":
        raise not_served("constrained answers (response_format)")
    return asked


def conversation(asked: ChatCompletionRequest) -> tuple[dict[str, Any], ...]:
    """The messages, the arguments of their tool calls as objects. Raises Refused."""
    messages = tuple(message.model_dump(exclude_unset=True) for message in asked.messages)
    for message in messages:
        for call in message.get("tool_calls") or ():
            name, given = (call["function"].get(key) for key in ("name", "arguments"))
            arguments = _arguments(given) if isinstance(given, str) else given or {}
            call["function"] = {"name": name or "", "arguments": arguments}
    return messages


def completion(body: Any) -> TextRequest:
    """A request for /v1/completions. Raises Refused."""
    asked = checked(CompletionRequest, body)
    if not asked.prompt or (isinstance(asked.prompt, list) and not any(asked.prompt)):
        raise bad_request("Prompt cannot be empty")
    if asked.logprobs:
        raise not_served("log probabilities")
    _check_ranges(asked)
    prompt, ends = _prompt(asked.prompt), sampling(asked)
    return TextRequest(prompt, ends, asked.stream, asked.model, asked.include_usage)


def generate(body: Any) -> TextRequest:
    """A request for /generate. Raises Refused."""
    asked = checked(GenerateReqInput, body)
    params = _generate_params(asked.sampling_params or {})
    prompt = asked.text if asked.input_ids is None else asked.input_ids
    try:
        if prompt is None:
            raise bad_request("Either text, input_ids or input_embeds should be provided.")
        if asked.return_logprob:
            raise not_served("log probabilities")
        if asked.image_data:
            raise not_served("images on /generate")
        _check_ranges(params)
        rid = asked.rid if isinstance(asked.rid, str) else None
        return TextRequest(_prompt(prompt), sampling(params), asked.stream, rid=rid)
    except Refused as refused:
        raise native(refused, asked.stream) from refused


def sampling(
    asked: ChatCompletionRequest | CompletionRequest | GenerateSamplingParams,
) -> SamplingParams:
    """Where the generation of a checked request ends."""
    stop = asked.stop or ()
    return SamplingParams(
        max_tokens=asked.limit,
        stops=(stop,) if isinstance(stop, str) else tuple(stop),
        stop_ids=tuple(one for one in asked.stop_token_ids or () if one is not None),
        ignore_eos=bool(asked.ignore_eos),
    )


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


def bad_regex(pattern: str | None) -> str | None:
    """What is wrong with a request's `regex`; None where it has none. Raises Refused for a
    correct one: the twin cannot make an answer follow it."""
    if pattern is None:
        return None
    if len(pattern) > _MOST_REGEX:
        raise not_served(f"a regex of more than {_MOST_REGEX:,} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, ValueError) as problem:
        at, what = getattr(problem, "pos", 0) or 0, getattr(problem, "msg", str(problem))
        return f"Failed to compile regex grammar: error at position {at}: {what}.\n"
    raise not_served("constrained answers (regex)")


def _check_counts(body: Any) -> None:
    if not isinstance(body, dict):
        return
    params = body.get("sampling_params")
    for one in (body, params if isinstance(params, dict) else {}):
        for name, most in _MOST.items():
            if isinstance(given := one.get(name), list) and len(given) > most:
                raise not_served(f"more than {most:,} entries in {name}")
    for name in ("model", "rid"):
        if isinstance(given := body.get(name), str) and len(given) > _MOST_NAME:
            raise not_served(f"a {name} of more than {_MOST_NAME:,} characters")
    messages = body.get("messages")
    inner = (m.get(key) for m in _objects(messages) for key in ("content", "tool_calls"))
    if sum(len(one) for one in inner if isinstance(one, list)) > _MOST_PARTS:
        raise not_served(f"more than {_MOST_PARTS:,} parts in one conversation")


def _objects(values: Any) -> list[dict[str, Any]]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _check_ranges(asked: Any) -> None:
    for name, fits, what in _RANGES:
        value = getattr(asked, name)
        if value is not None and not fits(value):
            raise bad_request(f"{_SGLANG_NAMES.get(name, name)} must be {what}, got {value}.")
    if asked.limit is not None and asked.min_tokens > asked.limit:
        raise bad_request(
            f"min_new_tokens must be in [0, max_new_tokens({asked.limit})], got {asked.min_tokens}."
        )


def _check_tools(asked: ChatCompletionRequest) -> None:
    tools, must_call = asked.tools or [], asked.must_call
    if must_call and not tools:
        which = "required" if must_call is True else "a specific tool"
        raise bad_request(f"Tools cannot be empty if tool choice is set to {which}.")
    if isinstance(must_call, str) and must_call not in {tool.function.name for tool in tools}:
        raise bad_request(f"Tool '{must_call}' not found in tools list.")
    for i, tool in enumerate(tools):
        problem = _schema_problem(tool.function.parameters)
        if problem:
            raise bad_request(f"Tool {i} function has invalid 'parameters' schema: {problem}")


def _schema_problem(schema: Any) -> str | None:
    """The first thing wrong with a JSON Schema, of what the twin reads of it."""
    if schema is None or isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{schema!r} is not of type 'object', 'boolean'"
    properties, required = schema.get("properties", {}), schema.get("required", [])
    if not isinstance(properties, dict):
        return f"{properties!r} is not of type 'object'"
    if not isinstance(required, list):
        return f"{required!r} is not of type 'array'"
    wrong = [f"{name!r} is not of type 'string'" for name in required if not isinstance(name, str)]
    wrong += filter(None, map(_schema_problem, properties.values()))
    return wrong[0] if wrong else None


def _arguments(text: str) -> dict[str, Any]:
    must_be = "Assistant tool call function.arguments must be "
    try:
        arguments = parse(text.encode())
    except Refused as problem:
        raise bad_request(must_be + "valid JSON.", "BadRequest") from problem
    if not isinstance(arguments, dict):
        raise bad_request(must_be + "a JSON object.", "BadRequest")
    return arguments


def _prompt(prompt: Any) -> str | tuple[int, ...]:
    if isinstance(prompt, str):
        return prompt
    if not prompt:
        raise bad_request("The prompt must be a text or a list of token ids, and not empty.")
    if isinstance(prompt[0], str | list):
        if len(prompt) > 1:
            raise not_served("batches in one request")
        return _prompt(prompt[0])
    if not all(isinstance(token, int) and 0 <= token < VOCAB_SIZE for token in prompt):
        raise bad_request(f"Token ids are integers from 0 to {VOCAB_SIZE - 1}.")
    return tuple(prompt)


def _generate_params(given: Any) -> GenerateSamplingParams:
    if not isinstance(given, Mapping):
        raise native(not_served("batches in one request"), stream=False)
    try:
        return GenerateSamplingParams.model_validate(given)
    except ValidationError as problem:
        raise Refused(400, {"error": _contract_error(problem)}) from problem


def _contract_error(problem: ValidationError) -> str:
    """The first error in the words of SGLang's schema of /generate, which are serde's."""
    first, *others = problem.errors(include_url=False)
    field = first["loc"][0]
    if first["type"] == "extra_forbidden":
        known = ", ".join(f"`{name}`" for name in GenerateSamplingParams.model_fields)
        return f"unknown field `{field}`, expected one of {known}"
    about = [first, *(one for one in others if one["loc"][0] == field)]
    element = next((one for one in about if isinstance(one["loc"][-1], int)), None)
    expected = _EXPECTED.get((element or about[-1])["type"], "another value")
    if element is None and about[0]["type"] == "list_type" and len(about) > 1:
        expected = "a value or an array of values for StringOrList"
    return f"invalid type: {_serde((element or first)['input'])}, expected {expected}"


def _serde(value: Any) -> str:
    """How serde names a value of the wrong type."""
    if isinstance(value, str):
        return f"string {json.dumps(value[:_MOST_NAME], ensure_ascii=False)}"
    if isinstance(value, list | dict):
        return "sequence" if isinstance(value, list) else "map"
    names = {"bool": "boolean", "int": "integer", "float": "floating point"}
    name = names.get(type(value).__name__)
    return f"{name} `{json.dumps(value)}`" if name else "null"
