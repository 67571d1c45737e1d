"""How sure a score is, beside scipy's and statsmodels' figures."""

import pytest

from kit.errors import InvalidValue
from kit.intervals import Z_95, needed, needed_paired, paired_p, wilson

# scipy 1.17: scipy.stats.binomtest(k, n).proportion_ci(method="wilson")
WILSON = {
    (195, 200): (0.9428216596, 0.9892752803),
    (89, 91): (0.923368354, 0.9939519939),
    (0, 20): (0.0, 0.1611251581),
    (20, 20): (0.8388748419, 1.0),
    (1, 1): (0.2065493144, 1.0),
    (500, 1000): (0.4690696004, 0.5309303996),
}
# scipy 1.17: scipy.stats.binomtest(min(b, c), b + c).pvalue, McNemar's exact test
PAIRED = {
    (3, 9): 0.14599609375,
    (0, 5): 0.0625,
    (10, 10): 1.0,
    (2, 14): 0.004180908203,
    (40, 61): 0.046044066929,
}
# statsmodels 0.15: samplesize_proportions_2indep_onetail(a - b, b, 0.8, alpha=0.025), rounded up
NEEDED = {(0.975, 0.97): 16_792, (0.9, 0.8): 199, (0.5, 0.6): 388}


@pytest.mark.parametrize(("counts", "interval"), WILSON.items())
def test_wilsons_interval_is_scipys(counts: tuple[int, int], interval: tuple[float, float]) -> None:
    assert wilson(*counts, z=Z_95) == pytest.approx(interval, abs=1e-9)


@pytest.mark.parametrize(("counts", "p"), PAIRED.items())
def test_the_paired_test_is_scipys(counts: tuple[int, int], p: float) -> None:
    assert paired_p(*counts) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize(("shares", "n"), NEEDED.items())
def test_the_problems_it_takes_are_statsmodels(shares: tuple[float, float], n: int) -> None:
    assert needed(*shares) == n


def test_pairing_takes_fewer_problems_where_few_answers_change() -> None:
    assert needed_paired(0.005, 0.01) < needed(0.975, 0.97) / 4


@pytest.mark.parametrize("call", [lambda: needed(0.5, 0.5), lambda: needed_paired(0.1, 0.05)])
def test_what_cannot_be_is_refused(call) -> None:
    with pytest.raises(InvalidValue):
        call()
