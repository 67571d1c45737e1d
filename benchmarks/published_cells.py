"""The speed model against the published cells of SGLang 0.5.16: errors, cross-validation, ablation.

python benchmarks/published_cells.py            all parts, half an hour; or one of them:
    errors     train and held out, by requests and precision; held-out cells in their band
    cross      one GPU, one model left out (training cells); --write makes kit/data/bands.toml
    ablation   each term left out, the others refitted
    moves      each constant moved, the others refitted

Held-out cells are read by `errors` alone.
"""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

import kit
from kit.bench.fit import residuals
from kit.bench.fit_published import FITTED, CellFit, Found, training_cells
from kit.bench.published import PublishedRun, published_cells
from kit.bench.replay import Schedule
from kit.scheduler.acceptance import Requests
from kit.speed import Constants, SpeedModel
from kit.speed.bands import band, load

QUANTITIES = ("ttft", "tpot", "throughput")
# What leaves a term out: a value at which it does nothing, or next to nothing.
WITHOUT = {
    "quantised_flops": 1.0,
    "grouped_flops": 1.0,
    "expert_correlation": 1.0,
    "moe_floor_us_per_layer": 1e-6,
    "quantised_floor_us_per_layer": 1e-6,
    "draft_floor_us": 1e-6,
    "request_floor_us": 1e-6,
    "scan_ns_per_head": 1e-6,
    "prefill_floor_us_per_layer": 1e-6,
    "activation_passes": 1e-6,
    "request_overhead_ms": 1e-6,
}
SHARED: dict[str, Schedule] = {}
NOTES = """\
Medians / 90th percentiles of |predicted / published - 1|. The constants come from training cells of
at most 1024 requests (benchmarks/fit.py); a hash of GPU, model and precision holds out the others.
The model before (five constants, three runs of February) was 37% / 92% off in TTFT, 80% / 128% in
TPOT, 38% / 50% in tokens/s, on all cells up to 1024 requests.
The held-out cells are no pristine test: the file lists them beside the others, they were compared
with predictions after each fit that was kept (twice), their published TTFT at 16 requests was seen
before the second, and earlier work on these cells had said which terms help. The structure was
chosen on training cells; the floor of a decode step was set by looking at cells of 0.5.15.
Identified by the cells (another value costs): bandwidth and expert correlation; less so FLOP
efficiency and quantised products. Not identified one by one, though all but one cost something when
left out: request overhead, activation passes and the scan, which trade in TTFT; and how a decode
floor is split over layer, experts, quantising, draft and request, so the floor of a layer stays at
45 us. Launches of a prefill could be left out in 0.5.16; they carry the era of 0.5.9.
The goal for TTFT, 15% / 45% on held-out cells, is missed in the 90th percentile, and 16 requests
are why: see the row without them. A median TTFT there counts whole prefills, as many as end in the
same step. For training cells it is 1.0 to 1.5 times the TTFT of one request, or 1.9 to 2.1 times
(27B, 35B, 397B); 3 to 5 times (4B, 9B, 122B); 6 to 8 times (0.8B, 2B). Whether it is one or two
hangs on the texts: B300 and B200, of equal bandwidth, differ by 67% (P90 of ten pairs).
Tried for it on the training cells, and left out since it made nothing better: requests whose accept
lengths differ beside the share that repeats itself, and prompts that are tokenised one after the
other (SGLang's TokenizerManager calls the tokenizer in its event loop).
What stays unexplained:
- TTFT at 16 requests: nearly all texts of the 0.8B and 2B repeat themselves under greedy decoding,
  some three in four of the 4B's, 9B's and 122B's, few of the 27B's and 35B's. One share that falls
  with a model's size is right in the mean, and up to 3 times off for one model.
- TPOT at one request is a median of eight texts: H200 with 27B, 35B and 0.8B lies 20 to 50% above
  the prediction, the same models on other GPUs do not.
- 0.8B and 2B at 1024 requests: the published server ran some 15% more requests at once (B200), or
  fewer (B300), than the memory plan gives.
"""


