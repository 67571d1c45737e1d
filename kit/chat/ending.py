"""How an answer ended, in words for its reader: why there is none, or why it is not whole."""

from __future__ import annotations

from collections.abc import Iterable

_CUT = {
    "length": "max_tokens ran out: the answer is cut off.",
    "content_filter": "The server's filter stopped the answer (content_filter).",
}
_WHOLE = ("stop", "tool_calls", "function_call", "eos", "stop_sequence", "")


def ending(
    reason: str | None,
    thinking: str,
    answer: str,
    calls: int,
    *,
    asked_to_think: bool | None = None,
    unread: Iterable[str] = (),
    repeated: bool = False,
    mangled: bool = False,
    late: bool = False,
) -> str:
    """A sentence about an answer that has ended; empty where there is nothing to say.

    `reason` is the server's, `calls` the number of tool calls, `unread` the names of what was left
    out, `repeated` whether each chunk had all of the text, `mangled` whether characters arrived
    broken, `late` whether text came after the end.
    """
    sentences = [_ending(reason or "", thinking.strip(), answer.strip(), calls)]
    if asked_to_think is False and thinking.strip() and not answer.strip() and not calls:
        sentences.append(
            "Thinking was switched off: the server's reasoning parser may have taken the answer "
            "for it."
        )
    if repeated:
        sentences.append(
            "The server sent the whole text again with each chunk: repeats were left out, but its "
            "first words may stand twice."
        )
    if late:
        sentences.append("Text came after the server had said that it was finished.")
    if mangled:
        sentences.append("Some characters arrived broken, and stand as \ufffd.")
    if left_out := ", ".join(unread):
        sentences.append(f"Parts that hold no readable text were left out: {left_out}.")
    return " ".join(filter(None, sentences))


def _ending(reason: str, thinking: str, answer: str, calls: int) -> str:
    if not answer and not calls and reason in (*_WHOLE, "length"):
        if thinking and reason == "length":
            return "max_tokens ran out while the model was still thinking: there is no answer."
        if thinking:
            return "The model stopped while it was still thinking: there is no answer."
        return "The server sent no answer: not a word, and no error."
    if not reason:
        return "The server did not say why it ended: the answer may not be whole."
    if reason in _WHOLE:
        return ""
    gave_up = f"The server gave up ({reason}): the answer is not whole."
    return _CUT.get(reason, gave_up)
