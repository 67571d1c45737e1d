"""Every published row: predicted, published, and their ratio.

python benchmarks/predict.py
"""

import time

from kit.bench import predict, runs
from kit.bench.fit import HEADLINE
from kit.bench.table import rows

GIVEN = (  # what the workload fixes: no prediction
    "Backend:",
    "Traffic request rate:",
    "Max request concurrency:",
    "Successful requests:",
    "Total input tokens:",
    "Total input text tokens:",
    "Total generated tokens:",
    "Accept length:",
)
PER_CHUNK = "Inter-Chunk Latency (as chunks arrive)"


def main() -> None:
    headline: list[float] = []
    other: list[float] = []
    for run in runs():
        began = time.perf_counter()
        ours = predict(run.profile, like=run.name)
        took_s = time.perf_counter() - began
        line, given = ours.to_json(), run.report.to_json()
        headline += [line[key] / given[key] for key in HEADLINE]
        print(f"{run.name}: {run.profile.name}, SGLang {run.sglang}; {took_s:.2f} s to simulate")
        print(f"  {'':<38} {'predicted':>10} {'published':>10}  ratio")
        theirs = {(section, label): value for section, label, value in rows(run.report)}
        for section, label, value in rows(ours):
            if run.report.itl_basis == "chunk":  # then the published ITL is the gap of chunks
                if section == "Inter-Token Latency":
                    continue
                if section == PER_CHUNK:
                    section, label = "Inter-Token Latency", label.replace("chunk gap", "ITL")
            known = theirs.get((section, label))
            if label in GIVEN or not isinstance(known, int | float) or not value:
                continue
            ratio = float(value) / known
            if label not in (
                "Mean TTFT (ms):",
                "Mean TPOT (ms):",
                "Output token throughput (tok/s):",
            ):
                other.append(ratio)
            print(f"  {label:<38} {float(value):>10,.2f} {known:>10,.2f}  {ratio:.3f}")
        print(f"  predicted: {ours.provenance}")
        print(f"  published: {run.report.provenance}\n")
    off = [abs(ratio - 1) for ratio in headline]
    near = sum(abs(ratio - 1) <= 0.15 for ratio in other)
    print(f"headline rows, in sample: mean {sum(off) / len(off):.1%} off, worst {max(off):.1%}")
    print(f"all other rows: {near} of {len(other)} within 15 %")


if __name__ == "__main__":
    main()
