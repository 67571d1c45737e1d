"""What a benchmark takes from numpy, without numpy: its legacy random numbers and its percentiles.

    rng = LegacyRandom(1)        # np.random.RandomState(1)
    rng.integers(1, 1001, 10)    # .randint(1, 1001, 10), bit for bit
    rng.exponential(0.5, 10)     # .exponential(0.5, 10), bit for bit

Where there is no numpy (a browser's page), the same options and seed still give the same requests.
Both generators are the Mersenne Twister: Python's own `random` makes the numbers, and what numpy
does before and after is written out here. Source: numpy 2.4, `_mt19937.pyx` (seeding) and
`distributions.c`, `legacy-distributions.c` (bounded integers by masks, exponentials by logarithm).
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

_WORDS = 624  # of the generator's state
_WORD = 0xFFFFFFFF


class LegacyRandom:
    """numpy's `RandomState(seed)`, for a seed of 32 bits."""

    def __init__(self, seed: int) -> None:
        words = [seed]
        for index in range(1, _WORDS):
            last = words[-1]
            words.append((1812433253 * (last ^ (last >> 30)) + index) & _WORD)
        self._random = random.Random()
        self._random.setstate((3, (*words, _WORDS), None))

    def integers(self, low: int, high: int, size: int) -> list[int]:
        """`randint(low, high, size)`: whole numbers from `low` up, below `high`."""
        most = high - 1 - low
        if most == 0:
            return [low] * size  # without a draw, as there
        mask = (1 << most.bit_length()) - 1
        draw = self._random.getrandbits
        found: list[int] = []
        while len(found) < size:
            number = draw(32) if most <= _WORD else draw(32) << 32 | draw(32)
            if number & mask <= most:
                found.append(low + (number & mask))
        return found

    def exponential(self, scale: float, size: int) -> list[float]:
        """Gaps of a Poisson process, `scale` on average."""
        return [scale * -math.log(1.0 - self._random.random()) for _ in range(size)]


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Of sorted values, interpolated between the two nearest: `np.percentile`."""
    place = percent / 100 * (len(ordered) - 1)
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    share = place - below
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share


def gaps(values: Sequence[float]) -> list[float]:
    """Each value's distance from the one before: `np.diff`."""
    return [later - value for value, later in pairwise(values)]


def weighted_histogram(
    values: Sequence[float], weights: Sequence[float], edges: Sequence[float]
) -> list[float]:
    """The sum of the weights between each two edges: `np.histogram`. The last edge belongs in."""
    sums = [0.0] * (len(edges) - 1)
    for value, weight in zip(values, weights, strict=True):
        if edges[0] <= value <= edges[-1]:
            sums[min(bisect_right(edges, value), len(sums)) - 1] += weight
    return sums


def evenly(count: int, points: int) -> list[int]:
    """At most `points` places out of `count`, the first and the last among them."""
    if count <= points:
        return list(range(count))
    step = (count - 1) / (points - 1)
    return sorted({int(number * step) for number in range(points - 1)} | {count - 1})
