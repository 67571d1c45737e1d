"""SGLang's own bench_serving and `kit bench` measure the same twin: row by row.

python benchmarks/bench_serving.py [--prompts 12] [--profile b200x8] [--json]

Both send the same requests (seed, lengths, token ids) one after the other, each to a twin of its
own that has just started, by /generate and by chat completions. The profile is one without MTP:
where acceptances are drawn, two runs differ by the draw. Needs `make sglang-cpu`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from kit.bench import read
from kit.bench.report import ARGUMENTS, Report
from kit.errors import KitError
from kit.server import cpu
from kit.twin.process import start

ROOT = Path(__file__).resolve().parents[1]
DIALECTS = {"sglang": "native", "sglang-oai-chat": "chat"}
WHY = {
    "Total generated tokens (retokenized)": "ours needs no tokenizer: the server counts",
    "Benchmark duration (s)": "theirs ends after a question to /server_info",
}
TEMPLATE = "ours is the server's count, chat template included"
WHY_CHAT = dict.fromkeys(
    (
        "Total input tokens",
        "Total input text tokens",
        "Input token throughput (tok/s)",
        "Total token throughput (tok/s)",
    ),
    TEMPLATE,
)


def theirs(url: str, model: str, backend: str, args: argparse.Namespace, out: Path) -> Report:
    done = subprocess.run(
        [
            str(cpu.HOME / "python"), "-m", "sglang.bench_serving",
            "--backend", backend, "--base-url", url, "--model", model,
            "--tokenizer", str(cpu.tiny_checkpoint()), "--dataset-name", "random-ids",
            *(["--tokenize-prompt"] if backend == "sglang" else []),
            "--random-input-len", str(args.input_len), "--random-output-len", str(args.output_len),
            "--num-prompts", str(args.prompts), "--max-concurrency", str(args.concurrency),
            "--seed", "1", "--output-file", str(out), "--disable-tqdm",
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"bench_serving failed:\n{done.stdout[-1000:]}\n{done.stderr[-1500:]}")
    return read(out)[-1]


def ours(url: str, backend: str, args: argparse.Namespace, out: Path) -> Report:
    done = subprocess.run(
        [
            sys.executable, "-m", "kit.cli", "bench", "--url", url,
            "--dialect", DIALECTS[backend], "--dataset", "random-ids",
            "--input-len", str(args.input_len), "--output-len", str(args.output_len),
            "--num-prompts", str(args.prompts), "--max-concurrency", str(args.concurrency),
            "--seed", "1", "--out", str(out),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"kit bench failed:\n{done.stderr[-1500:]}")
    return read(out)[-1]


def compared(backend: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Each row that both print: label, theirs, ours, ratio."""
    found: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        for number, measure in enumerate((theirs, ours)):
            twin = start(args.profile)
            try:
                out = Path(folder) / f"{number}.jsonl"
                if measure is theirs:
                    found.append(theirs(twin.url, name_of(twin.url), backend, args, out))
                else:
                    found.append(ours(twin.url, backend, args, out))
            finally:
                twin.close()
    their_rows = dict(found[0].rows())
    our_rows = {metric.key: value for metric, value in found[1].rows()}
    per_chunk = found[0].itl_basis == "chunk"  # their chat backend: then our rows of chunks
    table = []
    for metric, their in their_rows.items():
        if metric.key in ARGUMENTS or not isinstance(their, int | float):
            continue
        key = metric.key
        if per_chunk and metric.attribute.startswith("itl."):
            key = key.replace("itl", "itl_per_chunk")
        own = our_rows.get(key)
        ratio = own / their if isinstance(own, int | float) and their else None
        table.append({"row": metric.label, "theirs": their, "ours": own, "ratio": ratio})
    return table


def name_of(url: str) -> str:
    from kit.endpoint import connect

    return connect(url).model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--profile", default="b200x8")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--input-len", type=int, default=500)
    parser.add_argument("--output-len", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not cpu.installed():
        sys.exit("SGLang is not installed here: make sglang-cpu")
    tables = {backend: compared(backend, args) for backend in DIALECTS}
    if args.json:
        json.dump(tables, sys.stdout, indent=2)
        return
    for backend, table in tables.items():
        print(f"backend {backend}: {args.prompts} prompts, {args.concurrency} at a time")
        print(f"  {'':<42} {'bench_serving':>13} {'kit bench':>13}  ratio")
        for row in table:
            own = "–" if row["ours"] is None else f"{row['ours']:,.2f}"
            ratio = "" if row["ratio"] is None else f"{row['ratio']:.3f}"
            why = {**WHY, **(WHY_CHAT if "chat" in backend else {})}.get(str(row["row"]), "")
            name, their = f"{row['row']}:", row["theirs"]
            print(f"  {name:<42} {their:>13,.2f} {own:>13}  {ratio}  {why}".rstrip())
        shared = [row for row in table if row["ratio"]]
        far = [row for row in shared if abs(float(row["ratio"]) - 1) > 0.03]
        named = ", ".join(str(row["row"]) for row in far) or "none"
        print(f"  {len(shared) - len(far)} of {len(shared)} rows within 3 %; beyond: {named}\n")


if __name__ == "__main__":
    try:
        main()
    except KitError as problem:
        sys.exit(str(problem))
