"""The profiles that are worth a simulation: of each GPU and precision the fewest ranks that fit,
and twice as many where one node has them; with MTP and without.

Before anything is simulated, arithmetic says how many users a replica could hold at best: a step
is never faster than the roofline, and each request's prefill stops all others once. What needs far
more GPUs even so is left out, with that figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from kit import load_data
from kit.capacity.target import Target
from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile, gpu
from kit.hardware.validate import obstacle
from kit.models import model
from kit.models.precision import precision, precisions
from kit.scheduler import default_accept_length
from kit.sizing import MemoryPlan, plan
from kit.speed import SpeedModel
from kit.speed.bands import FEW, Band, Quantity, band

FILE = "capacity.toml"
MOST_USERS = 4096  # of one replica, that arithmetic looks for
_MOST_SLOTS = 512
_TOGETHER = 4  # prompts in a prefill of a busy server
_BUNCHED = 1.3  # requests that end together come together
_MARGIN = 64  # tokens beside a request that the scheduler keeps free


@dataclass(frozen=True)
class Candidate:
    """A profile that fits, and what arithmetic says of it.

    `users` is about how many requests at once keep the bounds at their pessimistic end, and
    `replicas` how many that takes; fewer than `least_replicas` can not do. `alone_s` is what one
    request takes, `wider` the same profile with more slots.
    """

    profile: Profile
    memory: MemoryPlan
    speed: SpeedModel
    users: int
    alone_s: float
    replicas: int
    least_replicas: int
    wider: Profile | None = None
    widened: bool = False  # its slots were chosen here

    @property
    def gpus(self) -> int:
        return self.profile.tp_size

    @property
    def about_gpus(self) -> int:
        """GPUs in all, by arithmetic."""
        return self.replicas * self.gpus

    @property
    def least_gpus(self) -> int:
        """GPUs in all that cannot be undercut."""
        return self.least_replicas * self.gpus

    @property
    def title(self) -> str:
        """ "397b-fp8-h200x8, MTP, radix off, 104 slots"."""
        return f"{self.profile.title}, {options(self.profile)}"


def options(p: Profile) -> str:
    """What of a profile the search has chosen: "MTP, radix off, 104 slots"."""
    parts = ["MTP" if p.mtp else "no MTP"]
    parts += [] if p.radix_cache else ["radix off"]
    parts += [f"{p.max_running_requests} slots"] if p.max_running_requests else []
    return ", ".join(parts)


def default_gpus(model_name: str) -> tuple[str, ...]:
    """The GPUs that are tried where none is named: those of the cookbook's matrix, and for models
    that fit on one, some that stand in offices and clouds."""
    data = load_data.toml(FILE)
    load_data.known_keys(FILE, data, ("gpus", "small_gpus", "small_params"))
    names = list(data["gpus"])
    if model(model_name).total_params <= data["small_params"]:
        names += data["small_gpus"]
    return tuple(names)


def candidates(
    target: Target,
    models: Sequence[str] = ("397b",),
    gpus: Sequence[str] | None = None,
    precisions_: Sequence[str] | None = None,
    sglang: str = SGLANG,
    most_gpus: int | None = None,
) -> tuple[Candidate, ...]:
    """What fits, the fewest GPUs by arithmetic first. Raises UnknownName, InvalidValue."""
    for name in precisions_ or ():
        precision(name)
    first = [
        candidate_of(target, profile, sglang)
        for name in models
        for gpu_name in gpus or default_gpus(name)
        for recipe in precisions().values()
        if model(name).name in recipe.sizes and (not precisions_ or recipe.key in precisions_)
        for profile in _profiles(target, name, recipe.key, gpu_name, sglang)
        if most_gpus is None or profile.tp_size <= most_gpus
    ]
    more = (candidate_of(target, c.wider, sglang) for c in first if c.wider)
    found = [*first, *(replace(candidate, widened=True) for candidate in more)]
    return tuple(sorted(found, key=lambda c: (c.about_gpus, -c.users / c.gpus, c.title)))


def _profiles(
    target: Target, model_name: str, precision_key: str, gpu_name: str, sglang: str
) -> Iterator[Profile]:
    kind = gpu(gpu_name)
    chosen: list[int] = []
    for ranks in model(model_name).tp_sizes:
        more = chosen and ranks == 2 * chosen[0] <= kind.gpus_per_node
        if chosen and not more:
            continue
        made = tuple(_variants(target, model_name, precision_key, gpu_name, ranks, sglang))
        if made:
            chosen.append(ranks)
            yield from made


def _variants(
    target: Target, model_name: str, precision_key: str, gpu_name: str, ranks: int, sglang: str
) -> Iterator[Profile]:
    """With MTP and without, where they hold the longest request."""
    options = {"context_length": target.context} if target.context else {}
    try:
        base = Profile.of(model_name, precision_key, gpu_name, ranks, **options)
        variants = [base] if base.mtp is None else [base, replace(base, mtp=None)]
    except InvalidValue:
        return
    for p in variants:
        if _runs(target, p, sglang) and not obstacle(p):
            yield p


def _runs(target: Target, p: Profile, sglang: str) -> bool:
    memory = plan(p, sglang)
    enough = memory.kv_tokens >= max(target.longest, target.context or 0) + _MARGIN
    return memory.starts and enough


def candidate_of(target: Target, profile: Profile, sglang: str) -> Candidate:
    """A profile, and what arithmetic says of it under `target`."""
    about = _Arithmetic.of(target, profile, sglang)
    memory = plan(profile, sglang)
    fast = _most(about.keeps, MOST_USERS)
    room = min(memory.max_running_requests, memory.kv_tokens // target.mean_tokens)
    users = max(1, min(fast, int(room)))
    best = replace(about, prefill_s=about.more_s, unsure=dict.fromkeys(about.unsure, 1.0))
    waiting = (target.ttft_ms or math.inf) / 1e3 / best.life_s(1)  # as long as the bound allows
    most = max(1.0, min(_most(best.keeps, MOST_USERS), room * (1 + waiting)))
    return Candidate(
        profile,
        memory,
        about.speed,
        users,
        about.life_s(1),
        math.ceil(about.at_once(users) / users),
        max(1, math.ceil(best.at_once(round(most)) / most)),
        _wider(target, memory, max(fast, int(most))),
    )


def _trace_rate(target: Target) -> float:
    """Requests per second of a trace."""
    return len(target.rows) / max(target.rows[-1].arrival_s, 1e-3)


@dataclass(frozen=True)
class _Arithmetic:
    """A replica on the back of an envelope: steps, the prefills of others, a queue for prefill."""

    target: Target
    speed: SpeedModel
    accepted: float
    prefill_s: float  # alone
    more_s: float  # of each in a queue, where a few are read together
    unsure: dict[str, float]  # P90 of the band by metric

    @classmethod
    def of(cls, target: Target, profile: Profile, sglang: str) -> _Arithmetic:
        speed = SpeedModel.of(profile, sglang)
        tokens = max(1, round(target.mean_input - target.shared_prefix))
        bands = {metric: widest(metric, speed, FEW) for metric in target.bounds_ms}
        return cls(
            target,
            speed,
            default_accept_length(profile.model) if profile.mtp else 1.0,
            speed.prefill_s(tokens),
            speed.prefill_s(_TOGETHER * tokens, _TOGETHER) / _TOGETHER,
            {metric: found.p90 for metric, found in bands.items()},
        )

    def rest_s(self, users: int) -> float:
        """From its first token to its last, among `users`."""
        t = self.target
        context = round(users * (t.mean_input + t.mean_output / 2))
        steps = max(t.mean_output - 1, 1) / self.accepted
        return steps * self.speed.step_s(users, context) + (users - 1) * self.prefill_s

    def ttft_s(self, users: int) -> float:
        """Its prefill, and those that it waits for."""
        load = min(users * self.more_s / (self.rest_s(users) + self.prefill_s), 0.99)
        return self.prefill_s + self.more_s * _BUNCHED * load / (1 - load)

    def life_s(self, users: int) -> float:
        return self.ttft_s(users) + self.rest_s(users)

    def at_once(self, users: int) -> float:
        """How many requests the whole load has out, where each replica has so many."""
        t, life_s = self.target, self.life_s(users)
        if t.users is not None:
            return t.users * life_s / (life_s + t.think_s)
        return (t.rate or _trace_rate(t)) * life_s

    def keeps(self, users: int) -> bool:
        t = self.target
        ms = {
            "ttft": self.ttft_s(users) * 1e3,
            "tpot": self.rest_s(users) * 1e3 / max(t.mean_output - 1, 1),
        }
        return all(ms[m] * self.unsure[m] <= bound for m, bound in t.bounds_ms.items())


def widest(metric: str, speed: SpeedModel, requests: float) -> Band:
    """The widest band of the groups up to so many requests at once.

    A full server has a narrow band for TTFT, because it is its queue; one that keeps a bound on
    TTFT has none.
    """
    quantity: Quantity = "ttft" if metric == "ttft" else "tpot"
    loads = {min(requests, size) for size in (1.0, float(FEW), requests)}
    found = [b for load in loads if (b := band(quantity, speed, load))]
    if not found:
        return Band(1.0, 1.0)
    return Band(min(b.p10 for b in found), max(b.p90 for b in found))


def _wider(target: Target, memory: MemoryPlan, fast: int) -> Profile | None:
    """The profile without the prefix cache and with as many slots as users that are served in
    time, where MTP leaves too few and no prompt shares anything; None where that is no gain."""
    p = memory.profile
    most = min(fast, target.users or MOST_USERS, _MOST_SLOTS)
    if p.mtp is None or not p.radix_cache or memory.max_running_requests >= most:
        return None
    if any(row.shared for row in target.rows):
        return None

    def with_slots(number: int) -> Profile:
        return replace(p, radix_cache=False, max_running_requests=number)

    def holds(number: int) -> bool:
        then = plan(with_slots(number), memory.sglang)
        enough = then.kv_tokens >= number * target.mean_tokens
        return then.max_running_requests >= number and enough

    found = _most(holds, most)
    return with_slots(found) if found > memory.max_running_requests else None


def _most(holds: Callable[[int], bool], most: int) -> int:
    """The largest number from 1 to `most` that holds; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
