"""Messages in, events out: thinking, answer, tool calls, usage. Never prints.

    for event in chat.stream(endpoint, "What is 15 % of 240?", thinking=True):
        match event:
            case chat.Thinking(text): ...
            case chat.Answer(text): ...

The same loop with `async for`. The parts, left to right:

    events      what can arrive
    inline      `<think>…</think>` inside the text, split anywhere
    parser      one chunk of the wire → events; pure
    failures    what broke → two lines that say what to type next
    streaming   the request, and the one place that opens it
    history     what of a reply to send back in the next turn
"""

from kit.chat.events import Answer, Event, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.chat.history import conversation
from kit.chat.parser import Parser
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