def now() -> Found:
    return Found(Constants.fitted("0.5.16"), Requests.fitted(), 0.0)


def row(name: str, logs: Sequence[np.ndarray]) -> str:
    """Median and 90th percentile of |predicted / published − 1|, of each quantity."""
    off = np.abs(np.exp(np.array(logs)) - 1)
    middle, far = np.median(off, axis=0), np.percentile(off, 90, axis=0)
    cells = " | ".join(f"{m:.1%} / {p:.0%}" for m, p in zip(middle, far, strict=True))
    return f"| {name} | {len(off)} | {cells} |"


def head(title: str) -> None:
    print(f"\n| {title} | cells | TTFT | TPOT | tokens/s |\n|---|---|---|---|---|")


def logs_of(cells: Sequence[PublishedRun], found: Found) -> list[np.ndarray]:
    return list(residuals(CellFit(cells, shared=SHARED).schedules(found), found.constants))


def errors() -> None:
    cells = published_cells()
    logs = logs_of(cells, now())
    groups: dict[str, Callable[[PublishedRun], bool]] = {
        "all": lambda c: True,
        "all but 16 requests": lambda c: c.workload.max_concurrency != 16,
        "1 request": lambda c: c.workload.max_concurrency == 1,
        "16 requests, MTP": lambda c: c.workload.max_concurrency == 16,
        "1024 requests": lambda c: c.workload.max_concurrency == 1024,
        "4096 requests": lambda c: c.workload.max_concurrency == 4096,
        "BF16": lambda c: c.profile.precision == "bf16",
        "FP8": lambda c: c.profile.precision == "fp8",
        "NVFP4": lambda c: c.profile.precision == "nvfp4",
    }
    for title, held in (("train", False), ("held out", True)):
        head(title)
        for name, belongs in groups.items():
            here = [
                x for c, x in zip(cells, logs, strict=True) if c.held_out == held and belongs(c)
            ]
            if here:
                print(row(name, here))
    held_out = [(c, x) for c, x in zip(cells, logs, strict=True) if c.held_out]
    coverage(held_out)
    worst(held_out)


def coverage(held: Iterable[tuple[PublishedRun, np.ndarray]]) -> None:
    """How many of the held-out cells lie in their band."""
    inside: dict[str, list[bool]] = {}
    for cell, found in held:
        speed = SpeedModel.of(cell.profile, cell.sglang)
        for quantity, log in zip(QUANTITIES, found, strict=True):
            width = band(quantity, speed, cell.workload.max_concurrency or 1)
            lies = width is not None and width.p10 <= np.exp(-log) <= width.p90
            inside.setdefault(quantity, []).append(lies)
    for quantity, hits in inside.items():
        print(f"held-out cells in their band, {quantity}: {np.mean(hits):.0%} of {len(hits)}")
    print(f"all: {np.mean([hit for hits in inside.values() for hit in hits]):.0%}")


def worst(held: Sequence[tuple[PublishedRun, np.ndarray]], count: int = 10) -> None:
    """The held-out figures that lie farthest from their prediction, by name."""
    print("\nheld-out figures farthest off, predicted / published")
    named = [
        (abs(np.expm1(log)), np.exp(log), quantity, cell.name)
        for cell, found in held
        for quantity, log in zip(QUANTITIES, found, strict=True)
    ]
    for _, ratio, quantity, name in sorted(named, reverse=True)[:count]:
        print(f"  {name:<44} {quantity:<10} {ratio:.2f}")


