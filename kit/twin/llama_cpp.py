"""The pocket model in the twin's process, run by llama.cpp in a thread of its own.

    writer = PocketWriter()
    turn = await writer.write(prompt, thinking=True, tools=[...])   # or the notice, and why

    PocketModel.load().answer(prompt, thinking=True, tools=[...])   # the same, waited for

The model decides what is said. When it is sent, and how it is counted, follows the simulated
machine, as with every other reply.
"""

from __future__ import annotations

import json
import platform
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from time import monotonic
from typing import Any

from kit import page
from kit.errors import KitError
from kit.pocket import WEIGHTS, insist_on_released
from kit.provenance import Author, AuthorKind
from kit.twin.authored import AssistantTurn, FunctionCall, notice
from kit.twin.chat_format import THINK, TURN, offered
from kit.twin.errors import Refused, error
from kit.twin.workers import run_in

_LONGEST_TOKEN = 40  # characters: a prompt of more per token of the context is not even tokenized
MOST_WAITING = 256  # prompts: 20 s of them on a core of their own
MAX_TOKENS = 400  # longer than anything it was trained to say
NEEDS = ("avx2", "bmi2", "f16c", "fma")  # instructions that its x86 wheel was built with
_CALL = re.compile(r"<tool_call>\s*<function=([^>\n]+)>(.*?)(</function>|\Z)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_FULL = (
    f"The pocket model answers one prompt at a time, and {MOST_WAITING} wait already. Ask again in "
    "half a minute, or connect to a server with a model for many."
)
_FORCED = "<tool_call>\n<function="


class PocketUnavailable(KitError):
    """The pocket model cannot answer here; the twin has its authored replies."""


@dataclass(frozen=True)
class Weights:
    """The files of `kit/data/pocket`, as its `pocket.json` describes them."""

    gguf: Path
    name: str
    parameters: int
    context_tokens: int

    @classmethod
    def read(cls, folder: Path = WEIGHTS) -> Weights:
        """Raises PocketUnavailable where they are missing, or not the released ones."""
        try:
            insist_on_released(folder)
        except KitError as problem:
            raise PocketUnavailable(problem.what, problem.hint) from problem
        about = json.loads((folder / "pocket.json").read_text(encoding="utf-8"))
        gguf = folder / about["gguf"]
        return cls(gguf, about["name"], about["parameters"], about["context_tokens"])


