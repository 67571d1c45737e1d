"""Wrong requests, and what the real server said to them: `refusals.jsonl`, a request a line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wire_captures import Exchange

FILE = Path(__file__).parent / "refusals.jsonl"

# Where the twin's answer differs, and why: path, the part of the body that makes the difference.
_ONE = "the twin takes one prompt a request"
_PARTS = "the twin knows fewer kinds of content parts, and gives them shorter names"
_IDS = "SGLang checks token ids with a loop of its own"
DIFFERENT: dict[tuple[str, str], str] = {
    ("/v1/chat/completions", '"content": ['): _PARTS,
    ("/v1/chat/completions", '"content": 3'): _PARTS,
    ("/v1/chat/completions", '"role": "user", "content": null'): _PARTS,
    ("/v1/chat/completions", '"role": "user", "content": {'): _PARTS,
    ("/v1/chat/completions", '"response_format"'): "SGLang has three models for it, the twin one",
    ("/v1/chat/completions", '"reasoning_effort": true'): "SGLang refuses it before its type",
    ("/v1/chat/completions", '[{"function": {}}]'): "SGLang adds key_order before it looks",
    ("/v1/chat/completions", '{"type": "alien"}'): "of a JSON Schema the twin checks what it reads",
    ("/v1/completions", '["a", "b"]'): _ONE,
    ("/v1/completions", "[[1, 2], [3]]"): _ONE,
    ("/v1/completions", '"logprobs": true'): "no model runs in the twin: no probabilities",
    ("/generate", '["a", "b"]'): _ONE,
    ("/generate", '"input_ids": "x"'): _IDS,
    ("/generate", '"input_ids": ["x"]'): _IDS,
    ("/generate", '"input_ids": [1.5]'): _IDS,
    ("/generate", '"input_ids": [1, [2]]'): _IDS,
    ("/generate", '"image_data"'): "the twin serves images on chat completions alone",
    ("/generate", "[1]"): "SGLang's is a dataclass and the twin's a model: the error names it",
    ("/generate", '"x"'): "SGLang's is a dataclass and the twin's a model: the error names it",
}


@dataclass(frozen=True)
class Refusal:
    """`answer` is the JSON of the error, shortened by `told`; None where it was no error."""

    path: str
    body: Any
    status: int
    answer: Any

    @property
    def different(self) -> str | None:
        """Why the twin answers otherwise; None where it must not."""
        text = json.dumps(self.body)
        for (path, part), why in DIFFERENT.items():
            if path == self.path and (text == part or (len(part) > 3 and part in text)):
                return why
        return None


def refusals() -> list[Refusal]:
    return [Refusal(**json.loads(line)) for line in FILE.read_text().splitlines()]


def told(exchange: Exchange) -> Any:
    """An error's JSON, without the place in SGLang's source, the part of the meta-schema that a
    tool's parameters do not fit, and the validators in the names of models."""
    text = exchange.body.decode().removeprefix("data: ").split("\n\ndata: ")[0]
    body = json.loads(text)
    if not isinstance(body, dict) or not {"error", "message"} & body.keys():
        return None
    message = body.get("message")
    if isinstance(message, str):
        message = re.split(r"\n\n(?:  File|Failed validating)", message)[0]
        body["message"] = re.sub(r"'function-after\[\w+\(\), (\w+)\]'", r"'\1'", message)
    return body
