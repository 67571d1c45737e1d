"""What a choice costs, at prices that the reader types: none is built in as fact.

>>> Prices.parse(["h200=3.1", "b200=4.5"]).of("b200")   # per GPU and hour, in any currency
4.5
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kit.capacity.judge import Option
from kit.errors import InvalidValue
from kit.hardware import gpu

HOURS_PER_MONTH = 730
_HINT = "write GPU=PRICE per GPU and hour, like b200=4.5"


@dataclass(frozen=True)
class Prices:
    """Price of a GPU for an hour, by its key."""

    per_hour: tuple[tuple[str, float], ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Prices:
        """Raises UnknownName for a GPU, InvalidValue for what is no price, or two for one GPU."""
        found: dict[str, float] = {}
        for text in texts:
            name, sign, number = text.partition("=")
            try:
                price = float(number)
            except ValueError:
                price = math.nan
            if not sign or math.isnan(price):
                raise InvalidValue(f"{text!r} is no price", _HINT)
            if not (0 < price < math.inf):
                raise InvalidValue(f"a price of {price:g} for {name}", "give one above 0")
            key = gpu(name).key
            if key in found:
                raise InvalidValue(f"two prices for {key}", "give one")
            found[key] = price
        return cls(tuple(found.items()))

    def of(self, key: str) -> float | None:
        return dict(self.per_hour).get(key)

    def cost(self, option: Option) -> Cost | None:
        """None where its GPU has no price."""
        price = self.of(option.profile.gpu.key)
        return None if price is None else Cost.of(option, price)


@dataclass(frozen=True)
class Cost:
    """Of an option, in the currency of its price; per million tokens at the target's full load."""

    per_hour: float
    per_month: float
    per_million_output: float
    per_million_tokens: float

    @classmethod
    def of(cls, option: Option, gpu_hour: float) -> Cost:
        hour = option.gpus * gpu_hour
        return cls(
            hour,
            hour * HOURS_PER_MONTH,
            hour / (option.output_per_s * 3600) * 1e6,
            hour / (option.tokens_per_s * 3600) * 1e6,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "per_hour": round(self.per_hour, 4),
            "per_month": round(self.per_month, 2),
            "per_million_output_tokens": round(self.per_million_output, 4),
            "per_million_tokens": round(self.per_million_tokens, 4),
        }
