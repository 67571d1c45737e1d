"""What the twin says: replies that people wrote, found by what the user asked last.

A reply is a file in `data/replies/`: front matter in TOML between `+++` lines, then sections.

    +++
    prompts = ["What is 15% of 240?"]     # it answers these, whatever their case and punctuation
    after = ["And 20% of it?"]            # only where the user's turn before was one of these
    tool_result = true                    # only where a tool has just answered, or this one: "size"
    says = "error"                        # only where that result has these words in it
    forced = true                         # only where a call is demanded (tool_choice)
    images = ["chart"]                    # only about these drawings of kit.vision, in this order
    [[calls]]                             # it calls these tools; only where they are offered
    name = "get_weather"
    arguments = { city = "Beijing" }      # what it knows to say; the tool's schema chooses
    +++
    --- thinking ---
    --- answer ---
    --- instruct ---                      # the answer when thinking is off, where it differs

What has none, the pocket model answers. `notice` stands in where it cannot, `notice_image` where
there is something to see; `filler` is the text that bare completions go through.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.course.drawings import CLIP
from kit.provenance import Author, AuthorKind
from kit.twin.chat_format import TURN, Message, text_of

if TYPE_CHECKING:
    from kit.twin.media import Shown

AUTHORS = Author(AuthorKind.AUTHORED)
_SECTION = re.compile(r"^--- (thinking|answer|instruct) ---$", re.MULTILINE)


@dataclass(frozen=True)
class Call:
    """A tool call: a function's name and the arguments, in the order they are written. It is not
    `closed` where its end never came."""

    name: str
    arguments: tuple[tuple[str, Any], ...]
    closed: bool = True


@dataclass(frozen=True)
class AuthoredReply:
    """One file of `data/replies/`. Prompts are normalised; calls are not yet fitted to a schema."""

    name: str
    prompts: frozenset[str]
    after: frozenset[str]
    calls: tuple[Call, ...]
    tool_result: bool | str
    says: str
    forced: bool
    images: tuple[str, ...]
    thinking: str
    answer: str
    instruct: str


@dataclass(frozen=True)
class Said:
    """What to say to one request, and who wrote it. `thinking` is None in instruct mode.

    What is `cut` has no end of its own: its writer came to a limit. Who is `still_thinking` at the
    end never came to an answer. `held_s` is how long the request waited for it to be written.
    """

    thinking: str | None
    answer: str
    calls: tuple[Call, ...] = ()
    author: Author = AUTHORS
    cut: bool = False
    still_thinking: bool = False
    held_s: float = field(default=0.0, compare=False)


def normalise(prompt: str) -> str:
    """A prompt without what should not matter: case, spacing, quotes, final punctuation."""
    text = prompt.casefold().replace("’", "'").replace("what's", "what is")
    text = re.sub(r"\s+", " ", text).replace(" %", "%")
    return text.strip(" .!?…\"'“”")


@cache
def replies() -> Mapping[str, AuthoredReply]:
    """Every authored reply, by the name of its file."""
    found = load_data.path("replies").iterdir()
    texts = {
        f.name.removesuffix(".md"): f.read_text("utf-8") for f in found if f.name[-3:] == ".md"
    }
    return {name: _parse(name, text) for name, text in sorted(texts.items())}


def reply_to(
    messages: Sequence[Message],
    thinking: bool,
    tools: Sequence[Mapping[str, Any]] = (),
    must_call: str | bool = False,
    shown: Sequence[Shown] = (),
) -> Said | None:
    """The authored reply to a conversation; None where nobody wrote one. About pictures that
    nobody wrote about it is the notice that the twin does not see.

    `tools` are those that may be called, as OpenAI's schema has them; `must_call` the one that
    has to be, or True where any will do. A reply that calls tools is chosen only where every
    required parameter is known.
    `shown` is all that the conversation shows; a question may be about its last pictures, or
    about none.
    """
    users = [normalise(text_of(m)) for m in messages if m.get("role") == "user"]
    prompt, before = (users or [""])[-1], (users[-2:-1] or [""])[0]
    answered, results = _results(messages)
    seen, is_new = _last_shown(messages, shown)
    about = {_drawings(seen), () if not is_new else _drawings(seen)}
    fitting = [
        (reply, calls)
        for reply in replies().values()
        if prompt in reply.prompts
        and (not reply.after or before in reply.after)
        and (reply.tool_result in answered if reply.tool_result else not results)
        and reply.says in "\n".join(results)
        and bool(must_call) >= reply.forced
        and reply.images in about
        and (calls := _fit(reply.calls, tools)) is not None
        and (not must_call or must_call in {True for _ in calls} | {call.name for call in calls})
    ]
    if not fitting and is_new:
        list_of = "\n".join(f"- {one}" for one in seen)
        return _said(replies()["notice_image"], thinking, hand=AuthorKind.NOTICE, shown=list_of)
    if not fitting:
        return None
    reply, calls = max(
        fitting,
        key=lambda pair: (len(pair[1]), pair[0].says, bool(pair[0].after), pair[0].images),
    )
    return _said(reply, thinking, calls, result="\n".join(results))


def notice(thinking: bool, why: str) -> Said:
    """What stands in for an answer that nobody could write, and the reason."""
    return _said(replies()["notice"], thinking, hand=AuthorKind.NOTICE, why=why)


def filler() -> Said:
    """The text that is said where only its length matters."""
    return _said(replies()["filler"], thinking=False)


def completion_of(prompt: str) -> Said | None:
    """What follows a bare prompt: the filler, or where it is a conversation in Qwen3.5's chat
    format the authored reply to its last turn, None if there is none."""
    head, turn, opened = prompt.rpartition(TURN)
    if not turn:
        return filler()
    turns = re.findall(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", head, re.DOTALL)
    messages = [{"role": role, "content": text} for role, text in turns]
    return reply_to(messages, thinking="</think>" not in opened)


def _said(
    reply: AuthoredReply,
    thinking: bool,
    calls: tuple[Call, ...] = (),
    result: str = "",
    hand: AuthorKind = AuthorKind.AUTHORED,
    shown: str = "",
    why: str = "",
) -> Said:
    answer = reply.answer if thinking or not reply.instruct else reply.instruct
    for name, value in (("result", result), ("shown", shown), ("why", why)):
        answer = answer.replace(f"{{{name}}}", value) if value else answer
    return Said(reply.thinking if thinking else None, answer, calls, Author(hand))


def _last_shown(
    messages: Sequence[Message], shown: Sequence[Shown]
) -> tuple[tuple[Shown, ...], bool]:
    """What came with the last turn that showed anything, and whether that is the user's last."""
    last = max((one.turn for one in shown), default=-1)
    user = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    return tuple(one for one in shown if one.turn == last), last == user


