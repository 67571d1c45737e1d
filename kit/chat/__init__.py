"""Messages in, events out: thinking, answer, tool calls, usage. Never prints.

    for event in chat.stream(endpoint, "What is 15 % of 240?", thinking=True):
        match event:
            case chat.Thinking(text): ...
            case chat.Answer(text): ...

The same loop with `async for`. The parts, left to right:

    events          what can arrive
    think_tags      `<think>…</think>` inside the text, split anywhere
    content         what a delta's fields may hold → text
    call_fragments  fragments of tool calls → calls
    errors          what broke → two lines that say what to type next
    parser          one chunk of the stream → events; pure
    sse             the bytes of the stream → chunks; pure
    request         messages → the body that is sent, without the thinking of earlier turns
    ending          how an answer ended, in words
    waiting         for a server, and not for ever
    streaming       the one place that sends it, and the events as they come
"""

from kit.chat.events import Answer, Event, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.chat.parser import Parser
from kit.chat.request import conversation
from kit.chat.streaming import Stream, stream
from kit.errors import StreamCut

__all__ = [
    "Answer",
    "Event",
    "Finish",
    "Parser",
    "Stream",
    "StreamCut",
    "Thinking",
    "ToolCall",
    "Usage",
    "WasThinking",
    "conversation",
    "stream",
]
