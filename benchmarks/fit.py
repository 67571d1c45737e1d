"""Fit the speed constants to the training cells of 0.5.16, and the era of 0.5.9 to its three runs.

python benchmarks/fit.py            three minutes; prints what to put into kit/data/speed.toml and
                                    kit/data/acceptance.toml
"""

from dataclasses import asdict

import numpy as np

from kit.bench.fit import residuals
from kit.bench.fit_published import CellFit, Found, fit_cells, fit_era, training_cells
from kit.bench.published import published_runs
from kit.speed.constants import machine


def errors(fitting: CellFit, found: Found) -> str:
    """Medians and 90th percentiles of |ratio − 1|."""
    off = np.abs(np.exp(residuals(fitting.schedules(found), found.constants)) - 1)
    middle, far = np.median(off, axis=0), np.percentile(off, 90, axis=0)
    return ", ".join(
        f"{name} {m:.1%} / {p:.0%}"
        for name, m, p in zip(("TTFT", "TPOT", "tok/s"), middle, far, strict=True)
    )


def main() -> None:
    cells = training_cells()
    fitting, found = fit_cells(cells)
    print(f"{len(cells)} training cells; median / P90 off: {errors(fitting, found)}")
    for name, value in {**found.constants.values(), **asdict(found.requests)}.items():
        print(f"  {name:<28} {value:.3g}")
    print(f"fitted_machines = {sorted({machine(c.profile) for c in cells})}")
    fitting, old = fit_era(published_runs(), found)
    off = np.abs(np.exp(residuals(fitting.schedules(old), old.constants)) - 1)
    print(f"three runs of February: mean {off.mean():.1%} off, worst {off.max():.1%}")
    for name in fitting.names:
        print(f"  {name:<28} {old.constants.values()[name]:.3g}")
    print("simulated against published (sources in kit/data/published)")


if __name__ == "__main__":
    main()
