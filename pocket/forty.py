"""Forty prompts with six tools that training never saw: which call is made, and which was wanted.

    python -m pocket.forty --url http://127.0.0.1:30000      a Markdown table

The prompts and tools are `data/strangers_tools.toml`. Each request offers all six, greedily and
with thinking. Needs the course's environment, and `kit serve cpu-pocket`; the twin does not ask
its pocket model, whose card claims four tools at most.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pocket.data.words import table

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

MAX_TOKENS = 400
_LONGEST = 60


@dataclass(frozen=True)
class Call:
    """A function and its arguments."""

    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        return f"{self.name}({given})"

    def is_the_same(self, other: Call) -> bool:
        """Capitals aside: the room is the kitchen or the Kitchen."""
        return self.name == other.name and _plain(self.arguments) == _plain(other.arguments)


@dataclass(frozen=True)
class Ask:
    """A prompt, and the call that serves it; None where no tool does."""

    prompt: str
    wanted: Call | None


@dataclass(frozen=True)
class Given:
    """What a server made of a prompt: its calls, or its words."""

    calls: tuple[Call, ...]
    said: str

    def names(self, ask: Ask) -> bool:
        """Whether the right function was called, and no other."""
        return [c.name for c in self.calls] == ([ask.wanted.name] if ask.wanted else [])

    def serves(self, ask: Ask) -> bool:
        """Whether the arguments are right as well."""
        return self.names(ask) and (ask.wanted is None or self.calls[0].is_the_same(ask.wanted))

    def __str__(self) -> str:
        return "; ".join(map(str, self.calls)) if self.calls else f"“{self.said}”"


def tools() -> list[dict[str, Any]]:
    """The six tools as a request carries them."""
    return [_schema(**row) for row in table("strangers_tools")["tool"]]


def asks() -> tuple[Ask, ...]:
    return tuple(
        Ask(row["prompt"], next((Call(n, a) for n, a in row.get("call", {}).items()), None))
        for row in table("strangers_tools")["ask"]
    )


def _schema(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    body = {"type": "object", "properties": parameters, "required": list(parameters)}
    function = {"name": name, "description": description, "parameters": body}
    return {"type": "function", "function": function}


def ask(server: Endpoint, prompt: str) -> Given:
    """What the server makes of a prompt, all six tools offered."""
    offered: Any = tools()
    done = server.client().chat.completions.create(
        model=server.model,
        messages=[{"role": "user", "content": prompt}],
        tools=offered,
        temperature=0,
        max_tokens=MAX_TOKENS,
    )
    said = done.choices[0].message
    called: Sequence[Any] = said.tool_calls or ()
    calls = [Call(one.function.name, _arguments(one.function.arguments)) for one in called]
    return Given(tuple(calls), (said.content or "").strip())


def _arguments(text: str) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except ValueError:
        return {"": text}
    return read if isinstance(read, dict) else {"": read}


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: v.casefold() if isinstance(v, str) else v for k, v in arguments.items()}


def markdown(asked: Sequence[Ask], given: dict[str, list[Given]]) -> str:
    """A line a prompt, a column a server, and below it what each came to."""
    out = ["| prompt | wanted | " + " | ".join(given) + " |", "|---" * (2 + len(given)) + "|"]
    for i, one in enumerate(asked):
        cells = [_cell(answers[i], one) for answers in given.values()]
        wanted = f"`{one.wanted}`" if one.wanted else "no call"
        out.append(f"| {one.prompt} | {wanted} | " + " | ".join(cells) + " |")
    out += ["", *(_sum(name, asked, answers) for name, answers in given.items())]
    return "\n".join(out)


def _cell(given: Given, one: Ask) -> str:
    mark = "✓" if given.serves(one) else "right tool" if given.names(one) else "✗"
    flat = " ".join(str(given).replace("|", "¦").replace("`", "´").split())
    return f"{mark} `{flat if len(flat) <= _LONGEST else flat[:_LONGEST] + ' …'}`"


def _sum(name: str, asked: Sequence[Ask], answers: Sequence[Given]) -> str:
    pairs = list(zip(asked, answers, strict=True))
    tool = sum(given.names(one) for one, given in pairs)
    exact = sum(given.serves(one) for one, given in pairs)
    return f"{name}: the right tool, or rightly none, {tool} of {len(pairs)}; exact {exact}."


def main() -> None:
    from kit.endpoint import connect

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True, help="a server's")
    asked, given = asks(), {}
    for url in parser.parse_args().url:
        server = connect(url, quiet=True)
        given[server.model] = [ask(server, one.prompt) for one in asked]
        server.close()
    print(markdown(asked, given))


if __name__ == "__main__":
    main()
