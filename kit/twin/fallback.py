"""What nobody wrote a reply for: the pocket model's words, or the notice and why.

llama.cpp runs in one thread of its own, so that no other stream waits for it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import monotonic
from typing import Any

from kit.twin.authored import Said, notice
from kit.twin.llama_cpp import PocketMissing, pocket

MEASURED = "A request that ignores the end of its answer measures time, and no model is asked."
UNSEEN = "It does not see, and this conversation shows something."


class Writer:
    """Asks the pocket model, one question at a time."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "pocket")
        self._told: set[str] = set()
        self._warm = False

    def warm_up(self) -> None:
        """Load it in the background, once. What is wrong with it is told when it is asked."""
        if not self._warm:
            self._warm = True
            self._thread.submit(pocket)

    def close(self) -> None:
        """Ask no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def write(
        self,
        prompt: str,
        thinking: bool,
        tools: Sequence[Mapping[str, Any]] = (),
        must_call: str | bool = False,
    ) -> Said:
        """What follows a prompt in Qwen3.5's chat format."""
        began_s, loop = monotonic(), asyncio.get_running_loop()
        asked = (prompt, thinking, tools, must_call)
        try:
            said = await loop.run_in_executor(self._thread, _say, *asked)
        except PocketMissing as problem:
            if problem.what not in self._told:
                self._told.add(problem.what)
                print(f"twin: no pocket model: {problem.what} → {problem.hint}", file=sys.stderr)
            said = notice(thinking, f"{problem.what}. → {problem.hint}")
        return replace(said, held_s=monotonic() - began_s)


def _say(
    prompt: str, thinking: bool, tools: Sequence[Mapping[str, Any]], must_call: str | bool
) -> Said:
    said = pocket().say(prompt, thinking, tools, must_call)
    if not (said.thinking or said.answer or said.calls):
        raise PocketMissing("the pocket model had nothing to say", "ask in other words")
    return said
