"""What a delta's fields may hold → text. Plain strings are the rule, lists of parts the exception.

"Four."                                                    a string
[{"type": "text", "text": "Four."}]                        parts, as in a request
[{"type": "thinking", "thinking": [{"text": "2 + 2"}]}]    thinking among them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks")
_THINKING_TYPES = ("thinking", "reasoning", "summary")
_TEXT_KEYS = ("text", "content", "value", "thinking", "reasoning", "refusal", "summary")


class Piece(NamedTuple):
    """A run of text, or the type of a part that holds none."""

    kind: Literal["text", "thinking", "unread"]
    text: str


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


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(map(_text, value))
    if isinstance(value, Mapping):
        return next((text for key in _TEXT_KEYS if (text := _text(value.get(key)))), "")
    return "" if value is None or isinstance(value, bool) else str(value)
