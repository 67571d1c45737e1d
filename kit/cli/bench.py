"""`kit bench`: measure a server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kit.cli.shared import (
    Add,
    connected,
    endpoint_options,
    given_workload,
    json_option,
    print_report,
    workload_options,
)


def add(add_command: Add) -> None:
    sub = add_command("bench", _bench, "measure a server as sglang.bench_serving does")
    workload_options(sub)
    endpoint_options(sub)
    sub.add_argument("--out", type=Path, help="append the result line to this .jsonl")
    json_option(sub)


def _bench(args: argparse.Namespace) -> int:
    import asyncio

    from kit.bench import measure

    server = connected(args)
    progress = _counter if sys.stderr.isatty() else None
    measured = asyncio.run(measure(server, given_workload(args), on_progress=progress))
    if args.out:
        with args.out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(measured.to_json()) + "\n")
    return print_report(measured, args)


def _counter(done: int, total: int) -> None:
    print(f"\r{done}/{total} requests", end="\n" if done == total else "", file=sys.stderr)
