"""The pocket model's two engines on this CPU: size, start, memory, speed; what speculation costs.

python benchmarks/pocket.py [--json]

Both engines answer the prompts of kit/data/pocket/recorded.json greedily: llama.cpp as it sits in
the twin's process, and the real SGLang with 0 to 3 drafts. Then SGLang is asked for thinking and
for answers apart: a prompt goes on from `<think>` until the thinking ends, and from `</think>` to
the end of the turn. That table is also written to kit/data/recorded/pocket_acceptance.json, which
lesson 08 draws. SGLang's own profiler says where a step's time goes. Needs `make sglang-cpu`.
"""

import argparse
import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import files as installed_files
from pathlib import Path
from typing import Any

from kit import server
from kit.errors import KitError
from kit.pocket import WEIGHTS
from kit.server import Server, cpu
from kit.server.processes import free_port, members

RECORDED = WEIGHTS.parent / "recorded" / "pocket_acceptance.json"
STREAMS = 8
ROUNDS = 3
MAX_TOKENS = 400
# Spans of a step in SGLang's profiles: all of it, and its three passes.
STEP = "scheduler.run_batch"
PASSES = {"draft": "draft", "verify": "step[VERIFY", "draft_extend": "draft_extend"}
ENDS = {"thinking": "</think>", "answer": "<|im_end|>"}
Row = dict[str, Any]


def weights(name: str) -> Any:
    return json.loads((WEIGHTS / name).read_text())


def mib(path: Path) -> float:
    return sum(f.lstat().st_size for f in path.rglob("*") if f.is_file()) / 2**20


