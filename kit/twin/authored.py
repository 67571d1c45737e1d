"""The authored replies: texts written for this course, found by what the user asked last.

A reply is a file in `data/replies/`: front matter in TOML between `+++` lines, then sections.

    +++
    prompts = ["What is 15% of 240?"]     # it answers these, whatever their case and punctuation
    after = ["And 20% of it?"]            # only where the user's turn before was one of these
    tool_result = true                    # only where a tool has just answered, or this one: "size"
    says = "error"                        # only where that result contains these words
    forced = true                         # only where a call is demanded (tool_choice)
    images = ["chart"]                    # only about these drawings of kit.vision, in this order
    [[calls]]                             # it calls these tools; only where they are offered
    name = "get_weather"
    arguments = { city = "Beijing" }      # known arguments; the tool's schema chooses among them
    +++
    --- thinking ---
    --- answer ---
    --- instruct ---                      # the answer when thinking is off, where it differs

Other prompts go to the pocket model, if its card claims what they ask for. The rest are answered
by `notice`, which names prompts near to this one, or by `notice_image` where there is something to
see. `note_stand_in` comes before an answer about the drawing that stands in for the cookbook's
picture. `filler` is the text of bare completions.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from kit import load_data
from kit.provenance import Author, AuthorKind
from kit.twin.chat_format import TURN, Message, offered, text_of

if TYPE_CHECKING:
    from kit.twin.media import MediaItem

AUTHORS = Author(AuthorKind.AUTHORED)
_FRONT_MATTER = ("prompts", "after", "tool_result", "says", "forced", "images", "calls")
_LONGEST_PROMPT = 4096  # characters; longer ones are not looked for among the replies
_LONGEST_VALUE = 10_000  # characters of a tool's result that an answer repeats
_SECTION = re.compile(r"^--- (thinking|answer|instruct) ---$", re.MULTILINE)

MEASURES_TIME = "A request that ignores the end of its answer measures time, and no model is asked."
SEES_NOTHING = "It does not see, and this conversation shows something."
NOT_CLAIMED = (
    "No reply was written for this prompt, and the pocket model is asked only what its card "
    "claims: sums, percentages, up to four tools."
)
_NEAR = 3  # prompts that a notice names
_COMPARED = 500  # characters of a prompt that are compared with others


@dataclass(frozen=True)
class FunctionCall:
    """A tool call: a function's name, and the arguments in the order in which they are written.
    It is not `closed` where its end is missing."""

    name: str
    arguments: tuple[tuple[str, Any], ...]
    closed: bool = True


@dataclass(frozen=True)
class AuthoredReply:
    """One file of `data/replies/`. `prompts` are normalised, `wording` is as they were written;
    calls are not yet fitted to a schema."""

    name: str
    prompts: frozenset[str]
    wording: tuple[str, ...]
    after: frozenset[str]
    calls: tuple[FunctionCall, ...]
    images: tuple[str, ...]
    answer: str
    thinking: str = ""
    instruct: str = ""
    tool_result: bool | str = False
    says: str = ""
    forced: bool = False


@dataclass(frozen=True)
class AssistantTurn:
    """The answer to one request, and who wrote it. `thinking` is None in instruct mode.

    It is `cut` where the model that wrote it came to its limit, and `still_thinking` where that
    was before any answer. `held_s` is how long the request waited for it to be written.
    """

    thinking: str | None
    answer: str
    calls: tuple[FunctionCall, ...] = ()
    author: Author = AUTHORS
    cut: bool = False
    still_thinking: bool = False
    held_s: float = field(default=0.0, compare=False)


def normalise(prompt: str) -> str:
    """A prompt without its case, extra spaces, quotes and final punctuation."""
    text = prompt.casefold().replace("’", "'").replace("what's", "what is")
    text = re.sub(r"\s+", " ", text).replace(" %", "%")
    return text.strip(" .!?…\"'“”")


def _prompt_of(message: Message) -> str:
    """A user's message as the replies are found by; what is longer than any of them, as it is."""
    text = text_of(message)
    return normalise(text) if len(text) <= _LONGEST_PROMPT else text


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
    media: Sequence[MediaItem] = (),
) -> AssistantTurn | None:
    """The authored reply to a conversation, None where there is none. About new images without
    one it is the notice that the twin does not see.

    `tools` are those that may be called, in OpenAI's schema; `must_call` is the name of the one
    that has to be, or True where any will do. A reply that calls tools is chosen only where every
    required parameter is known. `media` is all that the conversation shows; a question may be
    about the last of them, or about none.
    """
    asked = _Question.of(messages, tools, must_call, media)
    fitting = [
        (reply, calls)
        for reply in replies().values()
        if asked.prompt in reply.prompts and (calls := asked.calls(reply)) is not None
    ]
    if not fitting and asked.is_new:
        shown = "\n".join(f"- {one}" for one in asked.seen)
        known = _named(asked.nearest()) or (
            "*Describe this image in detail.* about `kit.course.drawings.geometry()`"
        )
        kind = AuthorKind.NOTICE
        return _filled(replies()["notice_image"], thinking, kind, shown=shown, known=known)
    if not fitting:
        return None
    reply, calls = max(
        fitting, key=lambda pair: (len(pair[1]), pair[0].says, bool(pair[0].after), pair[0].images)
    )
    turn = _filled(reply, thinking, AuthorKind.AUTHORED, result="\n".join(asked.results))
    note = replies()["note_stand_in"].answer if any(one.stands_in for one in asked.seen) else ""
    return replace(turn, answer="\n\n".join(filter(None, [note, turn.answer])), calls=calls)