class PocketModel:
    """llama.cpp with the weights loaded. It answers one prompt at a time."""

    def __init__(self, server: Any, weights: Weights) -> None:
        self.weights = weights
        self._server = server
        self._one_at_a_time = threading.Lock()

    @classmethod
    def load(cls, weights: Weights | None = None) -> PocketModel:
        """Raises PocketUnavailable without xllamacpp, or where it does not run on this machine."""
        found = weights or Weights.read()
        check_processor()
        try:
            import xllamacpp
        except ImportError as problem:
            raise PocketUnavailable(
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
            raise PocketUnavailable(
                f"llama.cpp does not run here: {problem}", "the twin goes on without it"
            ) from problem

    def answer(
        self,
        prompt: str,
        thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
        must_call: str | bool = False,
    ) -> AssistantTurn:
        """Its answer to a prompt in Qwen3.5's chat format, decoded greedily.

        `must_call` is a function's name, or True for any. Raises PocketUnavailable for a prompt
        that is longer than its context, and where it does not complete a demanded call.
        """
        opened = ""
        if thinking and prompt.endswith(TURN):  # a prompt that leaves the tag to the model
            prompt += THINK
        if must_call and tools:
            opened = ("\n</think>\n\n" if thinking else "") + _FORCED
            opened += f"{must_call}>\n" if isinstance(must_call, str) else ""
        names = " | ".join(map(json.dumps, offered(tools)))
        grammar = f'root ::= ({names}) ">" [^\\x00]*' if must_call is True else ""
        text, cut = self._complete(prompt + opened, MAX_TOKENS, grammar)
        turn = parse(opened + text, thinking, tools, cut)
        if must_call and not turn.calls:
            raise PocketUnavailable(
                "the pocket model was to call a tool, and did not complete the call",
                'let it choose: tool_choice="auto"',
            )
        return replace(turn, author=Author(AuthorKind.POCKET, self.weights.name))

    def complete(self, prompt: str, max_tokens: int = MAX_TOKENS) -> str:
        """What follows `prompt`, up to the end of the turn."""
        return self._complete(prompt, max_tokens)[0]

    def _complete(self, prompt: str, max_tokens: int, grammar: str = "") -> tuple[str, bool]:
        """The text, and whether it reached the limit before its own end."""
        asked = {
            "prompt": prompt.encode(errors="replace").decode(),  # without half surrogate pairs
            "n_predict": max_tokens,
            "temperature": 0.0,
            "stop": ["<|im_end|>"],
            "cache_prompt": False,
            "grammar": grammar,
        }
        if len(prompt) > _LONGEST_TOKEN * self.weights.context_tokens:
            raise self._unavailable({"type": "exceed_context_size_error"})
        with self._one_at_a_time:
            given = self._server.handle_completions(asked)
        if "choices" not in given:
            raise self._unavailable(given.get("error") or {})
        choice = given["choices"][0]
        return str(choice["text"]), choice["finish_reason"] == "length"

    def _unavailable(self, error: Mapping[str, Any]) -> PocketUnavailable:
        if error.get("type") == "exceed_context_size_error":
            return PocketUnavailable(
                f"this prompt is longer than the {self.weights.context_tokens:,} tokens, of its "
                "own vocabulary, that the pocket model holds",
                "ask for less at once",
            )
        return PocketUnavailable(
            f"llama.cpp does not take this prompt: {error.get('message')}", "ask in other words"
        )


@cache
def pocket() -> PocketModel:
    """The model of this process, loaded at first use. Raises PocketUnavailable."""
    return PocketModel.load()


def check_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Raises PocketUnavailable where this processor lacks an instruction that llama.cpp uses: it
    would end the whole process. Where the system does not list them, it is tried."""
    if platform.machine() != "x86_64" or not cpuinfo.exists():
        return
    flags = re.search(r"^flags\s*:(.*)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
    lacks = [name for name in NEEDS if flags and name not in flags[1].split()]
    if lacks:
        raise PocketUnavailable(
            f"the pocket model's engine needs a processor with {', '.join(lacks)}",
            'connect to a model elsewhere: kit.connect("http://localhost:30000")',
        )


def parse(
    text: str, thinking: bool, tools: Sequence[Mapping[str, Any]] = (), cut: bool = False
) -> AssistantTurn:
    """The parts of an assistant's text. Where tools are offered, calls are read as SGLang's parser
    reads them: of any function by any name."""
    thoughts, ended, rest = text.partition("</think>") if thinking else ("", "yes", text)
    schemas = offered(tools)
    calls = tuple(
        FunctionCall(name, _arguments(body, schemas.get(name, {})), bool(end))
        for name, body, end in (_CALL.findall(rest) if schemas else ())
    )
    answer = rest.partition("<tool_call>")[0] if calls else rest
    return AssistantTurn(
        thoughts.strip() if thinking else None,
        answer.strip(),
        calls,
        Author(AuthorKind.POCKET),
        cut,
        still_thinking=not ended,
    )


class PocketWriter:
    """Lets the pocket model answer beside the event loop, one prompt at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "pocket")
        self.waiting = 0  # prompts, that which is being answered among them
        self._reported: set[str] = set()

    def close(self) -> None:
        """Answer no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def write(
        self,
        prompt: str,
        thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
        must_call: str | bool = False,
        near: Callable[[], Sequence[str]] = tuple,
    ) -> AssistantTurn:
        """The model's answer to a prompt in Qwen3.5's chat format, or the notice: why, and which
        prompts are `near`. Raises Refused, 503, where too many wait already."""
        if self.waiting >= MOST_WAITING:
            raise Refused(503, error(_FULL, "ServiceUnavailable", 503))
        began_s = monotonic()
        answer = partial(_answer, prompt, thinking, tools, must_call)
        self.waiting += 1
        try:
            turn = await run_in(self._thread, answer)
        except PocketUnavailable as problem:
            if problem.what not in self._reported and not page.HERE:
                self._reported.add(problem.what)
                print(f"twin: no pocket model: {problem.what} → {problem.hint}", file=sys.stderr)
            why = f"The pocket model cannot answer: {problem.what}. → {problem.hint}."
            turn = notice(thinking, why, near())
        finally:
            self.waiting -= 1
        return replace(turn, held_s=monotonic() - began_s)


def _answer(
    prompt: str, thinking: bool, tools: Sequence[Mapping[str, Any]], must_call: str | bool
) -> AssistantTurn:
    if page.HERE:
        raise PocketUnavailable(
            "the pocket model does not run in a browser's page",
            "for its words: the course on a computer of one's own (make lab), or on Binder",
        )
    turn = pocket().answer(prompt, thinking, tools, must_call)
    if not (turn.thinking or turn.answer or turn.calls):
        raise PocketUnavailable("the pocket model had nothing to say", "ask in other words")
    return turn


def _arguments(body: str, schema: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Values with the types of their schema, as SGLang's parser reads them: `null` is None for any
    type, a boolean other than `true` is False, and all but strings are read as JSON."""
    kinds = schema.get("properties")
    kinds = kinds if isinstance(kinds, Mapping) else {}
    return tuple((name, _typed(value, kinds.get(name))) for name, value in _PARAMETER.findall(body))


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
