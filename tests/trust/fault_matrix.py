"""Every fault of the twin × everything of ours that reads from a server: what comes of it.

result      the whole answer, or one that is said not to be whole
error       a KitError of two lines
silent      part of an answer, and not a word about it
traceback   any other exception
hang        nothing within LIMIT_S seconds; four times that where what ends it is a size
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import uvicorn

from kit import chat
from kit.bench import Workload, measure
from kit.cli import main
from kit.endpoint import connect
from kit.errors import KitError
from kit.tools import run_tools
from kit.twin.app import app
from kit.twin.faults import GENERATES, kinds
from kit.twin.server import Twin
from kit.views import StreamView

QUESTION = "Hello"
STALL_S = 1.0
LIMIT_S = 30.0
OUTCOMES = ("result", "error", "silent", "traceback", "hang")


@dataclass(frozen=True)
class Got:
    """What a consumer gave: text, and what it said about it."""

    text: str
    remark: str = ""


@dataclass(frozen=True)
class Cell:
    consumer: str
    fault: str
    outcome: str
    text: str
    seconds: float

    def __str__(self) -> str:
        shown = " ⏎ ".join(self.text.splitlines())[:160]
        return f"{self.consumer:8} {self.fault:22} {self.outcome:9} {self.seconds:5.1f} s  {shown}"


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """A twin in a thread. `http://…/ask/FAULT` has a fault where text is generated,
    `http://…/connect/FAULT` where a model is looked for."""
    served = app(Twin("b200x8", speed=100))

    async def by_path(scope, receive, send) -> None:
        if scope["type"] == "http":
            _, where, fault, rest = scope["path"].split("/", 3)
            path = f"/{rest}"
            scope = {**scope, "path": path, "raw_path": path.encode()}
            if path in GENERATES if where == "ask" else path == "/v1/models":
                scope["headers"] = [*scope["headers"], (b"x-kit-fault", fault.encode())]
        await served(scope, receive, send)

    sock = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(by_path, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    server.should_exit = True
    thread.join(5)


def sync(url: str) -> Got:
    stream = chat.stream(connect(url, quiet=True), QUESTION, stall_s=STALL_S)
    for _ in stream:
        pass
    return Got(stream.thinking + stream.answer, stream.remark)


def coroutine(url: str) -> Got:
    async def read() -> Got:
        stream = chat.stream(connect(url, quiet=True), QUESTION, stall_s=STALL_S)
        async for _ in stream:
            pass
        return Got(stream.thinking + stream.answer, stream.remark)

    return asyncio.run(read())


def view(url: str) -> Got:
    with contextlib.redirect_stdout(io.StringIO()):
        widget = StreamView(connect(url, quiet=True), QUESTION, stall_s=STALL_S)
        reply = asyncio.run(widget.run())
    assert reply is not None
    return Got(reply.thinking + reply.answer, reply.remark)


def tools(url: str) -> Got:
    def look_up(word: str = "") -> str:
        """Look up a word."""
        return "nothing"

    run = run_tools(
        connect(url, quiet=True), QUESTION, [look_up], stall_s=STALL_S, max_steps=2, timeout_s=2
    )
    for _ in run:
        pass
    return Got(run.turns[0].thinking + run.turns[0].answer, run.remark or str(run.results or ""))


def command(url: str) -> Got:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["chat", "--url", url, "--stall-s", str(STALL_S), QUESTION])
    if code:
        raise KitError(*err.getvalue().removeprefix("kit: ").rstrip("\n").split("\n→ ", 1))
    head, _, figures = out.getvalue().rpartition("\n\n")
    text = head.partition("\n")[2].replace("\n" + "─" * 40 + "\n", "")
    return Got(text, figures.partition("\n")[0] if "tokens out" not in figures[:60] else "")


def bench(url: str) -> Got:
    work = Workload(8, 8, 4, max_concurrency=2)
    report = asyncio.run(measure(connect(url, quiet=True), work, dialect="chat", stall_s=STALL_S))
    text = f"{report.completed} complete, {report.failed} failed: {report.errors}"
    return Got(text, "; ".join(report.errors))


def connecting(url: str) -> Got:
    endpoint = connect(url.replace("/ask/", "/connect/"), quiet=True)
    return Got(str(endpoint))


CONSUMERS: dict[str, Callable[[str], Got]] = {
    "sync": sync,
    "async": coroutine,
    "view": view,
    "tools": tools,
    "chat": command,
    "bench": bench,
    "connect": connecting,
}

REDIRECTING = {"view", "chat"}  # they redirect stdout, which the process has once
HEAVY = ("endless", "huge", "gzip")  # they keep a core busy


def cell(base: str, consumer: str, fault: str, whole: str) -> Cell:
    """One consumer meets one fault. `whole` is the right answer."""
    came: list[Got | BaseException] = []

    def target() -> None:
        try:
            came.append(CONSUMERS[consumer](f"{base}/ask/{fault}"))
        except BaseException as problem:  # noqa: BLE001 - whatever it is, it is the cell's outcome
            came.append(problem)

    begun_s = time.monotonic()
    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    thread.join(LIMIT_S * (4 if fault.startswith(HEAVY) else 1))
    seconds = time.monotonic() - begun_s
    if not came:
        return Cell(consumer, fault, "hang", "", seconds)
    outcome, text = judged(consumer, came[0], whole)
    return Cell(consumer, fault, outcome, text, seconds)


def judged(consumer: str, came: Got | BaseException, whole: str) -> tuple[str, str]:
    """The outcome, and what to show of it."""
    if isinstance(came, KitError):
        lines = str(came).splitlines()
        return ("error" if len(lines) <= 2 else "traceback"), str(came)
    if isinstance(came, BaseException):
        where = traceback.extract_tb(came.__traceback__)[-1]
        return "traceback", f"{type(came).__name__}: {came} ({where.filename}:{where.lineno})"
    missing = consumer not in ("bench", "connect") and not holds(came.text, whole)
    return "silent" if missing and not came.remark else "result", came.remark or came.text[:60]


def holds(text: str, whole: str) -> bool:
    """Whether the words of the right answer are all there, in order."""
    words = iter(text.split())
    return len(text) > 10**6 or all(any(word in one for one in words) for word in whole.split())


def right_answer(base: str) -> str:
    """The answer as it is. The first one takes its time: the twin still loads."""
    stream = chat.stream(connect(f"{base}/ask/as-it-is", quiet=True), QUESTION, stall_s=30)
    for _ in stream:
        pass
    return stream.thinking + stream.answer


def run(base: str, consumers: Sequence[str], faults: Iterable[str]) -> list[Cell]:
    """Side by side where most of it is waiting; those that redirect stdout after one another."""
    whole, faults = right_answer(base), list(faults)
    light = [fault for fault in faults if not fault.startswith(HEAVY)]
    heavy = [cell(base, one, f, whole) for f in faults if f not in light for one in consumers]
    lanes = [[one] for one in consumers if one not in REDIRECTING]
    lanes.append([one for one in consumers if one in REDIRECTING])

    def lane(names: Sequence[str]) -> list[Cell]:
        return [cell(base, one, fault, whole) for fault in light for one in names]

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [*heavy, *(one for cells in pool.map(lane, lanes) for one in cells)]


def table(cells: Sequence[Cell]) -> str:
    """The counts: a consumer per line."""
    counts = Counter((one.consumer, one.outcome) for one in cells)
    lines = ["consumer  " + "".join(f"{outcome:>10}" for outcome in OUTCOMES)]
    for consumer in CONSUMERS:
        if numbers := [counts[consumer, outcome] for outcome in OUTCOMES]:
            lines.append(f"{consumer:10}" + "".join(f"{number:10}" for number in numbers))
    return "\n".join(lines)


if __name__ == "__main__":
    with serving() as base:
        cells = run(base, list(CONSUMERS), kinds())
    print(*cells, sep="\n")
    print(table(cells))
