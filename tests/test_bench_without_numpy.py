"""Random numbers and percentiles without numpy are numpy's."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from kit.bench.report import Stats
from kit.bench.without_numpy import LegacyRandom, evenly, percentile, weighted_histogram


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 - 1])
def test_the_random_numbers_are_numpys_bit_for_bit_in_any_order(seed):
    ours, theirs = LegacyRandom(seed), np.random.RandomState(seed)
    for low, high in [(1, 1001), (0, 248_044), (7, 8), (1, 2), (0, 2**32), (5, 2**40), (1, 3)]:
        assert ours.integers(low, high, 999) == theirs.randint(low, high, 999).tolist()
        assert ours.exponential(1 / 3, 99) == theirs.exponential(1 / 3, 99).tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 10, 101, 5000])
def test_the_percentiles_are_numpys(count):
    values = np.random.default_rng(count).lognormal(0, 2, count)
    ordered = sorted(values.tolist())
    for percent in (0, 1, 50, 90, 95, 99, 99.9, 100):
        assert percentile(ordered, percent) == np.percentile(values, percent)
    stats = Stats.of(values.tolist())
    assert stats.mean == pytest.approx(values.mean() * 1e3, rel=1e-12)
    assert stats.median == pytest.approx(np.median(values) * 1e3, rel=1e-12)
    assert stats.std == pytest.approx(values.std() * 1e3, rel=1e-9, abs=1e-12)
    assert stats.max == pytest.approx(values.max() * 1e3)


def test_the_histogram_is_numpys_edges_and_what_lies_beyond_them_too():
    rng = np.random.default_rng(3)
    edges = [0.0, 0.5, 2.0, 2.5, 4.0]
    values = [*edges, -1.0, 5.0, *rng.uniform(-1, 5, 500).tolist()]
    weights = rng.uniform(0, 9, len(values)).tolist()
    theirs, _ = np.histogram(values, edges, weights=weights)
    assert weighted_histogram(values, weights, edges) == pytest.approx(theirs.tolist())


def test_thinning_keeps_both_ends():
    for count, points in [(0, 5), (1, 5), (5, 5), (6, 5), (1000, 7)]:
        kept = evenly(count, points)
        assert len(kept) == min(count, points)
        assert kept[:1] + kept[-1:] == ([0, count - 1] if count else [])
        spans = {b - a for a, b in pairwise(kept)}
        assert max(spans, default=1) - min(spans, default=1) <= 1


_WITHOUT = """
import sys
for name in ("numpy", "PIL", "tiktoken"):
    sys.modules[name] = None
import math, kit, kit.views
from kit import bench
from kit.course.check import check
report = bench.predict("h200x8", bench.Workload(300, 100, 20, max_concurrency=4))
kit.views.run_figure(report).to_json()
kit.views.little(report).to_json()
for name in ("00-1", "02-1", "07-1"):
    check(name, ...)
print(report.ttft.p99)
"""


def test_a_prediction_its_figures_and_exercises_need_neither_numpy_nor_pillow():
    said = subprocess.run(
        [sys.executable, "-c", _WITHOUT], capture_output=True, text=True, check=False, timeout=60
    )
    assert said.returncode == 0, said.stderr
    assert math.isfinite(float(said.stdout))
