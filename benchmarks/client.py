"""The measuring client beside bench_serving's Rust and Python clients, on a server known exactly.

python benchmarks/client.py [--rounds 5] [--streams 256] [--clients ours,rust,python]

The server (`known_server.c`, compiled here: needs a C compiler) writes each chunk at a set time
after it has read the request, and logs when it really did; that log is the truth. Server and
client have a core each. CPU per chunk is what 200 more chunks in each stream cost, parsing
included: start, connecting and sending cancel out. The peers need `make sglang-cpu`.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

try:
    from kit.server import cpu
except ImportError:  # in the peers' environment there is no kit, and no need of it
    cpu = None

HERE = Path(__file__).resolve().parent
SGLANG = HERE.parent / "deploy" / "sglang-cpu" / "python"
TTFT_S = 0.3
SHORT, LONG = 30, 230  # tokens per answer
BURST_GAP_S, FULL_GAP_S = 0.02, 0.01  # at 256 streams: 12,800 and 25,600 chunks per second
PEERS = ("ours", "rust", "python")


# --- as a client: one process for all its runs; jobs on stdin, results on stdout


def client(kind: str) -> None:
    run = {"ours": _ours, "rust": _rust, "python": _python}[kind]
    said = os.dup(1)
    os.dup2(2, 1)  # the peers print tables to stdout; only the line of figures is read here
    for line in sys.stdin:
        job = json.loads(line)
        before = _cpu_s()
        figures = run(job)
        answer = {"cpu_s": _cpu_s() - before, **figures}
        os.write(said, json.dumps(answer).encode() + b"\n")


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _ours(job: dict[str, Any]) -> dict[str, Any]:
    from kit.bench import Workload, measure
    from kit.endpoint import Endpoint
    from kit.provenance import measured

    label = measured("this machine")
    endpoint = Endpoint(job["url"], "known", None, "live", None, 1.0, None, label)
    workload = Workload(16, job["tokens"], job["streams"], range_ratio=1.0)
    return asyncio.run(measure(endpoint, workload, dialect="native")).to_json()


def _arguments(job: dict[str, Any]) -> list[str]:
    return [
        "bench", "--backend", "sglang", "--base-url", job["url"], "--model", "known",
        "--tokenizer", job["tokenizer"], "--dataset-name", "random-ids",
        "--tokenize-prompt", "--random-input-len", "16", "--random-range-ratio", "1.0",
        "--random-output-len", str(job["tokens"]), "--num-prompts", str(job["streams"]),
        "--ready-check-timeout-sec", "0", "--disable-tqdm", "--output-file", job["out"],
    ]  # fmt: skip


def _last_line(job: dict[str, Any]) -> dict[str, Any]:
    return json.loads(Path(job["out"]).read_text(encoding="utf-8").splitlines()[-1])


def _rust(job: dict[str, Any]) -> dict[str, Any]:
    from sglang.benchmark.rust_client import main as rust

    rust(_arguments(job))
    return _last_line(job)


def _python(job: dict[str, Any]) -> dict[str, Any]:
    from sglang.benchmark import serving

    sys.argv = _arguments(job)
    serving.cli_main()
    return _last_line(job)


# --- the bench


class Known:
    """The server, on the first core."""

    def __init__(self, folder: Path) -> None:
        program = folder / "known_server"
        source = HERE / "known_server.c"
        subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=lambda: pin(0)
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def set(self, gap_s: float, tokens: int = 1) -> None:
        self._get(f"/set?ttft_us={TTFT_S * 1e6:.0f}&gap_us={gap_s * 1e6:.0f}&tokens={tokens}")

    def truth(self, streams: int) -> dict[str, float]:
        """Means over the last `streams` answers (those before were to warm up), in ms."""
        answers = self._get("/truth")["answers"][-streams:]
        return {
            "ttft": statistics.fmean(a[0] for a in answers) * 1e3,
            "tpot": statistics.fmean(a[1] / (a[3] - 1) for a in answers) * 1e3,
            "late": statistics.fmean(a[2] for a in answers) * 1e3,
        }

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=5)


class Peer:
    """A client's process, on the second core."""

    def __init__(self, kind: str, folder: Path) -> None:
        interpreter = [sys.executable] if kind == "ours" else [str(SGLANG)]
        self.kind = kind
        self._out = folder / f"{kind}.jsonl"
        self._log = (folder / f"{kind}.log").open("wb+")
        self._process = subprocess.Popen(
            [*interpreter, __file__, "--as", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "PYTHONPATH": str(HERE.parent)} if kind == "ours" else None,
            preexec_fn=lambda: pin(1),
        )

    def run(self, url: str, streams: int, tokens: int) -> dict[str, Any]:
        job = {"url": url, "streams": streams, "tokens": tokens, "out": str(self._out)}
        job["tokenizer"] = str(cpu.tiny_checkpoint()) if self.kind != "ours" else ""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            sys.exit(f"{self.kind} failed:\n{self._log.read().decode()[-2000:]}")
        return json.loads(line)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


