"""How many draft tokens a verify step accepts.

Requests differ. A greedily decoded text that has begun to repeat itself is guessed right to its
end, so of a share of the requests, `repeating`, every draft is accepted; the others follow the
published curve, bent to their mean. Small models repeat themselves more often. A batch waits for
nobody, but requests of one length that all accept everything end in the same step, and then their
successors' prefills queue: TTFT at a few requests hangs on it.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from dataclasses import dataclass, fields
from typing import Any

from kit import load_data
from kit.errors import InvalidValue
from kit.models import ModelSpec


@dataclass(frozen=True)
class Acceptance:
    """How many draft tokens a verify step accepts, drawn position by position.

    `survival[i]` is the chance that draft token i is accepted, and every one before it, in a
    request that does not repeat itself. The published shape is bent (each chance to one power)
    until the mean accept length over all requests is the given.
    """

    survival: tuple[float, ...]
    repeating: float = 0.0

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(
        cls, accept_length: float, draft_tokens: int, mode: str = "thinking", repeating: float = 0.0
    ) -> Acceptance:
        """`draft_tokens` are the drafts alone: SGLang's num_draft_tokens − 1, no bonus token.

        Where so many `repeating` requests leave the others too little for the mean, they are
        fewer. Raises InvalidValue when no acceptance has that mean: 1 is none, draft_tokens + 1
        is all.
        """
        most = draft_tokens + 1
        if not 1 <= accept_length <= most:
            raise InvalidValue(
                f"an accept length of {accept_length:g} with {draft_tokens} draft tokens",
                f"give one between 1 (nothing accepted) and {most} (everything)",
            )
        steps = 1 / accept_length  # a token, over all requests of one length
        repeating = min(repeating, (1 - steps) / (1 - 1 / most) / 2)
        others = (1 - repeating) / (steps - repeating / most)
        return cls(_bent(others, draft_tokens, mode), repeating)

    @property
    def accept_length(self) -> float:
        """Mean tokens of a verify step, the bonus token included: all tokens of requests of one
        length, by all their steps."""
        others = 1 + sum(self.survival)
        most = len(self.survival) + 1
        return 1 / (self.repeating / most + (1 - self.repeating) / others)

    def of_request(self, draw: float) -> tuple[float, ...]:
        """The thresholds of one request, for a uniform draw in [0, 1) that says which it is.

        A second uniform draw accepts as many drafts as there are thresholds not above it.
        """
        if draw < self.repeating:
            return (0.0,) * len(self.survival)
        return tuple(1 - p for p in self.survival)

    def tokens(self, draw: float) -> int:
        """Accepted drafts + 1 in a request that does not repeat itself, for a draw in [0, 1)."""
        return 1 + bisect_right(self.of_request(1.0), draw)


@dataclass(frozen=True)
class Requests:
    """How requests differ where nobody gives an accept length: `data/acceptance.toml`."""

    repeating: float
    repeating_per_log_params: float
    others_accept_length: float

    @classmethod
    @functools.cache
    def fitted(cls) -> Requests:
        """Those of the kit, fitted to published cells."""
        return cls(**{f.name: float(_table()[f.name]) for f in fields(cls)})

    def share(self, model: ModelSpec) -> float:
        """Of a model's greedily decoded requests, those in which every draft is accepted."""
        size = math.log(model.total_params / _table()["repeating_params"])
        return min(max(self.repeating - self.repeating_per_log_params * size, 0.0), 1.0)

    def acceptance(self, model: ModelSpec, draft_tokens: int) -> Acceptance:
        power = _power(self.others_accept_length, 3, "thinking")
        survival = tuple(p**power for p in _shape(draft_tokens, "thinking"))
        return Acceptance(survival, self.share(model))


def default_accept_length(model: ModelSpec) -> float:
    """The mean accept length of `model` with three drafts, where nobody gives one."""
    return Requests.fitted().acceptance(model, 3).accept_length


def _bent(accept_length: float, draft_tokens: int, mode: str) -> tuple[float, ...]:
    """The published shape, bent to a mean accept length."""
    power = _power(accept_length, draft_tokens, mode)
    return tuple(p**power for p in _shape(draft_tokens, mode))


def _power(accept_length: float, draft_tokens: int, mode: str) -> float:
    """What bends the published shape to a mean: 0 accepts all, 500 none."""
    shape, low, high = _shape(draft_tokens, mode), 0.0, 500.0
    for _ in range(80):
        power = (low + high) / 2
        if 1 + sum(p**power for p in shape) > accept_length:
            low = power
        else:
            high = power
    return low


def _shape(draft_tokens: int, mode: str) -> list[float]:
    """The published chances that draft 1, 2, 3, … is accepted, and every one before it."""
    curve = _table()[mode][:draft_tokens]
    shape = [length - before for before, length in zip([1.0, *curve], curve, strict=False)]
    if len(shape) < draft_tokens:
        raise InvalidValue(f"{draft_tokens} draft tokens", f"published for {len(shape)} at most")
    return [min(shape[: i + 1]) for i in range(draft_tokens)]


def _table() -> dict[str, Any]:
    data = load_data.toml("acceptance.toml")
    known = ("source", "thinking", "instruct", "others_accept_length")
    shares = ("repeating", "repeating_params", "repeating_per_log_params")
    load_data.known_keys("acceptance.toml", data, (*known, *shares))
    return data
