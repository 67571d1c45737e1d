"""Simulation: seconds for a published run, and time per token from 10⁵ to 10⁷ tokens.

python benchmarks/simulation.py            --tokens 1e5 1e6 for fewer
"""

import argparse
import resource
import statistics
import time

from kit.bench import Workload, predict, simulate
from kit.hardware import profile

ROUNDS = 5
OUTPUT_LEN = 1000  # uniform from 1 up: 500 on average


def timed(run: str) -> None:
    predict("h200x8", like=run)  # warm
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        report = predict("h200x8", like=run)
        took.append(time.perf_counter() - began)
    tokens = report.total_output_tokens or 0
    print(f"{run}: {report.completed} requests, {tokens:,} tokens out, {report.duration_s:.0f} s")
    print(
        f"  simulated in {statistics.median(took):.2f} s "
        f"(median of {ROUNDS}: {min(took):.2f} to {max(took):.2f})"
    )


def scaled(machine: str, tokens: int) -> float:
    """Seconds per token. Several rounds for small sizes only: a large one is its own mean."""
    work = Workload(1000, OUTPUT_LEN, max(2 * tokens // OUTPUT_LEN, 1), max_concurrency=100)
    took = []
    for _ in range(ROUNDS if tokens <= 10**5 else 1):
        began = time.perf_counter()
        report = simulate(profile(machine), work)
        took.append(time.perf_counter() - began)
    out = report.total_output_tokens or 0
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    each = statistics.median(took) / out
    print(
        f"  {machine:<8} {out:>12,} tokens {statistics.median(took):>8.2f} s "
        f"{each * 1e6:>6.2f} µs per token   {peak_mib:>6.0f} MiB at most"
    )
    return each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    sizes = sorted(int(n) for n in parser.parse_args().tokens)
    timed("cookbook-latency")
    timed("cookbook-throughput")
    print("\ncost by size, 100 requests at a time (with MTP, and without)")
    for machine in ("h200x8", "b200x8"):
        each = [scaled(machine, tokens) for tokens in sizes]
        print(f"  {machine:<8} time per token, largest to smallest: {each[-1] / each[0]:.2f}")
    print("\nmeasured on this machine; what is simulated are H200 and B200 servers")


if __name__ == "__main__":
    main()
