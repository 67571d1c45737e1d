"""Thinking that arrives inside the text, as `<think>…</think>` split at any character."""

from __future__ import annotations

from enum import Enum, auto

from kit.chat.events import Answer, Event, Thinking, WasThinking

OPEN, CLOSE = "<think>", "</think>"


class _At(Enum):
    START = auto()  # nothing but white space yet: an opening tag may still come
    THINKING = auto()  # inside <think>
    UNSURE = auto()  # text, but a </think> would show that the prompt had opened the tag
    APART = auto()  # thinking has a field of its own, and its </think> may have leaked
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
        self._spoke = False  # the text so far is more than white space
        self._tail = ""  # its last characters: an opening tag may be split too
        self._in_code = False  # it ends within backticks

    def feed(self, text: str) -> list[Event]:
        text, self._held = self._held + text, ""
        if self._at is _At.START:
            text = self._begin(text)
        if self._at in (_At.THINKING, _At.UNSURE):
            return self._until_close(text)
        if self._at is _At.APART:
            return self._leaked(text)
        return [Answer(text)] if text else []

    def thinking_apart(self) -> list[Event]:
        """Thinking came in a field of its own: a `</think>` in the text can only be a leak."""
        apart = self._at in (_At.START, _At.APART)
        events = [] if apart and not self._held.strip() else self.settle()
        self._at = _At.APART if apart else self._at
        return events

    def settle(self) -> list[Event]:
        """From now on all text is answer: the stream ended, or thinking has a field of its own."""
        text, self._held = self._held, ""
        was, self._at = self._at, _At.ANSWER
        if was is _At.APART and text == CLOSE:
            return [WasThinking()] if self._spoke else []
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

    def _leaked(self, text: str) -> list[Event]:
        """Text after thinking in its own field. A first `</think>` that begins it or ends a line
        is the server's; after an opening tag, or in code, the model writes about tags."""
        before, closed, after = text.partition(CLOSE)
        if OPEN in self._tail + before:
            self._at = _At.ANSWER
            return [Answer(text)]
        if not closed:
            keep = _overlap(text, CLOSE)
            self._held = text[len(text) - keep :]
            return self._say(text[: len(text) - keep])
        events = self._say(before)
        if self._spoke and not after:
            self._held = CLOSE  # what follows decides
            return events
        self._at = _At.ANSWER
        if self._spoke and (self._in_code or not after.startswith(("\n", "\r"))):
            return [*events, Answer(CLOSE + after)]
        if self._spoke:
            events.append(WasThinking())
        return [*events, Answer(after)] if after else events

    def _say(self, text: str) -> list[Event]:
        """Text of the answer, noted for a `</think>` that may follow it."""
        if not text:
            return []
        line = text.rpartition("\n")[2]
        odd = line.count("`") % 2 == 1
        self._in_code = odd if "\n" in text else self._in_code != odd
        self._spoke = self._spoke or not text.isspace()
        self._tail = (self._tail + text)[-len(OPEN) :]
        return [Answer(text)]

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
