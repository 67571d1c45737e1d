"""The stream view: bytes on the wire and kernel time per token, in a real IPython kernel.

python benchmarks/stream_view.py                    about a minute
python benchmarks/stream_view.py --sizes 1000,100000   flat out only; the kernel's memory too

A stream that has everything already is run through the whole path of `StreamView.run()`: events,
counts, gathered messages, the full text at the end, the Markdown that the notebook keeps. Every
chunk brings one token and its usage, the costliest way. Bytes are what the kernel hands to its
IOPub socket, envelopes included; time is process time of the kernel, all threads. The widget
itself (its JavaScript and CSS, sent once when it opens) is given apart.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import platform
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil

from kit.chat import Stream

ROUNDS = 5
SIZES = (1_000, 2_000, 4_000, 8_000, 16_000)
RATES = (50, 100, 250)  # tokens/s; 250 is the cookbook's 8×H200 at concurrency 1
FLAT_OUT = 0
WORDS = ("The", "KV", "cache", "of", "a", "rank", "holds", "what", "its", "layers", "have", "seen")


class Counted:
    """A socket that counts what is sent through it."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self.messages = 0
        self.bytes = 0

    def send_multipart(self, parts: list[bytes], *args: Any, **kwargs: Any) -> Any:
        self.messages += 1
        self.bytes += sum(len(part) for part in parts)
        return self._socket.send_multipart(parts, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Everything(Stream):
    """A stream whose events have all arrived. `tick` is called before each chunk."""

    def __init__(self, events: list[tuple[Any, Any]], tick: Any, endpoint: Any) -> None:
        super().__init__(endpoint, {}, None, 1.0)
        self.events, self.tick, self.asked_s = events, tick, 0.0

    def prepare(self) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[Any]:
        for number, chunk in enumerate(self.events):
            self.tick()
            if number % 100 == 0:
                await asyncio.sleep(0.002)  # or zmq, flooded, would drop what this kernel prints
            for event in self._add(chunk):
                yield event


def chunks(tokens: int) -> Iterator[tuple[Any, Any]]:
    """Half thinking, half answer, a paragraph every hundred tokens."""
    from kit.chat import Answer, Thinking, Usage

    for i in range(tokens):
        text = WORDS[i % len(WORDS)] + ("\n\n" if i % 100 == 99 else " ")
        kind = Thinking if i < tokens // 2 else Answer
        yield kind(text), Usage(20, i + 1, min(i + 1, tokens // 2))


async def inside(tokens: int, rate: int) -> dict[str, float]:
    """One run, in the kernel. `rate` in tokens/s of a clock of our own; 0 is flat out."""
    from IPython.core.getipython import get_ipython

    import kit.views.widgets.stream_controller as view
    from kit.provenance import simulated
    from kit.views import StreamView, live
    from kit.views.widgets.stream_controller import DeltaBuffer

    label = simulated("a stream in a benchmark")
    now = [0.0]

    def tick() -> None:
        now[0] += 1 / rate

    traits = {"model": "m", "kind": "twin", "speed": 1.0, "sglang": None, "provenance": label}
    endpoint = type("Endpoint", (), traits)
    stream = Everything(list(chunks(tokens)), tick if rate else lambda: None, endpoint)
    clock = {"now_s": lambda: now[0]} if rate else {}
    view.DeltaBuffer = functools.partial(DeltaBuffer, **clock)  # type: ignore[misc]
    view.chat.stream = lambda *_, **__: stream  # type: ignore[assignment]
    live.has_page = functools.partial(asyncio.sleep, 0, True)  # type: ignore[assignment]

    shell = get_ipython()
    kernel = shell.kernel
    socket = kernel.iopub_socket
    counted = Counted(socket)
    kernel.iopub_socket = shell.display_pub.pub_socket = counted
    try:
        controller = StreamView(endpoint(), "?").controller
        widget = controller.new_widget()
        widget_bytes, counted.bytes, counted.messages = counted.bytes, 0, 0
        controller.new_widget = lambda: widget  # opened already, and counted apart
        began = time.process_time()
        await controller.run()
        spent_s = time.process_time() - began
    finally:
        kernel.iopub_socket = shell.display_pub.pub_socket = socket
    widget.close()
    peak_mb = psutil.Process().memory_info().rss / 2**20
    return {
        "mb": peak_mb,
        "us": spent_s / tokens * 1e6,
        "bytes": counted.bytes / tokens,
        "messages": counted.messages,
        "widget": widget_bytes,
    }


def measure(tokens: int, rate: int = FLAT_OUT) -> dict[str, float]:
    """Medians of several runs in one kernel, after one to warm up."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    printed: list[str] = []  # one JSON line, or a traceback

    def on_output(message: dict[str, Any]) -> None:
        if message["msg_type"] in ("stream", "error"):
            content = message["content"]
            printed.append(content.get("text") or "\n".join(content["traceback"]))

    here = str(Path(__file__).parent)
    code = f"""
import json, sys; sys.path.insert(0, {here!r}); sys.dont_write_bytecode = True
import stream_view
await stream_view.inside(1000, {rate})
print(json.dumps([await stream_view.inside({tokens}, {rate}) for _ in range({ROUNDS})]))"""
    try:
        client.execute_interactive(code, output_hook=on_output, timeout=300)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    runs = json.loads("".join(printed))
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", help="tokens, separated by commas")
    sizes = parser.parse_args().sizes
    columns = ("tokens/s", "bytes/token", "µs/token", "messages", "kernel MB")
    print(f"{'tokens':>8} " + " ".join(f"{one:>11}" for one in columns))
    runs = [(n, FLAT_OUT) for n in SIZES] + [(SIZES[-1], rate) for rate in RATES]
    if sizes:
        runs = [(int(n), FLAT_OUT) for n in sizes.split(",")]
    for tokens, rate in runs:
        got = measure(tokens, rate)
        pace = f"{rate}" if rate else "flat out"
        row = f"{tokens:>8,} {pace:>11} {got['bytes']:>11.1f} {got['us']:>11.1f}"
        print(f"{row} {got['messages']:>11.0f} {got['mb']:>11.0f}", flush=True)
    print(f"the widget itself, once: {got['widget'] / 1e3:.0f} kB")
    where = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"measured · medians of {ROUNDS} on {where}")


if __name__ == "__main__":
    main()
