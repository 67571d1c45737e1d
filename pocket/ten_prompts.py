"""Ten prompts that nobody wrote a reply for, and what the twin answers: to be looked at.

    python -m pocket.ten_prompts

The prompts are data/strangers.toml; the answers come over HTTP, as a learner gets them.
"""

from __future__ import annotations

import tomllib
from typing import Any

from kit import chat, connect
from pocket.config import HERE


def main() -> None:
    asked = tomllib.loads((HERE / "data" / "strangers.toml").read_text(encoding="utf-8"))
    twin = connect("twin")
    for number, prompt in enumerate(asked["prompts"], 1):
        print(f"\n{'─' * 100}\n{number}. {prompt['text']}{_how(prompt)}\n")
        print(_answer(twin, prompt, asked["tools"]))
    twin.close()


def _how(prompt: dict[str, Any]) -> str:
    """What was asked for besides."""
    mode = "" if prompt.get("thinking", True) else "without thinking"
    offered = f"offered: {', '.join(prompt['tools'])}" if "tools" in prompt else ""
    choice = f"tool_choice={prompt['tool_choice']}" if "tool_choice" in prompt else ""
    return "".join(f"  [{part}]" for part in (mode, offered, choice) if part)


def _answer(twin: Any, prompt: dict[str, Any], tools: dict[str, Any]) -> str:
    offered = [
        {"type": "function", "function": {"name": name, **tools[name]}}
        for name in prompt.get("tools", ())
    ]
    thinking, choice = prompt.get("thinking", True), prompt.get("tool_choice")
    stream = chat.stream(twin, prompt["text"], thinking, offered, tool_choice=choice)
    for _ in stream:
        pass
    lines = [f"thinks: {stream.thinking.strip()}"] if stream.thinking.strip() else []
    lines += [f"answers: {stream.answer.strip()}"] if stream.answer.strip() else []
    lines += [f"calls: {call.name}({call.arguments})" for call in stream.tool_calls.values()]
    return "\n".join([*lines, f"finish: {stream.finish_reason} — {stream.author}"])


if __name__ == "__main__":
    main()
