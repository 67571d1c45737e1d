"""Prediction: every published row, leaving one run out, how figures depend on the constants.

python benchmarks/predict.py            a minute or two; --quick leaves the fits out
"""

import argparse
import time

from kit.bench import fit, predict, published_runs
from kit.bench.compare import Ratio, mean_and_worst_error, other_predictors, prediction_ratios
from kit.bench.fit_published import Found, fit_era
from kit.bench.published import PublishedRun
from kit.scheduler.acceptance import Requests
from kit.speed import Constants, SpeedModel

SHORT = {"mean_ttft_ms": "TTFT", "mean_tpot_ms": "TPOT", "output_throughput": "tok/s"}


def predicted(run: PublishedRun, constants: Constants) -> list[Ratio]:
    speed = SpeedModel.of(run.profile, run.sglang, constants)
    return prediction_ratios(predict(run.profile, like=run.name, speed=speed), run.report)


def headline(run: PublishedRun, constants: Constants) -> list[Ratio]:
    return [ratio for ratio in predicted(run, constants) if ratio.metric.headline]


def shown(found: list[Ratio]) -> str:
    by_key = {r.metric.key: r for r in found}
    return "".join(f"  {SHORT[key]} {by_key[key].ratio:.3f}" for key in SHORT)


def all_rows() -> None:
    print("predicted beside published, every row that is no input")
    fitted, other = [], []
    for run in published_runs():
        began = time.perf_counter()
        predict(run.profile, like=run.name)
        took_s = time.perf_counter() - began
        print(f"\n{run.name}: {run.profile.name}, SGLang {run.sglang}; {took_s:.2f} s to simulate")
        print(f"  {'':<38} {'predicted':>10} {'published':>10}  ratio")
        for r in predicted(run, Constants.fitted(run.sglang)):
            (fitted if r.metric.headline else other).append(r)
            print(f"  {r.metric.label:<38} {r.predicted:>10,.2f} {r.given:>10,.2f}  {r.ratio:.3f}")
        print(f"  predicted: {SpeedModel.of(run.profile, run.sglang).provenance}")
        print(f"  published: {run.report.provenance}")
    mean, worst = mean_and_worst_error(fitted)
    near = sum(abs(r.ratio - 1) <= 0.15 for r in other)
    print(f"\nnine headline rows, in sample: mean {mean:.1%} off, worst {worst:.1%}")
    print(f"all other rows: {near} of {len(other)} within 15 %")


def leave_one_out() -> None:
    print("\nleave one run out: the era's constants fitted to the other two, predicted / published")
    newest = Found(Constants.fitted("0.5.16"), Requests.fitted(), 0.0)
    found = []
    for left in published_runs():
        _, others = fit_era([run for run in published_runs() if run is not left], newest)
        rows = headline(left, others.constants)
        found += rows
        print(f"  {left.name:<22}{shown(rows)}")
    mean, worst = mean_and_worst_error(found)
    print(f"  mean {mean:.1%} off, worst {worst:.1%}")


def sensitivity() -> None:
    print("\neach constant ± 20 %: how the headline figures move (predicted, times what it was)")
    best = Constants.fitted("0.5.9")
    before = {run.name: headline(run, best) for run in published_runs()}
    print(f"  {'':<34}" + "".join(f"{name:^27}" for name in before))
    print(f"  {'':<34}" + f"{'TTFT':>8}{'TPOT':>8}{'tok/s':>8}   " * len(before))
    for name in best.values():
        for factor in (0.8, 1.2):
            cells = ""
            for run in published_runs():
                after = headline(run, fit.changed(best, name, factor))
                moved = {
                    now.metric.key: now.predicted / was.predicted
                    for now, was in zip(after, before[run.name], strict=True)
                }
                cells += "".join(f"{moved[key]:>8.3f}" for key in SHORT) + "   "
            print(f"  {name:<26} × {factor:<5} {cells}")


def other_tools() -> None:
    print("\npredicted / published next to other tools, which were not fitted to these runs")
    for run in published_runs():
        ours = headline(run, Constants.fitted(run.sglang))
        print(f"  {run.name}")
        print(f"    {'kit (in sample)':<24}{shown(ours)}")
        for tool in other_predictors():
            ttft, tpot, rate = tool[run.name]
            print(f"    {tool['name']:<24}  TTFT {ttft:.3f}  TPOT {tpot:.3f}  tok/s {rate:.3f}")
    for tool in other_predictors():
        print(f"  {tool['name']}: {tool['source']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="rows only, no fits")
    quick = parser.parse_args().quick
    all_rows()
    if not quick:
        leave_one_out()
        sensitivity()
    other_tools()
    print("\nsimulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
