"""Thinking that arrives inside the text, as `<think>…</think>` split at any character."""

from __future__ import annotations

from enum import Enum, auto

from kit.chat.events import Answer, Event, Thinking, WasThinking

OPEN, CLOSE = "<think>", "</think>"


class _At(Enum):
    START = auto()  # nothing but white space yet: an opening tag may still come
    THINKING = auto()  # inside <think>
    UNSURE = auto()  # text, but a </think> would show that the prompt had opened the tag
    ANSWER = auto()  # text for good


class InlineThinking:
    """Splits text into thinking and answer. Every character that is no tag reaches an event.

    A tag counts once: `<think>` as the first word, `</think>` where it first comes. Later ones
    are the model writing about tags.
    """

    def __init__(self, thinking: bool | None = None) -> None:
        self._first_text = _At.ANSWER if thinking is False else _At.UNSURE
        self._at = _At.START
        self._held = ""  # may be the first half of a tag

    def feed(self, text: str) -> list[Event]:
        text, self._held = self._held + text, ""
        if self._at is _At.START:
            text = self._begin(text)
        if self._at in (_At.THINKING, _At.UNSURE):
            return self._until_close(text)
        return [Answer(text)] if text else []

    def settle(self) -> list[Event]:
        """From now on all text is answer: the stream ended, or thinking has a field of its own."""
        text, self._held = self._held, ""
        was, self._at = self._at, _At.ANSWER
        if not text:
            return []
        return [Thinking(text) if was is _At.THINKING else Answer(text)]

    def _begin(self, text: str) -> str:
        words = text.lstrip()
        if words.startswith(OPEN):
            self._at = _At.THINKING
            return words[len(OPEN) :]
        if OPEN.startswith(words):  # white space, or the start of a tag
            self._held = text
            return ""
        self._at = self._first_text
        return text

    def _until_close(self, text: str) -> list[Event]:
        kind = Thinking if self._at is _At.THINKING else Answer
        before, closed, after = text.partition(CLOSE)
        if not closed:
            keep = _overlap(text, CLOSE)
            self._held = text[len(text) - keep :]
            text = text[: len(text) - keep]
            return [kind(text)] if text else []
        events: list[Event] = [kind(before)] if before else []
        if self._at is _At.UNSURE:
            events.append(WasThinking())
        self._at = _At.ANSWER
        if after:
            events.append(Answer(after))
        return events


def _overlap(text: str, tag: str) -> int:
    """How many characters at the end of `text` may be the beginning of `tag`."""
    for n in range(min(len(text), len(tag) - 1), 0, -1):
        if tag.startswith(text[-n:]):
            return n
    return 0
