"""Requests with tools, and the pieces their answers come in: of the real server and the twin."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wire_replay import ask
from wire_shapes import parts

ROOT = Path(__file__).parents[2]
TWINS_PYTHON = str(ROOT / ".venv" / "bin" / "python")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a location",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The city name"}},
            "required": ["city"],
        },
    },
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}
INSTRUCT = {"chat_template_kwargs": {"enable_thinking": False}}
CHOICES: dict[str, Any] = {"auto": None, "required": "required", "named": NAMED, "none": "none"}


@contextmanager
def twin_of(profile: str, speed: int = 200) -> Iterator[str]:
    """The URL of a twin that simulates `profile`, in the course's own environment."""
    argv = [TWINS_PYTHON, "-m", "kit.twin", "--parent-stdin"]
    argv += ["--profile", profile, "--port", "0", "--speed", f"{speed}"]
    running = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert running.stdout is not None
    try:
        yield json.loads(running.stdout.readline())["url"]
    finally:
        running.kill()
        running.communicate()


def answered(url: str, **more: Any) -> tuple[int, list[Any]]:
    """Status and pieces of an answer, without the blank lines between thinking and call: a model
    writes them or not.
    """
    asked = {"model": served(url), "max_tokens": 200, "stream": True}
    asked["messages"] = [{"role": "user", "content": "What's the weather in Beijing?"}]
    body = {name: value for name, value in (asked | more).items() if value is not None}
    got = ask(url, "POST", "/v1/chat/completions", json.dumps(body))
    return got.status, [piece for piece in parts(got) if not blank(piece)]


def served(url: str) -> str:
    return str(json.loads(ask(url, "GET", "/v1/models", "").body)["data"][0]["id"])


def blank(piece: Any) -> bool:
    choices = piece.get("choices") if isinstance(piece, dict) else None
    delta = choices[0].get("delta", {}) if choices else {}
    content = delta.get("content")
    return bool(content) and not content.strip()


def deltas(pieces: list[Any]) -> list[dict[str, Any]]:
    return [p["choices"][0]["delta"] for p in pieces if isinstance(p, dict) and p.get("choices")]


def fragments(pieces: list[Any]) -> list[dict[str, Any]]:
    return [call for delta in deltas(pieces) for call in delta.get("tool_calls") or ()]


def calls(pieces: list[Any]) -> list[tuple[str, Any]]:
    """The calls that the fragments add up to: name and arguments."""
    whole: dict[int, list[str]] = {}
    for fragment in fragments(pieces):
        name, text = whole.setdefault(fragment["index"], ["", ""])
        function = fragment["function"]
        whole[fragment["index"]] = [
            name + (function["name"] or ""),
            text + (function["arguments"] or ""),
        ]
    return [(name, json.loads(text)) for name, text in whole.values()]
