"""How sure a share is: Wilson's interval, the paired test of two runs, and the n that it takes.

    wilson(195, 200)                       the interval of 97.5 % of 200
    paired_p(3, 9)                         two runs over the same problems: 3 only A, 9 only B right
    needed(0.975, 0.97)                    problems each, to see such a difference

Pure arithmetic: no numpy, no scipy (the tests compare with both).
"""

from __future__ import annotations

from math import ceil, comb, sqrt
from statistics import NormalDist

from kit.errors import InvalidValue

Z_95 = NormalDist().inv_cdf(0.975)


def wilson(right: int, asked: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval; with `z` 1.96 it holds the true share in 95 of 100 evaluations."""
    share, square = right / asked, z * z / asked
    middle = (share + square / 2) / (1 + square)
    half = z * sqrt(share * (1 - share) / asked + square / asked / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def paired_p(only_a: int, only_b: int) -> float:
    """McNemar's exact test, two-sided: how often chance alone splits at least so unevenly.

    `only_a` problems only the first run got right, `only_b` only the second. Problems that both
    got right, or both wrong, say nothing about the difference.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    return min(1.0, 2.0 * sum(comb(n, k) for k in range(fewer + 1)) / 2.0**n)


def needed(share_a: float, share_b: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Problems for each of two unpaired runs, so that a true difference of `share_a` and
    `share_b` is found with probability `power` at level `alpha`, two-sided (normal
    approximation, variance pooled under no difference).

    Raises InvalidValue where they are equal or no shares.
    """
    if not (0 <= share_a <= 1 and 0 <= share_b <= 1) or share_a == share_b:
        raise InvalidValue(
            f"{share_a:g} and {share_b:g}: two different shares are needed",
            "give shares from 0 to 1: needed(0.975, 0.97)",
        )
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)
    both = (share_a + share_b) / 2
    variance = share_a * (1 - share_a) + share_b * (1 - share_b)
    spread = z_alpha * sqrt(2 * both * (1 - both)) + z_power * sqrt(variance)
    return ceil(spread**2 / (share_a - share_b) ** 2)


def needed_paired(
    difference: float, changed: float, power: float = 0.8, alpha: float = 0.05
) -> int:
    """Problems for two runs over the same problems, where a share `changed` of them flips between
    right and wrong, `difference` more in one direction than in the other (Connor's formula for
    McNemar's test). Raises InvalidValue where more is lost than flips."""
    if not 0 < abs(difference) <= changed <= 1:
        raise InvalidValue(
            f"a difference of {difference:g} with {changed:g} changed cannot be",
            "0 < difference ≤ changed ≤ 1: needed_paired(0.005, 0.03)",
        )
    normal = NormalDist()
    z_alpha, z_power = normal.inv_cdf(1 - alpha / 2), normal.inv_cdf(power)
    spread = z_alpha * sqrt(changed) + z_power * sqrt(changed - difference**2)
    return ceil(spread**2 / difference**2)
