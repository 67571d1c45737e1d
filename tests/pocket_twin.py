"""A twin, prompts that no reply is written for, and what stands in for its pocket model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from kit.twin.app import app
from kit.twin.server import Twin

STRANGE = "Something without a reply"
SUM = "What is 12 + 61?"  # no reply is written for it, and the model's card claims such sums
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
OTHER = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object"}}}


def served() -> TestClient:
    """A client of a twin that is fast; a context manager."""
    return TestClient(app(Twin("h200x8", speed=200)), base_url="http://127.0.0.1")


def ask(twin: TestClient, prompt: str = SUM, **more: Any) -> Any:
    messages = [{"role": "user", "content": prompt}]
    answer = twin.post("/v1/chat/completions", json={"messages": messages, **more})
    assert answer.status_code == 200, answer.text
    return answer


def message(answer: Any) -> dict[str, Any]:
    return dict(answer.json()["choices"][0]["message"])


def said(prompt: str) -> dict[str, str]:
    return {"role": "user", "content": prompt}


def instead(monkeypatch: pytest.MonkeyPatch, load: Callable[[], Any]) -> None:
    monkeypatch.setattr("kit.twin.llama_cpp.pocket", load)


def refuses(*_: Any) -> Any:
    raise AssertionError("it was asked")
