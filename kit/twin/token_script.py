"""An answer as the tokens that a model would have generated, and what each adds to the response.

Everything about a generation but its timing is known beforehand: that is its script. For each
token it says which part of the answer it belongs to, what text it adds, and which fragment of a
tool call it completes; and where the generation ends, and why. The scheduler then decides when
tokens come, and the response (chat, completion, generate) how they are written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from kit.provenance import AuthorKind
from kit.twin.authored import AssistantTurn, FunctionCall, filler
from kit.twin.chat_format import call_text
from kit.twin.tokenizer import END_THINK, IM_END, Vocabulary, vocabulary


class TokenPart(Enum):
    """Where a token belongs."""

    THINKING = auto()
    ANSWER = auto()
    CALL = auto()
    MARK = auto()  # ends the thinking or the turn: no parser passes it on


class CallFragment(NamedTuple):
    """A piece of a tool call. The first of a call has its name, the later ones JSON text."""

    call: int
    name: str | None
    arguments: str


class Token(NamedTuple):
    """One token: its id, its part, the text it adds, and the fragments that it completes."""

    id: int
    part: TokenPart
    text: str
    fragments: tuple[CallFragment, ...] = ()


class Stop(NamedTuple):
    """Why a generation ends, in SGLang's words: stop, length. `matched` is the token id or text."""

    reason: str
    matched: int | str | None = None


@dataclass(frozen=True)
class TokenScript:
    """A whole generation of `total` tokens: `tokens`, then `repeated` over and over.

    Where it ends by itself, its end token is among them. `thinking_tokens` counts up to the token
    that ends the thinking, and that one too.
    """

    tokens: tuple[Token, ...]
    repeated: tuple[Token, ...]
    total: int
    thinking_tokens: int
    stop: Stop
    turn: AssistantTurn
    empty: bool = False  # no token was asked for: one is computed, and none counted

    def take(self, start: int, count: int) -> Sequence[Token]:
        """Tokens `start` … `start + count - 1`."""
        if start + count <= len(self.tokens):
            return self.tokens[start : start + count]
        return [self._token(i) for i in range(start, start + count)]

    def completion_tokens(self, given: int) -> int:
        """What usage counts after `given` tokens."""
        return 0 if self.empty else given

    def reasoning_tokens(self, given: int) -> int:
        """How many of the first `given` tokens are thinking."""
        return min(given, self.thinking_tokens)

    def _token(self, i: int) -> Token:
        over = i - len(self.tokens)
        return self.tokens[i] if over < 0 else self.repeated[over % len(self.repeated)]


def script_of(
    turn: AssistantTurn,
    max_tokens: int | None,
    *,
    ignore_eos: bool = False,
    stops: Sequence[str] = (),
    stop_ids: Sequence[int] = (),
) -> TokenScript:
    """The script of an answer. It ends with whatever comes first: its own end (where it was cut,
    that counts as a limit), a stop string or stop token, or `max_tokens`.

    With `ignore_eos` (and a `max_tokens`) it has no end of its own: the answer is repeated.
    """
    tokens = _tokens(turn)
    thinking = sum(t.part is TokenPart.THINKING or t.id == END_THINK for t in tokens)
    repeated: tuple[Token, ...] = ()
    stop = Stop("length") if turn.cut else Stop("stop", IM_END)
    if ignore_eos and max_tokens is not None:
        tokens, repeated = tokens[:-1], _repeated(turn)
    if max_tokens == 0:
        blank = tokens[0]._replace(text="", fragments=())
        return TokenScript((blank,), (), 1, thinking, Stop("length"), turn, empty=True)
    total = len(tokens)
    if max_tokens is not None and (repeated or total > max_tokens):
        total, stop = max_tokens, Stop("length")
    script = TokenScript(tokens[:total], repeated, total, thinking, stop, turn)
    if stops or stop_ids:
        horizon = min(total, len(tokens) + 2 * len(repeated))  # later there is nothing new
        cut = _cut(script.take(0, horizon), stops, frozenset(stop_ids))
        if cut is not None:
            kept, stop = cut
            return TokenScript(kept, (), len(kept), thinking, stop, turn)
    return script