def one_round(known: Known, peer: Peer, streams: int) -> dict[str, float]:
    """Errors against the server's log, and CPU per chunk."""
    known.set(BURST_GAP_S)
    short = peer.run(known.url, streams, SHORT)
    burst = known.truth(streams)
    known.set(FULL_GAP_S)
    full = peer.run(known.url, streams, LONG)
    loaded = known.truth(streams)
    known.set(3 * FULL_GAP_S, tokens=3)
    three = peer.run(known.url, streams, SHORT * 3 + 1)
    return {
        "cpu_us": (full["cpu_s"] - short["cpu_s"]) / (LONG - SHORT) / streams * 1e6,
        "ttft_error_ms": short["mean_ttft_ms"] - burst["ttft"],
        "tpot_error": full["mean_tpot_ms"] / loaded["tpot"] - 1,
        "itl_token": three["mean_itl_ms"] / (FULL_GAP_S * 1e3) - 1,
        "itl_chunk": (three.get("mean_itl_per_chunk_ms") or float("nan")) / (FULL_GAP_S * 3e3) - 1,
        "server_late_ms": loaded["late"],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--streams", type=int, default=256)
    parser.add_argument("--clients", default=",".join(PEERS))
    parser.add_argument("--as", dest="kind", choices=PEERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.kind:
        client(args.kind)
        return
    kinds = [k for k in args.clients.split(",") if k == "ours" or cpu.installed()]
    rounds: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        known = Known(folder)
        peers = [Peer(kind, folder) for kind in kinds]
        known.set(FULL_GAP_S)
        for peer in peers:
            peer.run(known.url, 4, 8)  # imports are done then
        for _ in range(args.rounds):
            for peer in peers:
                rounds[peer.kind].append(one_round(known, peer, args.streams))
                time.sleep(0.2)
        for peer in peers:
            peer.close()
        known.close()
    _print(rounds, args)


COLUMNS = (
    ("cpu_us", "CPU µs per chunk", "{:.1f}"),
    ("ttft_error_ms", "TTFT error, ms", "{:+.2f}"),
    ("tpot_error", "TPOT error", "{:+.2%}"),
    ("itl_token", "ITL per token, err", "{:+.2%}"),
    ("itl_chunk", "ITL per chunk, err", "{:+.2%}"),
)


def _print(rounds: dict[str, list[dict[str, float]]], args: argparse.Namespace) -> None:
    middle = {
        kind: {name: statistics.median(one[name] for one in ones) for name in ones[0]}
        for kind, ones in rounds.items()
    }
    rate = args.streams / FULL_GAP_S
    print(
        f"{args.streams} streams at once; medians of {args.rounds} rounds. TTFT with "
        f"{args.streams / BURST_GAP_S:,.0f} chunks/s,\nTPOT and CPU with {rate:,.0f} chunks/s; "
        "both ITLs with three tokens per chunk.\n"
    )
    print(f"{'':<8}" + "".join(f"{title:>20}" for _, title, _ in COLUMNS))
    for kind, figures in middle.items():
        cells = [
            form.format(figures[name]) if figures[name] == figures[name] else "not given"
            for name, _, form in COLUMNS
        ]
        print(f"{kind:<8}" + "".join(f"{cell:>20}" for cell in cells))
    late = statistics.median(one["server_late_ms"] for ones in rounds.values() for one in ones)
    if "rust" in middle:
        ours, rust = middle["ours"], middle["rust"]
        print(
            f"\nours / rust: CPU per chunk {ours['cpu_us'] / rust['cpu_us']:.2f}, "
            f"TTFT error {ours['ttft_error_ms'] / rust['ttft_error_ms']:.2f}"
        )
    print(f"the server's latest chunk of an answer was {late:.2f} ms late on average")
    print(f"measured · this machine, {platform.machine()}, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
