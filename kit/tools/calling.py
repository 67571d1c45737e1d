"""One call: from the text that the model wrote to the text that it gets back.

Nothing here raises for what a model wrote or for what a function does: both become a result.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kit import page
from kit.chat import ToolCall
from kit.tools.events import Problem
from kit.tools.schema import BadArguments, Tool

MAX_ARGUMENT_CHARS = 100_000
MAX_RESULT_CHARS = 50_000
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class RefusedCall:
    """A call that must not run, and what the model is told."""

    problem: Problem
    content: str


@dataclass(frozen=True)
class Outcome:
    """What came of running a function: a text for the model, and after how many seconds."""

    content: str
    problem: Problem | None
    seconds: float


def checked(
    call: ToolCall, tools: Mapping[str, Tool], *, cut_off: bool = False
) -> tuple[Tool, dict[str, Any]] | RefusedCall:
    """The tool and the arguments to run it with, or why it must not run.

    `cut_off`: the answer ended at its token limit, so the call may not be all that was meant.
    """
    found = tools.get(call.name)
    if found is None:
        offered = ", ".join(tools) or "none"
        return RefusedCall(
            Problem.UNKNOWN_TOOL, f"error: no tool is called {call.name!r}. There are: {offered}."
        )
    text = call.arguments
    if not text.strip() and not cut_off:
        text = "{}"  # some servers send nothing for a function without parameters
    if len(text) > MAX_ARGUMENT_CHARS:
        return RefusedCall(
            Problem.BAD_ARGUMENTS,
            f"error: {len(text):,} characters of arguments; at most {MAX_ARGUMENT_CHARS:,} "
            f"are taken. {found.name} was not run.",
        )
    if (wrong := _not_json(text)) is not None:
        cut = " The answer was cut off at its token limit." if cut_off else ""
        return RefusedCall(
            Problem.BAD_JSON,
            f"error: the arguments are not a JSON object: {wrong}.{cut} {found.name} was not run.",
        )
    try:
        return found, found.arguments(text)
    except BadArguments as wrong_arguments:
        wrong_text = str(wrong_arguments)
    except Exception as problem:  # noqa: BLE001 - a type's own validator may raise anything
        wrong_text = _named(problem)
    return RefusedCall(Problem.BAD_ARGUMENTS, f"error: {wrong_text}. {found.name} was not run.")


def history_arguments(text: str) -> str:
    """The arguments of a call as they may stand in the history, where servers insist on a JSON
    object: what is none is kept as text in one.
    """
    if len(text) <= MAX_ARGUMENT_CHARS and _not_json(text) is None:
        return text
    return json.dumps({"not_understood": text[:_SHOWN_CHARS]} if text.strip() else {})


async def run(tool: Tool, arguments: Mapping[str, Any], timeout_s: float) -> Outcome:
    """Run a function for at most `timeout_s` seconds.

    One that is no coroutine runs in a thread of its own, which dies with the process: a function
    that never returns can be left behind, but not ended.
    """
    start_s = time.perf_counter()
    task = asyncio.ensure_future(_run(tool, arguments))
    try:
        await asyncio.wait({task}, timeout=timeout_s)
    finally:
        task.cancel()  # does nothing to one that has ended
    seconds = time.perf_counter() - start_s
    if not task.done():
        late = f"error: {tool.name} gave no result within {timeout_s:g} s."
        return Outcome(late, Problem.TIMED_OUT, seconds)
    problem = asyncio.CancelledError() if task.cancelled() else task.exception()
    if problem is not None:
        reason = str(problem) if isinstance(problem, _Failed) else _named(problem)
        return Outcome(f"error: {tool.name} failed: {reason}", Problem.RAISED, seconds)
    return Outcome(_shortened(task.result()), None, seconds)


class _Failed(Exception):
    """A function that raised, in words."""


async def _run(tool: Tool, arguments: Mapping[str, Any]) -> str:
    if not inspect.iscoroutinefunction(tool.function):
        return await _in_thread(lambda: _as_text(tool.function(**arguments)))
    try:
        return _as_text(await tool.function(**arguments))
    except SystemExit as leaving:  # would end the loop, and with it the reader's session
        raise _Failed(_named(leaving)) from leaving


async def _in_thread(work: Callable[[], str]) -> str:
    """`asyncio.to_thread`, in a thread that the process does not wait for at its end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[str, BaseException | None]] = loop.create_future()

    def settle(text: str, problem: BaseException | None) -> None:
        if not done.done():
            done.set_result((text, problem))

    def target() -> None:
        try:
            outcome: tuple[str, BaseException | None] = context.run(work), None
        except BaseException as problem:  # noqa: BLE001 - a tool may raise anything, SystemExit too
            outcome = "", problem
        with suppress(RuntimeError):  # it came too late: the loop is gone
            loop.call_soon_threadsafe(settle, *outcome)

    context = contextvars.copy_context()
    if page.HERE:
        target()
    else:
        threading.Thread(target=target, name="tool", daemon=True).start()
    text, problem = await done
    if problem is not None:
        raise _Failed(_named(problem)) from problem
    return text


def _as_text(value: Any) -> str:
    """What a function returned: text as it is, anything else as JSON; what UTF-8 cannot hold
    becomes a question mark.
    """
    from pydantic_core import to_json

    text = value if isinstance(value, str) else to_json(value, fallback=str).decode()
    return text.encode("utf-8", "replace").decode()


def _shortened(text: str) -> str:
    if len(text) <= MAX_RESULT_CHARS:
        return text
    return f"{text[:MAX_RESULT_CHARS]}\n[cut: {MAX_RESULT_CHARS:,} of {len(text):,} characters]"


def _not_json(text: str) -> str | None:
    """What keeps `text` from being a JSON object; None where it is one."""
    from pydantic_core import from_json

    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as problem:
        return str(problem)
    return None if isinstance(value, dict) else f"it is {type(value).__name__}, not an object"


def _named(problem: BaseException) -> str:
    """An exception as its class and its message, however it behaves."""
    try:
        text = " ".join(str(problem).split())
    except Exception:  # noqa: BLE001 - its __str__ may do anything
        text = ""
    name = type(problem).__name__
    return f"{name}: {text[:_SHOWN_CHARS]}" if text else name
