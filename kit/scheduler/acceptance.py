"""How many draft tokens a verify step accepts."""

from __future__ import annotations

import functools
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

from kit import load_data
from kit.errors import InvalidValue


@dataclass(frozen=True)
class Acceptance:
    """How many draft tokens a verify step accepts, drawn position by position.

    `survival[i]` is the chance that draft token i is accepted, and every one before it. The
    published shape is bent (each chance to one power) until the mean accept length is the given.
    """

    survival: tuple[float, ...]

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, accept_length: float, draft_tokens: int, mode: str = "thinking") -> Acceptance:
        """`draft_tokens` are the drafts alone: SGLang's num_draft_tokens − 1, no bonus token.

        Raises InvalidValue when no acceptance has that mean: 1 is none, draft_tokens + 1 is all.
        """
        if not 1 <= accept_length <= draft_tokens + 1:
            raise InvalidValue(
                f"an accept length of {accept_length:g} with {draft_tokens} draft tokens",
                f"give one between 1 (nothing accepted) and {draft_tokens + 1} (everything)",
            )
        curve = _published()[mode][:draft_tokens]
        shape = [length - before for before, length in zip([1.0, *curve], curve, strict=False)]
        if len(shape) < draft_tokens:
            raise InvalidValue(
                f"{draft_tokens} draft tokens", f"published for {len(shape)} at most"
            )
        shape = [min(shape[: i + 1]) for i in range(draft_tokens)]
        low, high = 0.0, 500.0  # the power: 0 accepts all, 500 none
        for _ in range(80):
            power = (low + high) / 2
            if 1 + sum(p**power for p in shape) > accept_length:
                low = power
            else:
                high = power
        return cls(tuple(p**low for p in shape))

    @property
    def accept_length(self) -> float:
        """Mean tokens of a verify step, the bonus token included."""
        return 1 + sum(self.survival)

    @functools.cached_property
    def thresholds(self) -> tuple[float, ...]:
        """A uniform draw accepts as many drafts as there are thresholds not above it."""
        return tuple(1 - p for p in self.survival)

    def tokens(self, draw: float) -> int:
        """Accepted drafts + 1, for a uniform draw in [0, 1)."""
        return 1 + bisect_right(self.thresholds, draw)


def default_accept_length() -> float:
    """The accept length to draw where none is given (`data/acceptance.toml`)."""
    return float(_published()["default_accept_length"])


def _published() -> dict[str, Any]:
    data = load_data.toml("acceptance.toml")
    known = ("source", "thinking", "instruct", "default_accept_length")
    load_data.known_keys("acceptance.toml", data, known)
    return data