def _drawings(shown: Iterable[Shown]) -> tuple[str, ...]:
    """Their names, "" for what the kit did not draw; frames of a clip are the clip."""
    names = [one.drawing or "" for one in shown]
    return tuple(n for i, n in enumerate(names) if i == 0 or n != CLIP or names[i - 1] != CLIP)


def _results(messages: Sequence[Message]) -> tuple[set[str | bool], list[str]]:
    """Where the conversation ends with what tools answered: that, and who they are (their names,
    and True for any).
    """
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") not in ("tool", "function"):
            calls = message.get("tool_calls") or () if results else ()
            names = {str((call.get("function") or {}).get("name")) for call in calls}
            return ({True, *names} if results else set()), results
        results.insert(0, text_of(message))
    return ({True} if results else set()), results


def _fit(calls: Iterable[Call], tools: Sequence[Mapping[str, Any]]) -> tuple[Call, ...] | None:
    """The calls with the arguments that the offered tools take; None where they do not fit."""
    offered = {f.get("name"): f for tool in tools if isinstance(f := tool.get("function"), Mapping)}
    fitted = []
    for call in calls:
        if call.name not in offered:
            return None
        schema = offered[call.name].get("parameters") or {}
        known = dict(call.arguments)
        wanted = schema.get("properties") or {}
        if not all(name in known for name in schema.get("required") or ()):
            return None
        fitted.append(Call(call.name, tuple((n, known[n]) for n in wanted if n in known)))
    return tuple(fitted)


def _parse(name: str, text: str) -> AuthoredReply:
    empty, front, body = text.split("+++\n", 2)
    if empty:
        raise ValueError(f"{name}: a reply starts with its front matter")
    head = tomllib.loads(front)
    parts = _SECTION.split(body)[1:]
    # A file's last line break is the editor's; what stands before it is the author's.
    sections = {
        kind: part.removeprefix("\n").rstrip("\n")
        for kind, part in zip(parts[::2], parts[1::2], strict=True)
    }
    return AuthoredReply(
        name=name,
        prompts=frozenset(map(normalise, head["prompts"])),
        after=frozenset(map(normalise, head.get("after", ()))),
        calls=tuple(Call(c["name"], tuple(c["arguments"].items())) for c in head.get("calls", ())),
        tool_result=head.get("tool_result", False),
        says=head.get("says", ""),
        forced=head.get("forced", False),
        images=tuple(head.get("images", ())),
        thinking=sections.get("thinking", ""),
        answer=sections["answer"],
        instruct=sections.get("instruct", ""),
    )