def pss_mib(pid: int | str) -> float:
    """What a process holds, shared pages divided among those who share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def seconds(complete: Callable[[str], Any], prompts: list[str], streams: int) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(complete, prompts))
    return time.perf_counter() - began


# --- llama.cpp, in a process of its own here, which stands for the twin's


def llama_alone() -> None:
    """What its process measures of itself; prints JSON."""
    before = pss_mib("self")
    began = time.perf_counter()
    from kit.twin.llama_cpp import PocketModel

    engine = PocketModel.load()
    start_s = time.perf_counter() - began
    entries = weights("recorded.json")
    prompts = [entry["prompt"] for entry in entries]
    same = sum(engine.complete(e["prompt"]) == e["output"] for e in entries)
    took = {n: seconds(engine.complete, prompts, n) for n in (1, STREAMS)}
    print(json.dumps({"start_s": start_s, "same": same, "took": took,
                      "memory_mib": pss_mib("self") - before}))  # fmt: skip


def llama(tokens: int) -> Row:
    asked = [sys.executable, __file__, "--llama"]
    found = json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)
    package = sum(Path(str(f.locate())).stat().st_size for f in installed_files("xllamacpp") or ())
    return {
        "engine": "llama.cpp in the twin",
        "program_mib": package / 2**20,
        "weights_mib": (WEIGHTS / weights("pocket.json")["gguf"]).stat().st_size / 2**20,
        "start_s": found["start_s"],
        "memory_mib": found["memory_mib"],
        "same": found["same"],
        "tok_s": tokens / found["took"]["1"],
        "tok_s_many": tokens / found["took"][str(STREAMS)],
    }


# --- the real SGLang


def ask(url: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        url + path, json.dumps(body or {}).encode(), {"content-type": "application/json"}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=300) as answer:
        text = answer.read().decode()
    return json.loads(text) if text.startswith(("{", "[")) else text


def generate(url: str, text: str, stop: str = "<|im_end|>") -> Any:
    sampling = {"temperature": 0, "max_new_tokens": MAX_TOKENS, "stop": [stop]}
    body = {"text": text, "sampling_params": {**sampling, "skip_special_tokens": False}}
    return ask(url, "/generate", body)


def sglang(steps: int) -> tuple[Row, list[Row], Row, int]:
    """Of a server with that many drafts: its line, its two lines of the sweep, where a step's time
    goes, and how many tokens it wrote."""
    began = time.perf_counter()
    with server.start(cpu.pocket(free_port(), steps)) as running:
        start_s = time.perf_counter() - began
        url, entries = running.url, weights("recorded.json")
        prompts = [entry["prompt"] for entry in entries]
        said = [generate(url, prompt) for prompt in prompts]
        tokens = sum(one["meta_info"]["completion_tokens"] for one in said)
        same = sum(
            one["text"].removesuffix("<|im_end|>") == entry["output"]
            for one, entry in zip(said, entries, strict=True)
        )
        took = {}
        for streams in (1, STREAMS):
            ask(url, "/flush_cache")
            took[streams] = seconds(lambda prompt: generate(url, prompt), prompts, streams)
        line = {
            "engine": f"SGLang, {steps} drafts" if steps else "SGLang, no MTP",
            "program_mib": mib(cpu.ROOT / ".venv-sglang") if steps == 0 else None,
            "weights_mib": (WEIGHTS / "model.safetensors").stat().st_size / 2**20,
            "start_s": start_s,
            "memory_mib": sum(pss_mib(one.pid) for one in members(running.group or 0)),
            "same": same,
            "tok_s": tokens / took[1],
            "tok_s_many": tokens / took[STREAMS],
        }
        parts = thinking_and_answers(entries)
        sweep = [swept(url, steps, part, texts) for part, texts in parts.items()]
        return line, sweep, stages(running, prompts[0]) if steps else {}, tokens


def thinking_and_answers(entries: list[dict[str, str]]) -> dict[str, list[str]]:
    """The same turns twice: up to where the thinking begins, and up to where the answer does."""
    thinks = [e for e in entries if e["prompt"].endswith("<think>\n") and "</think>" in e["output"]]
    thoughts = [entry["output"].partition("</think>\n\n") for entry in thinks]
    return {
        "thinking": [entry["prompt"] for entry in thinks],
        "answer": [
            entry["prompt"] + thought + end
            for entry, (thought, end, _) in zip(thinks, thoughts, strict=True)
        ],
    }


def swept(url: str, steps: int, part: str, texts: list[str]) -> Row:
    """One line of the sweep: a stream alone, from each request's first token on."""
    rounds = [[generate(url, t, ENDS[part])["meta_info"] for t in texts] for _ in range(ROUNDS)]
    first = rounds[0]
    after_first = sum(one["completion_tokens"] - 1 for one in first)
    verified = sum(one["spec_verify_ct"] for one in first) if steps else after_first
    correct = sum(one["spec_num_correct_drafts"] for one in first) if steps else 0
    decode_s = statistics.median(
        sum(one["e2e_latency"] - one["first_token_latency"] for one in one_round)
        for one_round in rounds
    )
    return {
        "steps": steps,
        "part": part,
        "requests": len(texts),
        "tokens": sum(one["completion_tokens"] for one in first),
        "verify_steps": verified,
        "accept_length": round(1 + correct / verified, 3) if steps else None,
        "output_throughput": round(after_first / decode_s, 1),
        "step_ms": round(1000 * decode_s / verified, 2),
    }


def stages(running: Server, prompt: str) -> Row:
    """Shares of a step's time, by the spans of SGLang's own profiler, which slows all of it."""
    with tempfile.TemporaryDirectory() as folder:
        ask(running.url, "/start_profile", {"output_dir": folder, "activities": ["CPU"]})
        generate(running.url, prompt)
        ask(running.url, "/stop_profile")
        (trace,) = Path(folder).rglob("*.trace.json.gz")
        events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    spans = [e for e in events if e.get("cat") == "user_annotation"]

    def took(name: str) -> list[float]:
        return [e["dur"] for e in spans if e["name"] == name or e["name"].startswith(name + " ")]

    steps = len(took("draft"))  # the prompt's own step comes first, and drafts nothing
    whole = sum(took(STEP)[-steps:])
    shares = {name: sum(took(span)[-steps:]) / whole for name, span in PASSES.items()}
    shares["rest"] = 1 - sum(shares.values())
    return {name: round(share, 3) for name, share in shares.items()}