def cross(write: bool) -> None:
    cells = training_cells()
    fitted = logs_of(cells, now())
    unseen: list[tuple[PublishedRun, np.ndarray]] = []
    keys: dict[str, Callable[[PublishedRun], str]] = {
        "GPU": lambda c: c.profile.gpu.name,
        "model": lambda c: c.profile.model.name,
    }
    for kind, key in keys.items():
        head(f"{kind} left out")
        logs: list[np.ndarray] = []
        for left in dict.fromkeys(map(key, cells)):
            others = CellFit([c for c in cells if key(c) != left], shared=SHARED).run(rounds=1)
            mine = [c for c in cells if key(c) == left]
            here = logs_of(mine, others)
            print(row(left, here), flush=True)
            logs += here
            unseen += zip(mine, here, strict=True)
        print(row("all", logs))
    if write:
        write_bands(list(zip(cells, fitted, strict=True)), unseen)


def write_bands(
    fitted: list[tuple[PublishedRun, np.ndarray]], unseen: list[tuple[PublishedRun, np.ndarray]]
) -> None:
    lines = [
        "# How far published cells lay from their prediction: P10 and P90 of published /",
        "# predicted, by requests at once (one; few: up to 64; many). `fitted`: machines of the",
        "# fit, by the fit itself. `known`: cells of which a fit had not seen GPU or model.",
        "# Made by python benchmarks/published_cells.py cross --write, from training cells alone.",
    ]
    for i, quantity in enumerate(QUANTITIES):
        lines.append(f"\n[{quantity}]")
        for group in ("one", "few", "many"):
            found = []
            for name, pairs in (("fitted", fitted), ("known", unseen)):
                logs = [-x[i] for c, x in pairs if load(c.workload.max_concurrency or 1) == group]
                low, high = np.exp(np.percentile(logs, (10, 90)))
                found.append(f"{name} = [{low:.3f}, {high:.3f}]")
            lines.append(f"{group} = {{ {', '.join(found)} }}")
    path = Path(kit.__file__).parent / "data" / "bands.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"written: {path}")


def ablation() -> None:
    cells, best = training_cells(), now()
    whole = CellFit(cells, shared=SHARED).constants(best, best.constants)
    head("left out, others refitted")
    print(row(f"nothing (cost {whole.cost:.2f})", logs_of(cells, whole)))
    for name, value in WITHOUT.items():
        start = best.constants.changed(**{name: value})
        others = [other for other in FITTED if other != name]
        fitting, found = CellFit(cells, others, SHARED), Found(start, best.requests, 0.0)
        for _ in range(2):
            found = fitting.constants(found, start)
        print(row(f"{name} (cost {found.cost:.2f})", logs_of(cells, found)), flush=True)


def moves() -> None:
    cells, best = training_cells(), now()
    whole = CellFit(cells, shared=SHARED).constants(best, best.constants)
    print("\n| moved, others refitted | cost at × 0.8 | × 1.25 | what moves most with it |")
    print("|---|---|---|---|")
    for name in Constants.fitted().values():
        costs, moved = [], ""
        for factor in (0.8, 1.25):
            start = whole.constants.changed(**{name: whole.constants.values()[name] * factor})
            others = [other for other in FITTED if other != name]
            found = CellFit(cells, others, SHARED).constants(
                Found(start, best.requests, 0.0), start
            )
            costs.append(found.cost - whole.cost)
            change = {
                other: found.constants.values()[other] / whole.constants.values()[other]
                for other in others
            }
            most = sorted(change, key=lambda other: -abs(np.log(change[other])))[:2]
            moved = ", ".join(f"{other} × {change[other]:.2f}" for other in most)
        print(f"| {name} | {costs[0]:+.3f} | {costs[1]:+.3f} | {moved} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = {
        "errors": errors,
        "cross": lambda: cross(args.write),
        "ablation": ablation,
        "moves": moves,
    }
    parser.add_argument("part", nargs="?", choices=tuple(parts))
    parser.add_argument("--write", action="store_true", help="with cross: kit/data/bands.toml")
    args = parser.parse_args()
    if args.part is None:
        print(NOTES, end="")
    for name, run in parts.items():
        if args.part in (None, name):
            run()
    print("\nsimulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
