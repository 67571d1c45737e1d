"""A reply as the tokens that a model would have generated, and what each of them adds to the wire.

Everything about a generation but its timing is known beforehand: the script. It says for each
token which part of the answer it belongs to, what text it adds, and which fragment of a tool call
it completes; where the generation ends, and why. The scheduler then decides when tokens come, and
the wire (chat, completion, generate) how they are written down.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from kit.provenance import AuthorKind
from kit.twin.authored import Call, Said, filler
from kit.twin.chat_format import call_text
from kit.twin.tokenizer import END_THINK, IM_END, Vocabulary, vocabulary


class Part(Enum):
    """Where a token belongs."""

    THINKING = auto()
    ANSWER = auto()
    CALL = auto()
    MARK = auto()  # ends the thinking, or the turn: no parser passes it on


class Fragment(NamedTuple):
    """A piece of a tool call. The first of a call has its name, the later ones JSON text."""

    call: int
    name: str | None
    arguments: str


class Token(NamedTuple):
    """One token: its id, its part, the text it adds, and the fragments that it completes."""

    id: int
    part: Part
    text: str
    fragments: tuple[Fragment, ...] = ()


class Stop(NamedTuple):
    """Why a generation ends, in SGLang's words: stop, length. `matched` is the token id or text."""

    reason: str
    matched: int | str | None = None


@dataclass(frozen=True)
class Script:
    """A whole generation of `total` tokens: `tokens`, then `lap` over and over.

    The end token is among them where it ends by itself. `thinking_tokens` counts up to and with
    the one that ends the thinking.
    """

    tokens: tuple[Token, ...]
    lap: tuple[Token, ...]
    total: int
    thinking_tokens: int
    stop: Stop
    said: Said
    silent: bool = False  # asked for no token: one is computed, and none counted

    def take(self, start: int, count: int) -> Sequence[Token]:
        """Tokens `start` … `start + count - 1`."""
        if start + count <= len(self.tokens):
            return self.tokens[start : start + count]
        return [self._token(i) for i in range(start, start + count)]

    def completion_tokens(self, given: int) -> int:
        """What usage counts once `given` tokens are out."""
        return 0 if self.silent else given

    def reasoning_tokens(self, given: int) -> int:
        """How many of the first `given` tokens are thinking."""
        return min(given, self.thinking_tokens)

    def _token(self, i: int) -> Token:
        over = i - len(self.tokens)
        return self.tokens[i] if over < 0 else self.lap[over % len(self.lap)]


def write(
    said: Said,
    max_tokens: int | None,
    *,
    ignore_eos: bool = False,
    stops: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
) -> Script:
    """The script of a reply, ended by whatever comes first: its own end (or, where its writer was
    cut, that: length), a stop string or stop token, or `max_tokens`.

    With `ignore_eos` (and a `max_tokens`) it has no end of its own: after its last word it says
    its answer again.
    """
    tokens = _tokens(said)
    thinking = sum(t.part is Part.THINKING or t.id == END_THINK for t in tokens)
    lap: tuple[Token, ...] = ()
    stop = Stop("length") if said.cut else Stop("stop", IM_END)
    if ignore_eos and max_tokens is not None:
        tokens, lap = tokens[:-1], _lap(said)
    if max_tokens == 0:
        blank = tokens[0]._replace(text="", fragments=())
        return Script((blank,), (), 1, thinking, Stop("length"), said, silent=True)
    total = len(tokens)
    if max_tokens is not None and (lap or total > max_tokens):
        total, stop = max_tokens, Stop("length")
    script = Script(tokens[:total], lap, total, thinking, stop, said)
    if stops or stop_ids:
        horizon = min(total, len(tokens) + 2 * len(lap))  # later laps say nothing new
        cut = _cut(script.take(0, horizon), stops, frozenset(stop_ids))
        if cut is not None:
            kept, stop = cut
            return Script(kept, (), len(kept), thinking, stop, said)
    return script


