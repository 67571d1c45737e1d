"""AIConfigurator and AISimulate beside ours, on held-out cells; and the cells' own scatter.

python benchmarks/predictors.py        from what they gave last, in predictors.json; asks them anew:
    --aiconfigurator ENV/bin/python    of an environment with aiconfigurator 0.12 (0.7 GB)
    --aisimulate ENV/bin/aisimulate    of one with an AISimulate 0.13 (1 GB); some minutes

Each is given what we know: the parallelism, the most requests at once by our memory plan, and our
accept length. Cells of 4096 requests are left out: there only the queue is longer.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from kit.bench.fit import residuals
from kit.bench.fit_published import CellFit, Found
from kit.bench.published import PublishedRun, published_cells
from kit.scheduler.acceptance import Requests
from kit.sizing import plan
from kit.speed import Constants

NAMES = {"27b": "27B", "35b": "35B-A3B", "122b": "122B-A10B", "397b": "397B-A17B"}
KEPT = Path(__file__).with_suffix(".json")
LONGEST_S = 120  # of a cell
Triple = tuple[float, float, float]  # TTFT ms, TPOT ms, output tokens/s

NOTES = """\
Median / 90th percentile of |predicted / published - 1|, and the median ratio, on held-out cells of
SGLang 0.5.16. All were told the parallelism, the most requests at once by our memory plan, and our
accept length (the page prints none). Neither was fitted to these cells; ours was fitted to others
of the same page. AIConfigurator predicts a batch: its TTFT at 1024 requests has no queue in it.
AISimulate runs the whole workload. Its tables are of 0.5.14 and 0.5.20, not 0.5.16: 0.5.14 is
taken. AIConfigurator's tables serve 0.5.16, op by op the newest there is up to it.
Models of which a tool carries no config (0.8B, 4B, 9B, the 122B in BF16) it looks up on the Hub,
which could not be reached: with the Hub it may know them.
How to have them: pip install aiconfigurator==0.12.0 comes from PyPI. AISimulate's release 0.13.0 is
there only as a source package that loads its wheel from NVIDIA's own index, which could not be
reached; the newest nightly of it with wheels on PyPI is 0.13.0.dev202610270000000085, which ran.
The cells' own scatter, the floor of any prediction: the page's author lists three runs of each cell
for another model, 0.5% apart at 1024 requests (sglang#31363); the runs of Qwen3.5 are not listed
singly. B300 and B200 have equal bandwidth, so at few requests they are almost the same machine
published twice:"""

# Runs in AIConfigurator's own Python: cells on stdin, a line of JSON for each.
AICONFIGURATOR = """
import json, logging, sys, warnings
warnings.filterwarnings("ignore")
logging.disable(logging.ERROR)
from aiconfigurator.cli.api import cli_estimate
for cell in json.load(sys.stdin):
    try:
        r = cli_estimate(**cell)
        found = [r.ttft, r.tpot, r.tokens_per_second]
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    print("CELL", json.dumps(found), flush=True)
"""


def asked(cell: PublishedRun) -> dict[str, Any]:
    """What a predictor is told of a cell."""
    p, work = cell.profile, cell.workload
    quantised = p.precision == "nvfp4"
    name = f"Qwen3.5-{NAMES.get(p.model.name, p.model.name.upper())}"
    drafts = p.mtp.num_draft_tokens - 1 if p.mtp else 0
    acceptance = Requests.fitted().acceptance(p.model, drafts) if drafts else None
    return {
        "model": f"nvidia/{name}-NVFP4" if quantised else f"Qwen/{name}",
        "system": f"{p.gpu.key}_sxm",
        "tp": p.tp_size,
        "ep": p.ep_size,
        "moe": bool(p.model.num_experts),
        "quant": "fp8_block" if p.precision == "fp8" else None,
        "drafts": drafts,
        "accepted": acceptance.accept_length - 1 if acceptance else None,
        "running": plan(p, cell.sglang).max_running_requests,
        "at_once": work.max_concurrency,
        "prompts": work.num_prompts,
        "input": work.input_len,
        "output": work.output_len,
    }


def aiconfigurator(python: str, cells: Sequence[PublishedRun]) -> list[Triple | str]:
    """TTFT, TPOT and tokens/s of a batch as large as runs at once; the queue is not in it."""
    calls = []
    for one in map(asked, cells):
        moe = {"moe_tp_size": one["tp"] // one["ep"], "moe_ep_size": one["ep"]}
        calls.append(
            {
                "model_path": one["model"],
                "system_name": one["system"],
                "backend_name": "sglang",
                "backend_version": "0.5.16",
                "isl": one["input"],
                "osl": one["output"],
                "batch_size": min(one["at_once"], one["running"]),
                "tp_size": one["tp"],
                "nextn": one["drafts"],
                "nextn_accepted": one["accepted"],
                "gemm_quant_mode": one["quant"],
                "moe_quant_mode": one["quant"] if one["moe"] else None,
                **(moe if one["moe"] else {}),
            }
        )
    run = subprocess.run(
        [python, "-c", AICONFIGURATOR], input=json.dumps(calls), text=True, capture_output=True
    )
    lines = [json.loads(x[5:]) for x in run.stdout.splitlines() if x.startswith("CELL ")]
    return [x if isinstance(x, str) else tuple(x) for x in lines]


def aisimulate(program: str, cells: Sequence[PublishedRun]) -> list[Triple | str]:
    """Medians of TTFT and TPOT, and tokens/s, of the cell's whole workload, queue included."""
    configs = []
    for one in map(asked, cells):
        moe = {"moe_tensor": one["tp"] // one["ep"], "moe_expert": one["ep"]} if one["moe"] else {}
        worker = {
            "parallelism": {"tensor": one["tp"], **moe},
            "scheduler": {"max_batched_tokens": 8192, "max_sequences": one["running"]},
            "kv_cache": {"prefix_caching": False},
        }
        drafts = {"nextn": one["drafts"], "nextn_accepted": one["accepted"]}
        quant = {"gemm_quant_mode": one["quant"]} if one["quant"] else {}
        if quant and one["moe"]:
            quant["moe_quant_mode"] = one["quant"]
        config = {
            "traffic": {
                "source": {
                    "type": "synthetic",
                    "input_tokens": one["input"],
                    "output_tokens": one["output"],
                },
                "load": {"type": "concurrency", "concurrency": one["at_once"]},
                "stop": {"requests": one["prompts"]},
            },
            "engine": {
                "model": one["model"],
                "hardware": one["system"],
                "backend": "sglang",
                "backend_version": "0.5.14",
                "context_length": 16384,
                "workers": {"aggregated": worker},
                **(drafts if one["drafts"] else {}),
                **quant,
            },
        }
        configs.append(config)
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(lambda config: _simulated(program, config), configs))


def _simulated(program: str, config: dict[str, Any]) -> Triple | str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cell.yaml"
        path.write_text(json.dumps(config), encoding="utf-8")  # JSON is YAML
        command = [program, "predict", "-c", str(path), "--output-dir", f"{folder}/out"]
        try:
            run = subprocess.run(
                [*command, "--format", "json"], text=True, capture_output=True, timeout=LONGEST_S
            )
        except subprocess.TimeoutExpired:
            return f"took longer than {LONGEST_S} s"
    if run.returncode:
        return run.stderr.strip().split(". ")[0] or "failed"
    line = json.loads(run.stdout)
    return line["median_ttft_ms"], line["median_tpot_ms"], line["output_throughput_tok_s"]


def ours(cells: Sequence[PublishedRun]) -> np.ndarray:
    """Logarithms of predicted / published, a row a cell."""
    found = Found(Constants.fitted("0.5.16"), Requests.fitted(), 0.0)
    return residuals(CellFit(cells).schedules(found), found.constants)


def row(name: str, logs: np.ndarray) -> str:
    """Median and 90th percentile of |predicted / published − 1|; the median ratio."""
    off = np.abs(np.exp(logs) - 1)
    figures = [
        f"{np.median(off[:, i]):.0%} / {np.percentile(off[:, i], 90):.0%} "
        f"(× {np.exp(np.median(logs[:, i])):.2f})"
        for i in range(3)
    ]
    return f"| {name} | {len(logs)} | " + " | ".join(figures) + " |"


def beside(name: str, cells: Sequence[PublishedRun], found: Sequence[Triple | str]) -> None:
    """A predictor and ours on the cells that it knows."""
    pairs = [(c, x) for c, x in zip(cells, found, strict=True) if not isinstance(x, str)]
    print(f"\n{name} knows {len(pairs)} of {len(cells)} held-out cells")
    unknown = [
        c.profile.model.name for c, x in zip(cells, found, strict=True) if isinstance(x, str)
    ]
    reasons = [x for x in found if isinstance(x, str)]
    if unknown:
        print(f"  not {', '.join(dict.fromkeys(unknown))}; the first time it said: {reasons[0]}")
    if not pairs:
        return
    theirs = np.log(np.array([x for _, x in pairs]) / np.array([given(c) for c, _ in pairs]))
    mine = ours([c for c, _ in pairs])
    few = np.array([(c.workload.max_concurrency or 0) <= 16 for c, _ in pairs])
    print("\n| cells | number | TTFT | TPOT | tokens/s |\n|---|---|---|---|---|")
    for title, those in (("1 and 16 requests", few), ("1024 requests", ~few)):
        if those.any():
            print(row(f"{name}, {title}", theirs[those]))
            print(row(f"ours, {title}", mine[those]))


def scatter() -> None:
    """B300 beside B200, where requests are few: what such a pair differs by, a prediction does."""

    def key(c: PublishedRun, gpu: str) -> tuple[str, ...]:
        p, at_once = c.profile, c.workload.max_concurrency
        return (gpu, p.model.name, p.precision, f"{p.tp_size}", f"{at_once}")

    cells = {key(c, c.profile.gpu.key): c for c in published_cells()}
    print("\n| B300 / B200 | pairs | TTFT | TPOT | tokens/s |\n|---|---|---|---|---|")
    for at_once in (1, 16):
        logs = [
            np.log([after / before for before, after in zip(given(c), given(other), strict=True)])
            for c in cells.values()
            if c.profile.gpu.key == "b200"
            and c.workload.max_concurrency == at_once
            and (other := cells.get(key(c, "b300")))
        ]
        print(row(f"{at_once} at once", np.array(logs)))


def given(cell: PublishedRun) -> Triple:
    """What the cell prints."""
    r = cell.report
    assert r.ttft.median
    assert r.tpot.median
    assert r.output_throughput
    return r.ttft.median, r.tpot.median, r.output_throughput


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--aiconfigurator", metavar="PYTHON")
    parser.add_argument("--aisimulate", metavar="PROGRAM")
    args = parser.parse_args()
    print(NOTES)
    scatter()
    cells = [
        c for c in published_cells() if c.held_out and (c.workload.max_concurrency or 0) <= 1024
    ]
    kept: dict[str, dict[str, Triple | str]] = json.loads(KEPT.read_text("utf-8"))
    names = [cell.name for cell in cells]
    if args.aiconfigurator:
        answers = aiconfigurator(args.aiconfigurator, cells)
        kept["AIConfigurator 0.12"] = dict(zip(names, answers, strict=True))
    if args.aisimulate:
        answers = aisimulate(args.aisimulate, cells)
        kept["AISimulate 0.13"] = dict(zip(names, answers, strict=True))
    if args.aiconfigurator or args.aisimulate:
        KEPT.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    for name, found in kept.items():
        beside(name, cells, [found[cell] for cell in names])
    print("\nsimulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