def nearest(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    must_call: str | bool = False,
    media: Sequence[MediaItem] = (),
) -> tuple[str, ...]:
    """The prompts nearest to a conversation's that would be answered in their place."""
    return _Question.of(messages, tools, must_call, media).nearest()


@dataclass(frozen=True)
class _Question:
    """What decides which replies fit a conversation; see `reply_to`."""

    prompt: str
    before: str
    answered: set[str | bool]
    results: list[str]
    seen: tuple[MediaItem, ...]
    is_new: bool
    tools: Sequence[Mapping[str, Any]]
    must_call: str | bool

    @classmethod
    def of(
        cls,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        must_call: str | bool,
        media: Sequence[MediaItem],
    ) -> _Question:
        users = [m for m in messages if m.get("role") == "user"][-2:]
        *before, prompt = ["", *map(_prompt_of, users)]
        answered = _results(messages)
        seen = _last_media(messages, media)
        return cls(prompt, before[-1] if before else "", *answered, *seen, tools, must_call)

    def calls(self, reply: AuthoredReply) -> tuple[FunctionCall, ...] | None:
        """The reply's calls as the tools take them, where it fits but for its prompt; else None."""
        about = {_drawings(self.seen), () if not self.is_new else _drawings(self.seen)}
        fits = (
            (not reply.after or self.before in reply.after)
            and (reply.tool_result in self.answered if reply.tool_result else not self.results)
            and reply.says in "\n".join(self.results)
            and bool(self.must_call) >= reply.forced
            and reply.images in about
        )
        calls = _fit(reply.calls, self.tools) if fits else None
        if calls is None or not self.must_call:
            return calls
        named = {True for _ in calls} | {call.name for call in calls}
        return calls if self.must_call in named else None

    def nearest(self) -> tuple[str, ...]:
        """Prompts that would be answered here, one of a reply, by what they share with this one."""
        mine = _trigrams(self.prompt[:_COMPARED])

        def likeness(prompt: str) -> float:
            theirs = _trigrams(normalise(prompt))
            return len(mine & theirs) / (len(mine) + len(theirs))

        best = [
            max(reply.wording, key=likeness)
            for reply in replies().values()
            if reply.wording and self.calls(reply) is not None
        ]
        return tuple(sorted(best, key=likeness, reverse=True)[:_NEAR])


def _trigrams(text: str) -> frozenset[str]:
    padded = f"  {text} "
    return frozenset(padded[i : i + 3] for i in range(len(padded) - 2))


def _named(prompts: Iterable[str]) -> str:
    return " · ".join(f"*{prompt}*" for prompt in prompts)


def notice(thinking: bool, why: str, near: Sequence[str] = ()) -> AssistantTurn:
    """The notice that no model answers, why, and which prompts near to this one have a reply."""
    if near:
        why += f" Nearest to it, of those with a reply: {_named(near)}"
    return _filled(replies()["notice"], thinking, AuthorKind.NOTICE, why=why)


def filler() -> AssistantTurn:
    """The text of an answer of which only the length matters."""
    return _filled(replies()["filler"], False, AuthorKind.AUTHORED)


