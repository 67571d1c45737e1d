"""The pocket model in the twin's process: llama.cpp writes what nobody wrote a reply for.

    pocket = Pocket.load()
    pocket.say(prompt, thinking=True, tools=[...])  →  Said(thinking, answer, calls, author)

Its words are its own; when they come, and what they count, is the played machine's: the twin
sends them as it sends every other reply.
"""

from __future__ import annotations

import json
import platform
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.pocket import WEIGHTS, insist_on_released
from kit.provenance import Author, AuthorKind
from kit.twin.authored import Call, Said
from kit.twin.chat_format import THINK, TURN

MAX_TOKENS = 400  # longer than anything it was taught to say
NEEDS = ("avx2", "bmi2", "f16c", "fma")  # of an x86 processor, as its wheel was built
_CALL = re.compile(r"<tool_call>\s*<function=([^>\n]+)>(.*?)(</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_FORCED = "<tool_call>\n<function="


class PocketMissing(KitError):
    """The pocket model cannot be had here; the twin keeps to what was written for it."""


@dataclass(frozen=True)
class Weights:
    """What `kit/data/pocket` holds, by its `pocket.json`."""

    gguf: Path
    name: str
    parameters: int
    context_tokens: int

    @classmethod
    def read(cls, folder: Path = WEIGHTS) -> Weights:
        """Raises PocketMissing where there are none, or they are not the released ones."""
        try:
            insist_on_released(folder)
        except KitError as problem:
            raise PocketMissing(problem.what, problem.hint) from problem
        about = json.loads((folder / "pocket.json").read_text(encoding="utf-8"))
        gguf = folder / about["gguf"]
        return cls(gguf, about["name"], about["parameters"], about["context_tokens"])


class Pocket:
    """llama.cpp with the weights loaded. One question at a time."""

    def __init__(self, server: Any, weights: Weights) -> None:
        self.weights = weights
        self._server = server
        self._one_at_a_time = threading.Lock()

    @classmethod
    def load(cls, weights: Weights | None = None) -> Pocket:
        """Raises PocketMissing without xllamacpp, or where it does not run on this machine."""
        found = weights or Weights.read()
        check_processor()
        try:
            import xllamacpp
        except ImportError as problem:
            raise PocketMissing(
                "the pocket model's engine, llama.cpp, is not installed here",
                "pip install xllamacpp, where it has a wheel",
            ) from problem
        params = xllamacpp.CommonParams()
        params.model.path = str(found.gguf)
        params.n_ctx = found.context_tokens
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.verbosity = -1
        params.endpoint_slots = False
        params.n_threads_http = 1
        params.fit_params = False  # it fits; looking takes half of the time to load
        try:
            return cls(xllamacpp.Server(params), found)
        except RuntimeError as problem:
            raise PocketMissing(
                f"llama.cpp does not run here: {problem}", "the twin goes on without it"
            ) from problem

    def say(
        self,
        prompt: str,
        thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
        must_call: str | bool = False,
    ) -> Said:
        """What it answers to a prompt in Qwen3.5's chat format. It is always greedy.

        `must_call` is a function's name, or True for any. Raises PocketMissing for a prompt that
        is longer than its context, and for a call that it does not get written.
        """
        opened = ""
        if thinking and prompt.endswith(TURN):  # a prompt that leaves the tag to the model
            prompt += THINK
        if must_call and tools:
            opened = ("\n</think>\n\n" if thinking else "") + _FORCED
            opened += f"{must_call}>\n" if isinstance(must_call, str) else ""
        grammar = _any_of(_offered(tools)) if must_call is True else ""
        text, cut = self._complete(prompt + opened, MAX_TOKENS, grammar)
        said = parse(opened + text, thinking, tools, cut)
        if must_call and not said.calls:
            raise PocketMissing(
                "the pocket model was to call a tool, and did not get it written",
                'let it choose: tool_choice="auto"',
            )
        return replace(said, author=Author(AuthorKind.POCKET, self.weights.name))

    def complete(self, prompt: str, max_tokens: int = MAX_TOKENS) -> str:
        """What follows `prompt`, up to the end of the turn."""
        return self._complete(prompt, max_tokens)[0]

    def _complete(self, prompt: str, max_tokens: int, grammar: str = "") -> tuple[str, bool]:
        """And whether it came to the limit before its own end."""
        asked = {
            "prompt": prompt.encode(errors="replace").decode(),  # half a surrogate pair is none
            "n_predict": max_tokens,
            "temperature": 0.0,
            "stop": ["<|im_end|>"],
            "cache_prompt": False,
            "grammar": grammar,
        }
        with self._one_at_a_time:
            given = self._server.handle_completions(asked)
        if "choices" not in given:
            raise self._refused(given.get("error") or {})
        choice = given["choices"][0]
        return str(choice["text"]), choice["finish_reason"] == "length"

    def _refused(self, error: Mapping[str, Any]) -> PocketMissing:
        if error.get("type") == "exceed_context_size_error":
            return PocketMissing(
                f"this prompt is longer than the {self.weights.context_tokens:,} tokens, of its "
                "own vocabulary, that the pocket model holds",
                "ask for less at once",
            )
        return PocketMissing(
            f"llama.cpp does not take this prompt: {error.get('message')}", "ask in other words"
        )


@cache
def pocket() -> Pocket:
    """The one of this process, loaded at first use. Raises PocketMissing."""
    return Pocket.load()


def check_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Raises PocketMissing where llama.cpp would meet an instruction that this processor does not
    know: that ends a process, the twin and all. Where the system has no such list, it is tried."""
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    lacks = [name for name in NEEDS if flags and name not in flags[1].split()]
    if lacks:
        raise PocketMissing(
            f"the pocket model's engine needs a processor with {', '.join(lacks)}",
            'connect to a model elsewhere: kit.connect("http://localhost:30000")',
        )


def parse(
    text: str, thinking: bool, tools: Sequence[Mapping[str, Any]] = (), cut: bool = False
) -> Said:
    """The text of an assistant's turn, taken apart; where it was `cut`, there is no end to it.
    Where tools are offered, calls are read as SGLang's parser does: of any function by any name."""
    thoughts, ended, rest = text.partition("</think>") if thinking else ("", "yes", text)
    offered = _offered(tools)
    calls = tuple(
        Call(name, _arguments(body, offered.get(name, {})), bool(end))
        for name, body, end in (_CALL.findall(rest) if offered else ())
    )
    answer = rest.partition("<tool_call>")[0] if calls else rest
    return Said(
        thoughts.strip() if thinking else None,
        answer.strip(),
        calls,
        Author(AuthorKind.POCKET),
        cut,
        still_thinking=not ended,
    )


def _offered(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Functions by name."""
    functions = (tool.get("function") for tool in tools)
    return {str(f.get("name")): f for f in functions if isinstance(f, Mapping)}


def _any_of(names: Iterable[str]) -> str:
    """llama.cpp's grammar for a call that goes to one of these functions."""
    return f'root ::= ({" | ".join(map(json.dumps, names))}) ">" [^\\x00]*'


def _arguments(body: str, function: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Values as their schema types them, as SGLang's parser does: `null` is none whatever the
    type, what is not `true` is false, and JSON is read where no text is meant."""
    parameters = function.get("parameters")
    schema = parameters.get("properties") if isinstance(parameters, Mapping) else None
    schema = schema if isinstance(schema, Mapping) else {}
    return tuple(
        (name, _typed(value, schema.get(name))) for name, value in _PARAMETER.findall(body)
    )


def _typed(value: str, schema: Any) -> Any:
    kind = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    if value.lower() == "null":
        return None
    if kind == "string":
        return value
    if kind == "boolean":
        return value.lower() == "true"
    try:
        return json.loads(value)
    except ValueError:
        return value
