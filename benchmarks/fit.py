"""Fit the speed constants to the published runs; leave one run out; move each constant by a fifth.

python benchmarks/fit.py            prints the constants to put into kit/data/speed.toml
"""

from dataclasses import asdict

from kit.bench import fit, runs


def errors(rows: list[fit.Row]) -> str:
    off = [abs(row.ratio - 1) for row in rows if row.headline]
    return f"mean {sum(off) / len(off):.1%}, worst {max(off):.1%}"


def main() -> None:
    everything = runs()
    best = fit.fit(everything)
    print("constants, fitted to all runs")
    for name, value in asdict(best).items():
        print(f"  {name:<28} {value:g}")
    print(f"  headline rows, in sample: {errors(fit.rows(best, everything))}")

    print("\nleave one run out: fitted to the others, predicted / published")
    for left in everything:
        others = fit.fit([run for run in everything if run is not left], rounds=6)
        found = [row for row in fit.rows(others, [left]) if row.headline]
        print(f"  {left.name:<22}" + "".join(f" {r.key} {r.ratio:.2f} " for r in found))

    print("\neach constant ± 20 %: headline rows")
    for name in fit.NAMES:
        for factor in (0.8, 1.2):
            moved = fit.rows(fit.changed(best, name, factor), everything)
            print(f"  {name:<28} × {factor}  {errors(moved)}")
    print("\nsimulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
