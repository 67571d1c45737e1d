"""Speculative decoding in numbers: what a draft is worth, what it costs, and when it pays.

A verify step takes a draft of k tokens and the model's own next one. Draft token i counts if it
is right *and* all before it are, so a request gains on average

    accept length = 1 + p₁ + p₁·p₂ + … + p₁·…·p_k        (the 1 is the model's own token)

and the step costs more than a plain one: the MTP layer runs k times, and k + 1 tokens per request
choose more experts than one. Speculating pays where the accept length is above that ratio.

    >>> accept_length([0.8, 0.8, 0.8])
    2.952
    >>> cost = step_cost(profile("h200x8"), requests=1)
    >>> cost.speedup(3.12) == 3.12 / cost.ratio
    True

Source of the first formula: Leviathan, Kalman, Matias, "Fast Inference from Transformers via
Speculative Decoding" (2023), there for one p at every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from kit import load_data
from kit.errors import InvalidValue, UnknownName
from kit.hardware import SGLANG, Mtp, Profile
from kit.models import ModelSpec
from kit.provenance import Provenance, published
from kit.speed.step_time import SpeedModel

CONTEXT_TOKENS = 1000  # that a request holds, where nobody says: the cookbook's benchmark
MOST_REQUESTS = 1024  # as far as crossings are looked for


def accept_length(acceptance: Sequence[float]) -> float:
    """Mean tokens of a verify step, from the chance of each draft token given those before it.

    Raises InvalidValue for a chance outside [0, 1].
    """
    total = survives = 1.0
    for chance in acceptance:
        if not 0 <= chance <= 1:
            raise InvalidValue(f"a chance of {chance:g}", "give each between 0 and 1")
        survives *= chance
        total += survives
    return total


def acceptance(accept_lengths: Sequence[float]) -> tuple[float, ...]:
    """The inverse: accept lengths with 1, 2, 3, … draft tokens → the chance of each position.

    Raises InvalidValue for lengths that no chances have: each draft adds something, and never
    more than the one before it.
    """
    gains = [after - before for before, after in pairwise((0.0, 1.0, *accept_lengths))]
    chances = tuple(gain / before if before else 0.0 for before, gain in pairwise(gains))
    if not all(0 < chance <= 1 for chance in chances):
        shown = ", ".join(f"{length:g}" for length in accept_lengths)
        raise InvalidValue(
            f"no acceptance gives the accept lengths {shown}",
            "with 1, 2, 3, … drafts they grow from at most 2 by less each time",
        )
    return chances


@dataclass(frozen=True)
class Lengths:
    """Published accept lengths: the first with one draft token, the next with two, and so on."""

    mode: str
    values: tuple[float, ...]
    provenance: Provenance

    def acceptance(self, drafts: int) -> tuple[float, ...]:
        """The chance of each of the first `drafts` positions, given those before it."""
        return acceptance(self.values[:drafts])


def published_lengths(mode: str = "thinking") -> Lengths:
    """What InferenceX published for Qwen3.5-397B, "thinking" or "instruct". Raises UnknownName."""
    data = load_data.toml("acceptance.toml")
    modes = {name: values for name, values in data.items() if isinstance(values, list)}
    if mode not in modes:
        raise UnknownName("mode with published accept lengths", mode, modes)
    return Lengths(mode, tuple(modes[mode]), published(data["source"]))


def experts_touched(spec: ModelSpec, tokens: int) -> float:
    """Mean number of a layer's experts that `tokens` choose together, each its k of E.

    Taken as chosen independently; real routers favour some. Raises InvalidValue for a model
    without experts.
    """
    if not spec.num_experts:
        raise InvalidValue(f"{spec.name} has no experts", "ask for 397b, 122b or 35b")
    left_alone = (1 - spec.num_experts_per_tok / spec.num_experts) ** tokens
    return spec.num_experts * (1 - left_alone)


@dataclass(frozen=True)
class StepCost:
    """One step for the same `requests` of `context_tokens` each: plain, and speculating."""

    profile: Profile
    requests: int
    context_tokens: int
    decode_s: float
    verify_s: float
    provenance: Provenance

    @property
    def ratio(self) -> float:
        """How many plain steps a verify step costs: the accept length at which it breaks even."""
        return self.verify_s / self.decode_s

    def speedup(self, accept_length: float) -> float:
        """Tokens a second with speculation over without, between prefills.

        Raises InvalidValue for an accept length that the profile's drafts cannot have.
        """
        most = _mtp(self.profile).num_draft_tokens
        if not 1 <= accept_length <= most:
            raise InvalidValue(
                f"an accept length of {accept_length:g} with {most - 1} draft tokens",
                f"give one from 1 (none accepted) to {most} (all of them, and the model's own)",
            )
        return accept_length / self.ratio

    def tokens_per_s(self, accept_length: float | None = None) -> float:
        """Output tokens a second of all requests together; without an accept length, plain."""
        if accept_length is None:
            return self.requests / self.decode_s
        return self.requests / self.decode_s * self.speedup(accept_length)


def step_cost(
    profile: Profile, requests: int, context_tokens: int = CONTEXT_TOKENS, sglang: str = SGLANG
) -> StepCost:
    """What a step costs on `profile` with its MTP (SGLang's usual three drafts where it has none)
    and without. Raises InvalidValue for no request, or a negative context."""
    if requests < 1 or context_tokens < 0:
        raise InvalidValue(
            f"{requests} requests of {context_tokens} tokens", "give at least one request"
        )
    on = SpeedModel.of(replace(profile, mtp=_mtp(profile)), sglang)
    off = SpeedModel.of(replace(profile, mtp=None), sglang)
    held = requests * context_tokens
    return StepCost(
        profile,
        requests,
        context_tokens,
        off.decode_s(requests, held),
        on.verify_s(requests, held),
        on.provenance,
    )


def speedup(
    profile: Profile, requests: int, context_tokens: int, accept_length: float, sglang: str = SGLANG
) -> float:
    """How many times faster `profile` decodes with MTP. Raises InvalidValue as `step_cost`."""
    return step_cost(profile, requests, context_tokens, sglang).speedup(accept_length)


def crossings(
    profile: Profile,
    context_tokens: int,
    accept_length: float,
    most_requests: int = MOST_REQUESTS,
    sglang: str = SGLANG,
) -> tuple[int, ...]:
    """The numbers of requests at which MTP begins to cost, or to gain: where the speed-up has
    come to the other side of 1. Empty where it never does, up to `most_requests`.

    A mixture of experts can cross twice: few requests touch few experts, so drafts bring in new
    ones; many touch all of them anyway.
    """
    gains = [
        speedup(profile, n, context_tokens, accept_length, sglang) >= 1
        for n in range(1, most_requests + 1)
    ]
    return tuple(n + 1 for n in range(1, most_requests) if gains[n] != gains[n - 1])


def _mtp(profile: Profile) -> Mtp:
    return profile.mtp or Mtp()
