"""Which questions the pocket model is asked on the twin: those of the kinds that its card claims.

| ability, as the card names it | asked for |
|---|---|
| sum, percent, 15 percent | two numbers of any size, so that its edge can be found |
| follow-up | "And half of that?", after one of these |
| repeat | "Repeat exactly: …" |
| call, one tool; call, 2 to 4 tools; result | one to four tools are offered, or one has answered |

A request that demands a call goes to it as well: only a model can make one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kit.twin.chat_format import Message, text_of

MOST_TOOLS = 4  # that its card claims to choose among
_LONGEST = 200  # characters of a question of these kinds
_NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?!\w)")
_SUM = re.compile(r"\d\s*[-−+]\s*\d|\b(?:plus|minus|add|subtract)\b", re.I)
_PERCENT = re.compile(r"\d\s*(?:%|percent\b)", re.I)
_STORY = re.compile(r"\b(?:buys|sells|gives away|of them)\b.*\bhow many\b", re.I | re.DOTALL)
_FOLLOW_UP = re.compile(r"\bhalf of that\b|\d\s*(?:%|percent\b)", re.I)
_REPEAT = re.compile(r'(?:repeat|say this again|in small letters|lower case)\b[^:"]*[:"]', re.I)


def is_claimed(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    must_call: str | bool = False,
) -> bool:
    """Whether the pocket model's card claims what a conversation asks for. `tools` are those that
    may be called; `must_call` where one has to be."""
    if must_call or (messages and messages[-1].get("role") in ("tool", "function")):
        return True
    if tools:
        return len(tools) <= MOST_TOOLS
    *earlier, asked = ["", *(text_of(m) for m in messages if m.get("role") == "user")]
    if len(asked) > _LONGEST and not _REPEAT.match(asked):
        return False
    return bool(
        _is_arithmetic(asked)
        or _REPEAT.match(asked)
        or (_FOLLOW_UP.search(asked) and any(map(_is_arithmetic, earlier)))
    )


def _is_arithmetic(asked: str) -> bool:
    """A sum, a difference or a percentage of two numbers."""
    two = len(asked) <= _LONGEST and len(_NUMBER.findall(asked)) == 2
    return two and any(kind.search(asked) for kind in (_SUM, _PERCENT, _STORY))