# --- what is printed and recorded


def recorded(rows: list[Row], shares: dict[int, Row]) -> Row:
    about = weights("pocket.json")
    where = f"SGLang {cpu.SGLANG_PINNED} on {os.cpu_count()} CPU cores"
    return {
        "provenance": {"kind": "measured", "source": f"{where}, {about['name']}, greedy"},
        "sha256": about["sha256"],
        "columns": "one request at a time, from its first token on; accept_length: tokens per "
        "verify step; output_throughput: tokens/s; step_ms: a step with its drafts; shares: of a "
        "step's time, by SGLang's profiler, by number of drafts",
        "rows": rows,
        "shares": {str(steps): share for steps, share in shares.items()},
    }


def table(lines: list[Row], prompts: int) -> str:
    head = f"{'':<24}{'program':>9}{'weights':>9}{'start':>8}{'memory':>9}"
    head += f"{'1 stream':>11}{f'{STREAMS} streams':>11}  as recorded\n"
    head += f"{'':<24}{'MiB':>9}{'MiB':>9}{'s':>8}{'MiB':>9}{'tok/s':>11}{'tok/s':>11}\n"
    rows = []
    for r in lines:
        program = f"{r['program_mib']:>9,.0f}" if r["program_mib"] else f"{'same':>9}"
        rows.append(
            f"{r['engine']:<24}{program}{r['weights_mib']:>9.1f}{r['start_s']:>8.2f}"
            f"{r['memory_mib']:>9,.0f}{r['tok_s']:>11,.0f}{r['tok_s_many']:>11,.0f}"
            f"  {r['same']} of {prompts}"
        )
    return head + "\n".join(rows)


def sweep_table(kept: Row) -> str:
    head = f"{'drafts':<8}{'part':<10}{'accept length':>14}{'tok/s':>8}{'ms per step':>11}"
    head += f"{'plain steps':>13}"
    plain = {r["part"]: r["step_ms"] for r in kept["rows"] if r["steps"] == 0}
    out = [head]
    for r in kept["rows"]:
        length = f"{r['accept_length']:.2f}" if r["steps"] else "–"
        out.append(
            f"{r['steps']:<8}{r['part']:<10}{length:>14}{r['output_throughput']:>8.0f}"
            f"{r['step_ms']:>11.1f}{r['step_ms'] / plain[r['part']]:>13.2f}"
        )
    for steps, share in kept["shares"].items():
        said = ", ".join(f"{name} {part:.0%}" for name, part in share.items())
        out.append(f"a step with {steps} drafts: {said}")
    return "\n".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--llama", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.llama:
        llama_alone()
        return
    ran = [sglang(steps) for steps in range(cpu.POCKET_STEPS + 1)]
    rows = [row for _, sweep, _, _ in ran for row in sweep]
    kept = recorded(rows, {steps: share for steps, (_, _, share, _) in enumerate(ran) if share})
    RECORDED.write_text(json.dumps(kept, indent=1) + "\n")
    lines = [llama(ran[0][3]), *(line for line, *_ in ran)]
    if args.json:
        json.dump({"engines": lines, **kept}, sys.stdout, indent=2)
        return
    count = len(weights("recorded.json"))
    print(f"{count} prompts, {ran[0][3]:,} tokens of answers, prefill included; proportional set")
    print("size, of llama.cpp what its process grew by; its streams wait for one another\n")
    print(table(lines, count))
    print("\none stream of SGLang, prefill left out\n")
    print(sweep_table(kept))
    print(f"\nmeasured · {kept['provenance']['source']}")


if __name__ == "__main__":
    try:
        main()
    except KitError as problem:
        sys.exit(str(problem))
