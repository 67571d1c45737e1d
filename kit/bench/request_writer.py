"""What the requests of a benchmark say: a workload → the bytes of its HTTP requests.

Two dialects. `native` is SGLang's /generate: prompts are token ids, so their length is exact, and
each event carries the count of tokens so far. `chat` is /v1/chat/completions, which every
OpenAI-compatible server has: prompts are words, about one token each, and the server counts.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit.bench.transport import Origin
from kit.bench.workload import Workload
from kit.vision.image_part import data_url

Dialect = Literal["native", "chat"]
PATHS: dict[Dialect, str] = {"native": "/generate", "chat": "/v1/chat/completions"}
BACKENDS: dict[Dialect, str] = {"native": "sglang", "chat": "sglang-oai-chat"}  # bench_serving's

# Short everyday words, each one token with its space in the vocabularies of the day.
_WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work number night "
    "point home water room mother area money story fact month lot right study book eye job word"
)


@dataclass(frozen=True)
class Extensions:
    """The OpenAI extensions that a server takes; the warm-up finds out.

    `ignore_eos` makes answers as long as asked; `usage` counts tokens in every chunk.
    """

    ignore_eos: bool = True
    usage: bool = True

    @property
    def missing(self) -> tuple[str, ...]:
        lacking = {
            "exact answer lengths: the server does not take ignore_eos": self.ignore_eos,
            "token counts by the server: it does not take stream_options": self.usage,
        }
        return tuple(what for what, taken in lacking.items() if not taken)


# What the warm-up tries, one after the other.
EXTENSIONS: dict[Dialect, tuple[Extensions, ...]] = {
    "native": (Extensions(),),
    "chat": (Extensions(), Extensions(ignore_eos=False), Extensions(False, usage=False)),
}


@dataclass(frozen=True)
class RequestWriter:
    """Writes the requests of a workload for one server. `headers` are one for each."""

    workload: Workload
    origin: Origin
    dialect: Dialect
    model: str
    extensions: Extensions
    headers: Sequence[tuple[str, str]] = ()

    def request(self, index: int, most_tokens: int | None = None) -> bytes:
        """HTTP request `index`, for an answer of at most `most_tokens`.

        One with images takes a while to write.
        """
        tokens_out = self.workload.lengths[index][1]
        fields = self._native if self.dialect == "native" else self._chat
        asked = fields(index, min(tokens_out, most_tokens or tokens_out))
        body = json.dumps(asked, separators=(",", ":")).encode()
        return self.origin.request(
            "POST", PATHS[self.dialect], body, self.headers[index : index + 1]
        )

    def _native(self, index: int, tokens_out: int) -> dict[str, Any]:
        prompt = self.workload.prompt(index)
        sampling = {"temperature": 0.0, "max_new_tokens": tokens_out, "ignore_eos": True}
        return {"input_ids": prompt, "sampling_params": sampling, "stream": True}

    def _chat(self, index: int, tokens_out: int) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": _content(self.workload, index)}],
            "max_tokens": tokens_out,
            "temperature": 0.0,
            "stream": True,
        }
        if self.extensions.ignore_eos:
            fields["ignore_eos"] = True
        if self.extensions.usage:
            fields["stream_options"] = {"include_usage": True, "continuous_usage_stats": True}
        return fields


def _content(workload: Workload, index: int) -> str | list[dict[str, Any]]:
    """Words, about one token each; after the images where the workload has some."""
    rng = random.Random(f"{workload.seed} {index}")
    text = " ".join(rng.choices(_WORDS.split(), k=workload.text_lengths[index][0]))
    pictures = [
        {"type": "image_url", "image_url": {"url": data_url("image/jpeg", file)}}
        for file in workload.pictures(index)
    ]
    return [*pictures, {"type": "text", "text": text}] if pictures else text