def _repeated(turn: AssistantTurn) -> tuple[Token, ...]:
    """The tokens of the answer, or of the filler where the answer is a tool call."""
    if turn.calls:
        turn = filler()
    return tuple(token for token in _tokens(turn) if token.part is TokenPart.ANSWER)


def _tokens(turn: AssistantTurn) -> tuple[Token, ...]:
    """Every token, from the end of the prompt to `<|im_end|>`. Authored replies come again and
    again: their tokens are kept."""
    return _worked_out(turn) if turn.author.kind is AuthorKind.POCKET else _remembered(turn)


def _worked_out(turn: AssistantTurn) -> tuple[Token, ...]:
    words = vocabulary()
    out: list[Token] = []
    if turn.thinking is not None:
        end = "" if turn.still_thinking else "\n"
        out += _plain(words, turn.thinking + end, TokenPart.THINKING)
    if turn.thinking is not None and not turn.still_thinking:
        out.append(Token(END_THINK, TokenPart.MARK, "</think>"))
    lead = turn.answer + ("\n\n" if turn.answer and turn.calls else "")
    if turn.thinking is not None and lead:
        lead = "\n\n" + lead
    out += _plain(words, lead, TokenPart.ANSWER)
    for index, call in enumerate(turn.calls):
        if index:
            out += _plain(words, "\n", TokenPart.ANSWER)
        out += _call(words, index, call)
    if not turn.cut:
        out.append(Token(IM_END, TokenPart.MARK, "<|im_end|>"))
    return tuple(out)


_remembered = lru_cache(maxsize=256)(_worked_out)


def _plain(words: Vocabulary, text: str, part: TokenPart) -> Iterator[Token]:
    ids = words.encode(text)
    return (Token(i, part, t) for i, t in zip(ids, words.texts(ids), strict=True))


def _call(words: Vocabulary, index: int, call: FunctionCall) -> Iterator[Token]:
    """The tokens of a call. As from SGLang's qwen3_coder parser, a fragment comes with the token
    that completes its piece: the name, a whole parameter, the end."""
    text = call_text(call.name, dict(call.arguments))
    if not call.closed:
        text = text[: text.index("</function>")]
    due = [(text.index(">\n", text.index("<function=")) + 1, CallFragment(index, call.name, ""))]
    at = 0
    for number, (name, value) in enumerate(call.arguments):
        at = text.index("</parameter>", at) + len("</parameter>")
        if number == 0:
            due.append((at, CallFragment(index, None, "{")))
        pair = f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"
        due.append((at, CallFragment(index, None, f", {pair}" if number else pair)))
    if call.closed:
        end = text.index("</function>") + len("</function>")
        due += [] if call.arguments else [(end, CallFragment(index, None, "{"))]
        due.append((end, CallFragment(index, None, "}")))
    ids = words.encode(text)
    written = 0
    for token, piece in zip(ids, words.texts(ids), strict=True):
        written += len(piece)
        ready = tuple(fragment for where, fragment in due if where <= written)
        due = due[len(ready) :]
        yield Token(token, TokenPart.CALL, piece, ready)


def _cut(
    tokens: Sequence[Token], stops: Sequence[str], stop_ids: frozenset[int]
) -> tuple[tuple[Token, ...], Stop] | None:
    """The tokens up to the first stop, without its text; None where there is none."""
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
    """The tokens without the last `surplus` characters of their text."""
    out = list(tokens)
    for i in range(len(out) - 1, -1, -1):
        if surplus <= 0:
            break
        kept = max(0, len(out[i].text) - surplus)
        surplus -= len(out[i].text) - kept
        out[i] = out[i]._replace(text=out[i].text[:kept])
    return tuple(out)
