"""Fit the speed constants to the published runs.

python benchmarks/fit.py            prints the constants to put into kit/data/speed.toml
"""

from kit.bench import fit, published_runs
from kit.bench.fit import FittedRow


def errors(rows: tuple[FittedRow, ...]) -> str:
    off = [abs(row.ratio - 1) for row in rows if row.headline]
    return f"mean {sum(off) / len(off):.1%}, worst {max(off):.1%}"


def main() -> None:
    done = 0

    def count(simulations: int, _: float) -> None:
        nonlocal done
        done = simulations

    found = fit.fit(published_runs(), on_progress=count)
    start = found.start.values()
    print(f"constants, fitted to all published runs in {done} simulations of each")
    for name, value in found.constants.values().items():
        share = found.known[name]
        print(f"  {name:<28} {value:>7g}   start {start[name]:g}, {share:.0%} from the runs")
    print(f"  headline rows, in sample: {errors(found.rows)}")
    print("  one run left out, ± 20 %: python benchmarks/predict.py")
    print("simulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
