"""The pocket model in the twin's process: llama.cpp writes what nobody wrote a reply for.

    pocket = Pocket.load()
    pocket.say(prompt, thinking=True, tools=[...])  →  Said(thinking, answer, calls, Hand.POCKET)

Its words are its own; when they come, and what they count, is the played machine's: the twin
sends them as it sends every other reply.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from kit.errors import KitError
from kit.provenance import Hand
from kit.twin.replies import Call, Said

MAX_TOKENS = 400  # longer than anything it was taught to say
_CALL = re.compile(r"<tool_call>\s*<function=([^>\n]+)>(.*?)(?:</function>|\Z)", re.DOTALL)
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
    sha256: str

    @classmethod
    def read(cls, folder: Path | None = None) -> Weights:
        """Raises PocketMissing where there are none, or they are not the released ones."""
        folder = folder or Path(str(files("kit").joinpath("data/pocket")))
        try:
            about = json.loads((folder / "pocket.json").read_text(encoding="utf-8"))
            found = cls(
                folder / about["gguf"],
                about["name"],
                about["parameters"],
                about["context_tokens"],
                about["sha256"],
            )
            digest = hashlib.sha256(found.gguf.read_bytes()).hexdigest()
        except (OSError, ValueError, KeyError) as problem:
            raise PocketMissing(
                f"the pocket model's weights cannot be read: {problem}", "git checkout kit/data"
            ) from problem
        if digest != found.sha256:
            raise PocketMissing(
                f"{found.gguf.name} is not what was released: another checksum",
                "git checkout kit/data/pocket",
            )
        return found


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
        try:
            import xllamacpp
        except ImportError as problem:
            raise PocketMissing(
                "llama.cpp is not installed here", "pip install xllamacpp, where it has a wheel"
            ) from problem
        params = xllamacpp.CommonParams()
        params.model.path = str(found.gguf)
        params.n_ctx = found.context_tokens
        params.n_parallel = 1
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.verbosity = -1
        params.endpoint_slots = False
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
        must_call: str | bool | None = None,
    ) -> Said:
        """What it answers to a prompt in Qwen3.5's chat format. It is always greedy.

        `must_call` is a function's name, or True for any. Raises PocketMissing for a prompt that
        is longer than its context.
        """
        opened = ""
        if must_call and tools:
            opened = ("\n</think>\n\n" if thinking else "") + _FORCED
            opened += f"{must_call}>\n" if isinstance(must_call, str) else ""
        return parse(opened + self.complete(prompt + opened), thinking, tools)

    def complete(self, prompt: str, max_tokens: int = MAX_TOKENS) -> str:
        """What follows `prompt`, up to the end of the turn."""
        asked = {
            "prompt": prompt,
            "n_predict": max_tokens,
            "temperature": 0.0,
            "stop": ["<|im_end|>"],
            "cache_prompt": False,
        }
        with self._one_at_a_time:
            given = self._server.handle_completions(asked)
        if "choices" not in given:
            raise PocketMissing(
                f"the pocket model holds {self.weights.context_tokens} tokens, less than this",
                "ask for less at once",
            )
        return str(given["choices"][0]["text"])


@cache
def pocket() -> Pocket:
    """The one of this process, loaded at first use. Raises PocketMissing."""
    return Pocket.load()


def parse(text: str, thinking: bool, tools: Sequence[Mapping[str, Any]] = ()) -> Said:
    """The text of an assistant's turn, taken apart. Calls of functions not offered stay text."""
    thoughts, ended, rest = text.partition("</think>") if thinking else ("", "yes", text)
    offered = {f["name"]: f for tool in tools if isinstance(f := tool.get("function"), Mapping)}
    calls = tuple(
        Call(name, _arguments(body, offered[name]))
        for name, body in _CALL.findall(rest)
        if name in offered
    )
    answer = rest.partition("<tool_call>")[0] if calls else rest
    return Said(
        thoughts.strip() if thinking else None, answer.strip() if ended else "", calls, Hand.POCKET
    )


def _arguments(body: str, function: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Values as their schema types them, as SGLang's parser does: JSON where no text is meant."""
    schema = (function.get("parameters") or {}).get("properties") or {}
    return tuple(
        (name, value if _is_text(schema.get(name)) else _json_or_text(value))
        for name, value in _PARAMETER.findall(body)
    )


def _is_text(schema: Any) -> bool:
    return not isinstance(schema, Mapping) or schema.get("type", "string") == "string"


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value