def _lap(said: Said) -> tuple[Token, ...]:
    """What is said again and again: the answer, or the filler where the answer is a tool call."""
    if said.calls:
        said = filler()
    return tuple(token for token in _tokens(said) if token.part is Part.ANSWER)


def _tokens(said: Said) -> tuple[Token, ...]:
    """Every token of a reply, from the end of the prompt to `<|im_end|>`. What people wrote comes
    again and again, and is worked out once."""
    return _worked_out(said) if said.author.hand is AuthorKind.POCKET else _remembered(said)


def _worked_out(said: Said) -> tuple[Token, ...]:
    words = vocabulary()
    out: list[Token] = []
    if said.thinking is not None:
        end = "" if said.still_thinking else "\n"
        out += _plain(words, said.thinking + end, Part.THINKING)
    if said.thinking is not None and not said.still_thinking:
        out.append(Token(END_THINK, Part.MARK, "</think>"))
    lead = said.answer + ("\n\n" if said.answer and said.calls else "")
    if said.thinking is not None and lead:
        lead = "\n\n" + lead
    out += _plain(words, lead, Part.ANSWER)
    for index, call in enumerate(said.calls):
        if index:
            out += _plain(words, "\n", Part.ANSWER)
        out += _call(words, index, call)
    if not said.cut:
        out.append(Token(IM_END, Part.MARK, "<|im_end|>"))
    return tuple(out)


_remembered = lru_cache(maxsize=256)(_worked_out)


def _plain(words: Vocabulary, text: str, part: Part) -> Iterator[Token]:
    ids = words.encode(text)
    return (Token(i, part, t) for i, t in zip(ids, words.texts(ids), strict=True))


def _call(words: Vocabulary, index: int, call: Call) -> Iterator[Token]:
    """The tokens of a call. A fragment goes out with the token that completes its piece: the
    name, each parameter whole, the end; as SGLang's qwen3_coder parser gives them out."""
    text = call_text(call.name, dict(call.arguments))
    if not call.closed:
        text = text[: text.index("</function>")]
    due = [(text.index(">\n", text.index("<function=")) + 1, Fragment(index, call.name, ""))]
    at = 0
    for number, (name, value) in enumerate(call.arguments):
        at = text.index("</parameter>", at) + len("</parameter>")
        if number == 0:
            due.append((at, Fragment(index, None, "{")))
        said = f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        due.append((at, Fragment(index, None, f", {said}" if number else said)))
    if call.closed:
        end = text.index("</function>") + len("</function>")
        due += [] if call.arguments else [(end, Fragment(index, None, "{"))]
        due.append((end, Fragment(index, None, "}")))
    ids = words.encode(text)
    written = 0
    for token, piece in zip(ids, words.texts(ids), strict=True):
        written += len(piece)
        ready = tuple(fragment for where, fragment in due if where <= written)
        due = due[len(ready) :]
        yield Token(token, Part.CALL, piece, ready)


def _cut(
    tokens: Sequence[Token], stops: Sequence[str], stop_ids: frozenset[int]
) -> tuple[tuple[Token, ...], Stop] | None:
    """The tokens up to the first stop, their text ending before it; None where there is none."""
    text = ""
    longest = max(map(len, stops), default=0)
    for count, token in enumerate(tokens, 1):
        if token.id in stop_ids and token.id != IM_END:
            return (*tokens[: count - 1], token._replace(text="")), Stop("stop", token.id)
        window = max(0, len(text) - longest + 1)
        text += token.text
        found = [(at, s) for s in stops if s and (at := text.find(s, window)) >= 0]
        if found:
            at, matched = min(found)
            return _trimmed(tokens[:count], len(text) - at), Stop("stop", matched)
    return None


def _trimmed(tokens: Sequence[Token], surplus: int) -> tuple[Token, ...]:
    """The same tokens with the last `surplus` characters of their text taken away."""
    out = list(tokens)
    for i in range(len(out) - 1, -1, -1):
        if surplus <= 0:
            break
        kept = max(0, len(out[i].text) - surplus)
        surplus -= len(out[i].text) - kept
        out[i] = out[i]._replace(text=out[i].text[:kept])
    return tuple(out)
