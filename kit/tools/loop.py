"""Turn after turn: the model calls tools, they run, it reads their results.

    run = run_tools(endpoint, "What's the weather in Beijing?", [get_weather])
    async for event in run:
        match event:
            case Thinking(text): ...
            case ToolStarted(name=name, arguments=arguments): ...
            case ToolResult(name=name, content=content): ...
            case Answer(text): ...

The thinking stays in the conversation while the loop runs, as Qwen3.5's template wants it between
a call and its result; `chat.conversation` takes it out once the next question comes.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from kit import chat
from kit.chat import ToolCall
from kit.chat.request import Message
from kit.errors import EndpointError, InvalidValue, KitError
from kit.provenance import Author, Provenance
from kit.tools import calling
from kit.tools.async_to_sync import iterate
from kit.tools.events import Problem, StepLimit, ToolEvent, ToolResult, ToolStarted
from kit.tools.schema import Tool, tool

if TYPE_CHECKING:
    from kit.endpoint import Endpoint

Approve = Callable[[ToolStarted], bool | Awaitable[bool]]

MAX_CALLS_PER_TURN = 16
_CALL_AS_TEXT = re.compile(r"<tool_call>\s*<function=([\w-]+)>")
_CUT_OFF = ("length", "abort", "content_filter")


def run_tools(
    endpoint: Endpoint,
    messages: str | Sequence[Mapping[str, Any]],
    tools: Sequence[Tool | Callable[..., Any]],
    *,
    max_steps: int = 8,
    timeout_s: float = 30.0,
    approve: Approve | None = None,
    **params: Any,
) -> ToolRun:
    """Ask, run the tools that the model calls, and go on until it answers. Iterate over it once,
    with `for` or `async for`.

    After `max_steps` rounds of calls the loop ends without an answer. A function that takes more
    than `timeout_s` seconds is given up. `approve(call)` is asked before each function runs; it
    may be a coroutine, and with a plain `for` it is asked in another thread. `params` go to
    `chat.stream`: thinking, stall_s, temperature, …; a `tool_choice` that demands a call holds
    for the first request only, or no answer would come.

    Raises InvalidValue for tools that cannot be offered; while iterating, EndpointError or
    StreamCut. What a model writes and what a function does never raise: the model is told.
    """
    known = [t if isinstance(t, Tool) else tool(t) for t in tools]
    by_name = {t.name: t for t in known}
    if len(by_name) < len(known):
        names = ", ".join(t.name for t in known)
        raise InvalidValue(f"two tools have one name: {names}", "tool(function, name=…) renames")
    if max_steps < 1 or not timeout_s > 0:
        raise InvalidValue(
            f"max_steps={max_steps}, timeout_s={timeout_s}", "both are more than zero"
        )
    return ToolRun(endpoint, messages, by_name, max_steps, timeout_s, approve, params)


class ToolRun:
    """Events of the loop, and what they add up to.

    `messages` is the whole conversation, thinking included, ready for the next question;
    `turns` are the model's answers, `results` what the tools gave, both as they came. `ended` is
    None while it runs (and where an error ended it), then "answer" or "step limit".
    """

    def __init__(
        self,
        endpoint: Endpoint,
        messages: str | Sequence[Mapping[str, Any]],
        tools: Mapping[str, Tool],
        max_steps: int,
        timeout_s: float,
        approve: Approve | None,
        params: Mapping[str, Any],
    ) -> None:
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        self.endpoint = endpoint
        self.messages: list[Message] = [dict(message) for message in messages]
        self.tools = tools
        self.turns: list[chat.Stream] = []
        self.results: list[ToolResult] = []
        self.ended: Literal["answer", "step limit"] | None = None
        self._max_steps = max_steps
        self._timeout_s = timeout_s
        self._approve = approve
        self._params = dict(params)
        self._started = False

    @property
    def answer(self) -> str:
        """The final answer; empty where there is none (yet)."""
        return self.turns[-1].answer.strip() if self.turns and self.ended == "answer" else ""

    @property
    def remark(self) -> str:
        """Why the last turn holds no answer, or not all of it; empty where all is well."""
        return self.turns[-1].remark if self.turns and self.ended == "answer" else ""

    @property
    def author(self) -> Author | None:
        """Who wrote the last turn; None before the server has answered."""
        return next((turn.author for turn in reversed(self.turns) if turn.author), None)

    @property
    def authors(self) -> tuple[Author, ...]:
        """Everybody who wrote a turn, each once."""
        return tuple(dict.fromkeys(turn.author for turn in self.turns if turn.author))

    @property
    def provenance(self) -> Provenance:
        return self.endpoint.provenance

    def __iter__(self) -> Iterator[ToolEvent]:
        return iterate(self.__aiter__)

    async def __aiter__(self) -> AsyncIterator[ToolEvent]:
        if self._started:
            raise KitError("a ToolRun is read once", "to ask again: run_tools(…)")
        self._started = True
        for step in range(1, self._max_steps + 2):
            turn = self._ask(step)
            turn.prepare()
            async with turn:
                async for streamed in turn:
                    yield streamed
            calls = _identified((call for _, call in sorted(turn.tool_calls.items())), step)
            self.messages.append(_message(turn, calls))
            if not calls:
                self._check_not_swallowed(turn)
                self.ended = "answer"
                return
            if step > self._max_steps:
                for event in self._give_up(step, calls):
                    yield event
                return
            cut_off = turn.finish_reason in _CUT_OFF
            async with aclosing(self._answer(step, calls, cut_off)) as answered:
                async for happened in answered:
                    yield happened

    def _ask(self, step: int) -> chat.Stream:
        params = dict(self._params)
        if step > 1 and params.get("tool_choice") not in (None, "auto", "none"):
            del params["tool_choice"]
        schemas = [each.schema for each in self.tools.values()]
        turn = chat.stream(self.endpoint, chat.conversation(self.messages), tools=schemas, **params)
        self.turns.append(turn)
        return turn

    def _check_not_swallowed(self, turn: chat.Stream) -> None:
        """Raises EndpointError where a call came as text: the server has no parser for it, or
        (SGLang before its pull request 26172) took it for a part of the thinking.
        """
        called = _CALL_AS_TEXT.search(turn.thinking) or _CALL_AS_TEXT.search(turn.answer)
        if called and called[1] in self.tools:
            raise EndpointError(
                f"the model called {called[1]}, and the server passed the call on as text",
                "start it with --tool-call-parser qwen3_coder --reasoning-parser qwen3 "
                "(kit command), on SGLang 0.5.23 or newer",
            )

    def _give_up(self, step: int, calls: Sequence[ToolCall]) -> Iterator[ToolEvent]:
        self.ended = "step limit"
        for call in calls:
            result = _not_run(step, call, f"the limit of {self._max_steps} steps is reached")
            self.results.append(result)
            self.messages.append(result.message)
            yield result
        yield StepLimit(self._max_steps)

    async def _answer(
        self, step: int, calls: Sequence[ToolCall], cut_off: bool
    ) -> AsyncGenerator[ToolEvent, None]:
        """Run the calls of a turn side by side; their results join the conversation in order."""
        results: dict[str, ToolResult] = {}
        allowed: list[tuple[ToolStarted, Tool]] = []
        try:
            for number, call in enumerate(calls):
                verdict = await self._verdict(step, call, number, cut_off and call is calls[-1])
                if isinstance(verdict, ToolResult):
                    results[call.id] = verdict
                    self.results.append(verdict)
                    yield verdict
                else:
                    allowed.append(verdict)
            async with aclosing(_side_by_side(allowed, self._timeout_s)) as events:
                async for event in events:
                    if isinstance(event, ToolResult):
                        results[event.id] = event
                        self.results.append(event)
                    yield event
        finally:  # the reader may stop here, and a call without a result is no conversation
            for call in calls:
                result = results.get(call.id) or _not_run(step, call, "stopped by the user")
                self.messages.append(result.message)

    async def _verdict(
        self, step: int, call: ToolCall, number: int, cut_off: bool
    ) -> tuple[ToolStarted, Tool] | ToolResult:
        """What to run for a call, or the result that stands in for running it."""
        if number >= MAX_CALLS_PER_TURN:
            return _not_run(step, call, f"more than {MAX_CALLS_PER_TURN} calls in one turn")
        ready = calling.checked(call, self.tools, cut_off=cut_off)
        if isinstance(ready, calling.RefusedCall):
            return ToolResult(step, call.id, call.name, ready.content, ready.problem)
        found, arguments = ready
        started = ToolStarted(step, call.id, call.name, arguments)
        if self._approve is not None:
            approved = self._approve(started)
            if not (await approved if inspect.isawaitable(approved) else approved):
                content = f"error: the user declined this call. {call.name} was not run."
                return ToolResult(step, call.id, call.name, content, Problem.DECLINED)
        return started, found


async def _side_by_side(
    allowed: Sequence[tuple[ToolStarted, Tool]], timeout_s: float
) -> AsyncGenerator[ToolEvent, None]:
    """Start them all; give each result when it is there."""
    running: dict[asyncio.Task[calling.Outcome], ToolStarted] = {}
    try:
        for started, found in allowed:
            task = asyncio.create_task(calling.run(found, started.arguments, timeout_s))
            running[task] = started
            yield started
        while running:
            done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task in done]:
                started, outcome = running.pop(task), task.result()
                yield ToolResult(
                    started.step,
                    started.id,
                    started.name,
                    outcome.content,
                    outcome.problem,
                    outcome.seconds,
                )
    finally:
        for task in running:
            task.cancel()


def _not_run(step: int, call: ToolCall, why: str) -> ToolResult:
    content = f"error: {call.name} was not run: {why}."
    return ToolResult(step, call.id, call.name, content, Problem.NOT_RUN)


def _identified(calls: Iterable[ToolCall], step: int) -> list[ToolCall]:
    """The calls, each with an id of its own: some servers send none, or one twice."""
    out: list[ToolCall] = []
    for number, call in enumerate(calls):
        if not call.id or any(call.id == other.id for other in out):
            call = replace(call, id=f"call_{step}_{number}")
        out.append(call)
    return out


def _message(turn: chat.Stream, calls: Iterable[ToolCall]) -> Message:
    """A turn as it goes back to the server."""
    message = turn.message
    if "tool_calls" in message:
        message["tool_calls"] = [
            replace(call, arguments=calling.history_arguments(call.arguments)).entry
            for call in calls
        ]
    return message
