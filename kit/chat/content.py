"""What a delta's fields may hold → text. Plain strings are the rule, lists of parts the exception.

"Four."                                                    a string
[{"type": "text", "text": "Four."}]                        parts, as in a request
[{"type": "thinking", "thinking": [{"text": "2 + 2"}]}]    thinking among them
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
_THINKING_TYPES = ("thinking", "reasoning", "summary")
_DEEPEST = 16  # parts within parts
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT_KEYS = ("text", "content", "value", "thinking", "reasoning", "refusal", "summary")


class Piece(NamedTuple):
    """A run of text, or the type of a part that holds none."""

    kind: Literal["text", "thinking", "unread"]
    text: str


class Characters:
    """Makes characters of the surrogates of one text: JSON can hold half of one, and a gateway that
    cuts text for JavaScript sends the halves in two chunks. A half that stays alone becomes
    U+FFFD, because no file, page or terminal takes it; then `mangled` is true.
    """

    def __init__(self) -> None:
        self.mangled = False
        self._half = ""

    def of(self, text: str) -> str:
        text, self._half = self._half + text, ""
        if not _SURROGATE.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        whole = characters(text)
        self.mangled |= whole.count("\ufffd") > text.count("\ufffd")
        return whole

    def rest(self) -> str:
        """What is left at the end: a half that stayed alone."""
        half, self._half = self._half, ""
        self.mangled |= bool(half)
        return characters(half)


def characters(text: str) -> str:
    """The text with its surrogates joined in pairs; single ones become U+FFFD."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Increment:
    """What is new in each text of a stream. Some servers send all of it again with each chunk.

    Two that begin alike may well be the model's; so it must have been the whole text so far, or
    three in a row, and long enough to be no rule or indent. `repeated` once that was so.
    """

    _LETTERS = 20

    def __init__(self) -> None:
        self.repeated = False
        self._last = ""
        self._nested = True  # the last text is the first one, or began with the one before it

    def of(self, text: str) -> str:
        last, nested = self._last, self._nested
        grows = bool(last) and len(text) > len(last) and text.startswith(last)
        self._last, self._nested = text, grows or not last
        if not (grows and nested and sum(map(str.isalpha, last)) >= self._LETTERS):
            return text
        self.repeated = True
        return text[len(last) :]


def pieces(content: Any) -> Iterator[Piece]:
    """The content of a delta, in order."""
    for part in content if isinstance(content, list) else [content]:
        named = str(part.get("type") or "") if isinstance(part, Mapping) else ""
        if text := _text(part):
            thinks = named.startswith(_THINKING_TYPES)
            yield Piece("thinking" if thinks else "text", text)
        elif named and not any(key in part for key in _TEXT_KEYS):
            yield Piece("unread", named)


def thought(delta: Mapping[str, Any]) -> str:
    """The thinking of a delta: the first of its fields that has any. Gateways send several."""
    return next((text for name in THOUGHTS if (text := _text(delta.get(name)))), "")


def _text(value: Any, depth: int = 0) -> str:
    if isinstance(value, str):
        return value
    if depth > _DEEPEST:
        raise ValueError("text nested too deeply")
    if isinstance(value, list):
        return "".join(_text(one, depth + 1) for one in value)
    if isinstance(value, Mapping):
        found = (_text(value.get(key), depth + 1) for key in _TEXT_KEYS)
        return next(filter(None, found), "")
    return "" if value is None or isinstance(value, bool) else str(value)
