"""How late the twin's chunks come: arrival at a raw client, minus the end of their step.

python benchmarks/twin_lateness.py [--rounds 5] [--cases alone,rust,many]

    alone  fifty streams, all read here
    rust   SGLang's Rust client holds ninety streams open, ten are read here; the twin's clock is
           set so that some 1,100 chunks per second go out, as in the cookbook's throughput run
    many   the same with 990 and ten, on a profile that runs them all at once

The streams read here are read by a plain epoll reader, which stamps with the clock that the twin
itself uses (CLOCK_MONOTONIC). The twin says when each part was due in an SSE comment, which it
sends only for the header `x-kit-clock`. Lateness includes the twin's own delay, the way
through the kernel, and the reader's delay. The Rust client needs `make sglang-cpu`.
"""

import argparse
import json
import platform
import re
import select
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from kit.server import cpu
from kit.twin.process import start

DUE = re.compile(rb" due (\d+\.\d+)\n")
RUNNING = re.compile(rb"^sglang:num_running_reqs\{.* (\S+)$", re.M)
GENERATED = re.compile(rb"^sglang:generation_tokens_total\{.* (\S+)$", re.M)


@dataclass(frozen=True)
class Case:
    """`streams` are read here, `held` by the Rust client; at least `running` of all must run."""

    profile: str
    streams: int
    tokens: int
    speed: float = 1.0
    held: int = 0
    held_tokens: int = 200
    running: int = 0


CASES = {
    "alone": Case("b200x8", streams=50, tokens=400),
    "rust": Case("397b-fp8-h200x8", 10, 150, speed=0.55, held=90, held_tokens=500, running=90),
    "many": Case("35b-bf16-xeonx3", 10, 20, speed=10, held=990, held_tokens=400, running=900),
}


def request(port: int, tokens: int) -> bytes:
    body = json.dumps(
        {
            "model": "twin",
            "messages": [{"role": "user", "content": "What is 15% of 240?"}],
            "max_tokens": tokens,
            "ignore_eos": True,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        "content-type: application/json\r\nx-kit-clock: 1\r\nconnection: close\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def lateness_ms(port: int, streams: int, tokens: int) -> list[float]:
    """One round: every stream to its end; how late each part came."""
    poll = select.epoll()
    open_sockets = {}
    for _ in range(streams):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setblocking(False)
        poll.register(sock, select.EPOLLIN)
        open_sockets[sock.fileno()] = sock
    for sock in open_sockets.values():
        sock.sendall(request(port, tokens))
    reads: list[tuple[float, bytes]] = []
    while open_sockets:
        for number, _ in poll.poll():
            data = open_sockets[number].recv(1 << 16)
            if data:
                reads.append((time.monotonic(), data))
            else:
                poll.unregister(number)
                open_sockets.pop(number).close()
    return [(at_s - float(due)) * 1e3 for at_s, data in reads for due in DUE.findall(data)]


@contextmanager
def held(url: str, case: Case) -> Iterator[None]:
    """SGLang's Rust client with `case.held` streams out, until the block ends."""
    if not case.held:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        client = subprocess.Popen(
            [
                str(cpu.HOME / "python"), "-m", "sglang.benchmark.rust_client",
                "--backend", "sglang", "--base-url", url, "--model", "twin",
                "--tokenizer", str(cpu.tiny_checkpoint()), "--dataset-name", "random-ids",
                "--tokenize-prompt", "--random-input-len", "64", "--random-range-ratio", "1.0",
                "--random-output-len", str(case.held_tokens), "--num-prompts", "20000",
                "--max-concurrency", str(case.held), "--output-file", f"{folder}/out.jsonl",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            until = time.monotonic() + 60
            while running(url) < case.running:
                if client.poll() is not None or time.monotonic() > until:
                    raise SystemExit("the Rust client did not fill the twin")
                time.sleep(0.2)
            yield
        finally:
            client.kill()
            client.wait()


def running(url: str) -> float:
    return sum(map(float, RUNNING.findall(_get(url, "/metrics"))))


def generated(url: str) -> float:
    return sum(map(float, GENERATED.findall(_get(url, "/metrics"))))


def accept_length(url: str) -> float:
    state = json.loads(_get(url, "/server_info"))["internal_states"][0]
    return state.get("avg_spec_accept_length") or 1.0


def _get(url: str, path: str) -> bytes:
    with urllib.request.urlopen(url + path, timeout=30) as page:
        return page.read()


def measure(case: Case, rounds: int) -> dict[str, object]:
    twin = start(case.profile, case.speed)
    port = int(twin.url.rpartition(":")[2])
    try:
        lateness_ms(port, 2, 50)  # warm-up
        with held(twin.url, case):
            found, before, began_s = [], generated(twin.url), time.monotonic()
            for _ in range(rounds):
                found.append(sorted(lateness_ms(port, case.streams, case.tokens)))
            tokens, took_s = generated(twin.url) - before, time.monotonic() - began_s
            at_once, rate = running(twin.url), tokens / accept_length(twin.url) / took_s
    finally:
        twin.close()
    return {
        "profile": case.profile,
        "speed": case.speed,
        "streams": case.streams + case.held,
        **({"running": round(at_once)} if case.held else {}),
        "chunks_per_s": round(rate),
        "parts_read": sum(map(len, found)),
        "mean_ms": middle(statistics.fmean(one) for one in found),
        "median_ms": middle(one[len(one) // 2] for one in found),
        "p99_ms": middle(one[int(len(one) * 0.99)] for one in found),
        "max_ms": middle(one[-1] for one in found),
    }


def middle(values: Iterator[float]) -> float:
    return round(statistics.median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", default=",".join(CASES))
    args = parser.parse_args()
    results = {}
    for name in args.cases.split(","):
        if CASES[name].held and not cpu.installed():
            results[name] = "not measured: SGLang's Rust client is not here (make sglang-cpu)"
        else:
            results[name] = measure(CASES[name], args.rounds)
    source = f"this machine, Python {platform.python_version()}, medians of {args.rounds} rounds"
    print(json.dumps({**results, "provenance": {"kind": "measured", "source": source}}, indent=2))


if __name__ == "__main__":
    main()
