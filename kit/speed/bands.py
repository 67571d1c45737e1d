"""How sure a prediction is: the band in which eight of ten published cells of its kind lay.

    >>> band("tpot", SpeedModel.of(profile("h200x8")), requests=1)
    Band(p10=0.92, p90=1.13)

A band is the tenth and ninetieth percentile of published / predicted over cells that the
constants had not seen: each was predicted by a fit that left its GPU out, and by one that left its
model out. For machines that were fitted to it is that of the fit itself. The width depends on the
metric, on how many requests there are at once, and on how far the profile lies from what was
fitted. `data/bands.toml` holds the percentiles: `benchmarks/published_cells.py cross --write`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kit import load_data
from kit.speed.constants import machine
from kit.speed.step_time import SpeedModel

Quantity = Literal["ttft", "tpot", "throughput"]
FEW = 64  # requests at once: above, the server is full and TTFT is the queue
_SEVERAL = 1.5  # mean concurrency from which requests meet
_WIDER = 2.0  # of a logarithm, for a GPU or a model that no fitted cell has


@dataclass(frozen=True)
class Band:
    """What a prediction is multiplied with for its P10 and P90."""

    p10: float
    p90: float


def load(requests: float) -> str:
    """ "one", "few" or "many": the group of a number of requests at once."""
    if requests < _SEVERAL:
        return "one"
    return "few" if requests <= FEW else "many"


def unpublished(speed: SpeedModel) -> str:
    """What of a profile no cell of the fit has: "RTX 4090", "9b and RTX 4090", or the profile's
    title where its GPU and its model are there, apart; "" for a machine of the fit."""
    return "" if distance(speed) == "fitted" else " and ".join(_new(speed)) or speed.profile.title


def distance(speed: SpeedModel) -> str:
    """ "fitted": a machine of the fit; "known": its GPU and its model are in the fit; "new"."""
    if machine(speed.profile) in _fitted(speed):
        return "fitted"
    return "new" if _new(speed) else "known"


def _fitted(speed: SpeedModel) -> Sequence[str]:
    """The machines of the cells that its constants were fitted to."""
    return speed.constants.origin.machines if speed.constants.origin else ()


def _new(speed: SpeedModel) -> list[str]:
    """Its model and its GPU, where no cell of the fit has them."""
    parts, p = [name.split() for name in _fitted(speed)], speed.profile
    models, gpus = {one[0] for one in parts}, {one[2].rsplit("x", 1)[0] for one in parts}
    missing = [p.model.name] if p.model.name not in models else []
    return missing + ([p.gpu.name] if p.gpu.key not in gpus else [])


def band(quantity: Quantity, speed: SpeedModel, requests: float) -> Band | None:
    """The band of a quantity at `requests` at once; None for constants that are not the kit's."""
    if speed.constants != type(speed.constants).fitted(speed.sglang):
        return None
    far = distance(speed)
    low, high = _table()[quantity][load(requests)]["fitted" if far == "fitted" else "known"]
    wider = _WIDER if far == "new" else 1.0
    return Band(low**wider, high**wider)


@functools.cache
def _table() -> dict[str, Any]:
    data = load_data.toml("bands.toml")
    load_data.known_keys("bands.toml", data, ("ttft", "tpot", "throughput"))
    for quantity in data.values():
        load_data.known_keys("bands.toml", quantity, ("one", "few", "many"))
        for group in quantity.values():
            load_data.known_keys("bands.toml", group, ("fitted", "known"))
    return data