def conversation_in(prompt: str) -> Sequence[Message] | None:
    """The messages of a bare prompt in Qwen3.5's chat format; None for any other text."""
    head, turn, _ = prompt.rpartition(TURN)
    if not turn:
        return None
    messages = []
    for piece in head.split("<|im_start|>")[1:]:  # and no regex: it would look for each end anew
        role, _, text = piece.partition("\n")
        text, end, _ = text.partition("<|im_end|>")
        messages += [{"role": role, "content": text}] if end else []
    return messages


def completion_of(prompt: str) -> AssistantTurn | None:
    """What follows a bare prompt: the filler, or where it is a conversation in Qwen3.5's chat
    format the authored reply to its last turn, None where there is none."""
    messages = conversation_in(prompt)
    if messages is None:
        return filler()
    return reply_to(messages, thinking="</think>" not in prompt.rpartition(TURN)[2])


def _filled(reply: AuthoredReply, thinking: bool, kind: AuthorKind, **values: str) -> AssistantTurn:
    """The reply with `values` in the places that it names in braces."""
    answer = reply.answer if thinking or not reply.instruct else reply.instruct
    for name, value in values.items():
        value = value[:_LONGEST_VALUE]
        answer = answer.replace(f"{{{name}}}", value) if value else answer
    return AssistantTurn(reply.thinking if thinking else None, answer, author=Author(kind))


def _last_media(
    messages: Sequence[Message], media: Sequence[MediaItem]
) -> tuple[tuple[MediaItem, ...], bool]:
    """The media of the last message that has any, and whether that is the user's last."""
    last = max((one.message for one in media), default=-1)
    user = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    return tuple(one for one in media if one.message == last), last == user


def _drawings(media: Sequence[MediaItem]) -> tuple[str, ...]:
    """Their names, "" for what the kit did not draw; frames of a clip are the clip."""
    names = [one.drawing or "" for one in media]
    frames = {i for i, one in enumerate(media) if i and one.of_clip and media[i - 1].of_clip}
    return tuple(name for i, name in enumerate(names) if i not in frames)


def _results(messages: Sequence[Message]) -> tuple[set[str | bool], list[str]]:
    """Where the conversation ends with results of tools: the tools' names (and True, for any),
    and the results."""
    results: list[str] = []
    for message in reversed(messages):
        if message.get("role") not in ("tool", "function"):
            calls = message.get("tool_calls") or () if results else ()
            names = {str((call.get("function") or {}).get("name")) for call in calls}
            return ({True, *names} if results else set()), results
        results.insert(0, text_of(message))
    return ({True} if results else set()), results


def _fit(
    calls: Iterable[FunctionCall], tools: Sequence[Mapping[str, Any]]
) -> tuple[FunctionCall, ...] | None:
    """The calls with the arguments that the offered tools take; None where they do not fit."""
    schemas = offered(tools)
    fitted = []
    for call in calls:
        if call.name not in schemas:
            return None
        schema, known = schemas[call.name], dict(call.arguments)
        wanted = schema.get("properties") or {}
        if not all(name in known for name in schema.get("required") or ()):
            return None
        fitted.append(FunctionCall(call.name, tuple((n, known[n]) for n in wanted if n in known)))
    return tuple(fitted)


def _parse(name: str, text: str) -> AuthoredReply:
    empty, front, body = text.split("+++\n", 2)
    if empty:
        raise ValueError(f"{name}: a reply starts with its front matter")
    head: dict[str, Any] = tomllib.loads(front)
    load_data.known_keys(f"replies/{name}.md", head, _FRONT_MATTER)
    parts = _SECTION.split(body)[1:]
    sections: dict[str, Any] = {  # the last line break of a file is no part of the text
        kind: part.removeprefix("\n").rstrip("\n")
        for kind, part in zip(parts[::2], parts[1::2], strict=True)
    }
    head["calls"] = tuple(
        FunctionCall(c["name"], tuple(c["arguments"].items())) for c in head.get("calls", ())
    )
    head["wording"] = tuple(head["prompts"])
    head["prompts"] = frozenset(map(normalise, head["prompts"]))
    head["after"] = frozenset(map(normalise, head.get("after", ())))
    head["images"] = tuple(head.get("images", ()))
    return AuthoredReply(name=name, **head, **sections)
