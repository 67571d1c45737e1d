"""The scheduler: slots, prefill before decode, retraction.

A request is admitted when a running slot is free and SGLang's reservation fits
(`kit/scheduler/prefill_adder.py`). A reservation is a guess: where the KV tokens run out anyway,
the requests with the fewest output tokens are retracted, and wait in the queue again.
The limits are the memory plan's, which knows SGLang's version.

No clock is read in here, and random draws belong to the request (by order of submission), not to
the step: the same requests give the same tokens however fast the clock runs.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.scheduler.acceptance import Acceptance, Requests
from kit.scheduler.config import Rules
from kit.scheduler.prefill_adder import Budget
from kit.scheduler.radix_cache import Hit, PrefixCache
from kit.scheduler.requests import Emission, Live, Request, Step, StepKind
from kit.sizing import MemoryPlan, explain, plan
from kit.speed import SpeedModel

_MISS = Hit()
_GOLDEN = (math.sqrt(5) - 1) / 2


class Scheduler:
    """The scheduler of one server. `of` builds it; see the package for what it does."""

    def __init__(
        self, memory: MemoryPlan, speed: SpeedModel, acceptance: Acceptance | None, seed: int = 0
    ) -> None:
        """`acceptance` is needed with MTP, ignored without."""
        self.memory = memory
        self.speed = speed
        self.acceptance = acceptance if memory.profile.mtp else None
        self.rules = Rules.of(memory)
        self.verify_steps = 0
        self.generated_tokens = 0
        self.retractions = 0
        self._verified_tokens = 0
        self._seed = seed
        self._ordinal = 0
        self._own_tokens = 0  # KV that running requests hold alone
        self._borrowed_tokens = 0  # what they read of shared prefixes, counted for each
        self._ratio = self.rules.init_new_token_ratio
        self._full = False  # no request is admitted until a running one leaves
        self._lag: int | None = None  # decode steps until that is noticed
        self._by_rid: dict[str, Live] = {}
        self._pending: list[tuple[float, int, int, Live]] = []
        self._waiting: deque[Live] = deque()
        self._chunked: Live | None = None
        self._running: list[Live] = []
        self._cache = PrefixCache(self.rules) if self.rules.radix_cache else None

    @classmethod
    def of(
        cls,
        profile: Profile,
        sglang: str = SGLANG,
        accept_length: float | None = None,
        seed: int = 0,
        speed: SpeedModel | None = None,
    ) -> Scheduler:
        """The scheduler that SGLang `sglang` would run on `profile`.

        `accept_length` (1 … num_draft_tokens) is the mean to draw; by default what the published
        cells say of the model. `speed` is for other constants than the fitted.
        Raises InvalidValue when the profile does not fit, or the accept length cannot be.
        """
        memory = plan(profile, sglang)
        if memory.max_running_requests < 1:
            raise InvalidValue(
                f"{profile.name} does not run: {'; '.join(explain(memory).reasons)}",
                "choose more or larger GPUs, or a smaller precision",
            )
        acceptance = None
        if profile.mtp is not None:
            drafts = profile.mtp.num_draft_tokens - 1
            requests = Requests.fitted()
            acceptance = requests.acceptance(profile.model, drafts)
            if accept_length is not None:
                share = requests.share(profile.model)
                acceptance = Acceptance.of(accept_length, drafts, repeating=share)
        return cls(memory, speed or SpeedModel.of(profile, sglang), acceptance, seed)

    @property
    def running(self) -> int:
        """Requests that hold a slot: decoding, or in the middle of their prefill."""
        return len(self._running) + (self._chunked is not None)

    @property
    def queued(self) -> int:
        """Requests that have arrived and wait for a slot."""
        return len(self._waiting)

    @property
    def kv_tokens_used(self) -> int:
        """KV tokens that running requests hold; what the radix cache could give up is free."""
        return self._own_tokens + (self._cache.locked_tokens if self._cache else 0)

    @property
    def accept_length(self) -> float | None:
        """Mean tokens per verify step and request so far; None before the first step."""
        return self._verified_tokens / self.verify_steps if self.verify_steps else None

    def submit(self, request: Request) -> None:
        """Take a request. It can be scheduled from `arrival_s` + the request overhead on.

        Raises InvalidValue for lengths that cannot be, or can never fit, or a rid in use.
        """
        problem = request.problem()
        if problem:
            raise InvalidValue(f"request {request.rid}: {problem}", "ask for what can be")
        margin = 2 * self.rules.page_size + self.rules.decode_reserve
        room = self.memory.kv_tokens - margin - request.input_tokens
        if request.output_tokens > room:
            raise InvalidValue(
                f"request {request.rid}: {request.input_tokens} + {request.output_tokens} tokens; "
                f"the KV cache holds {self.memory.kv_tokens}, {margin} of them for the next step",
                "ask for less, or take a profile with more memory",
            )
        if request.rid in self._by_rid:
            raise InvalidValue(f"request {request.rid} is in flight already", "give each its rid")
        seed, number = request.draws or (self._seed, self._ordinal)
        draws = random.Random(seed * 1_000_003 + number)
        limit = min(request.max_tokens or request.output_tokens, room)
        most = self.memory.profile.mtp.num_draft_tokens if self.memory.profile.mtp else 1
        live = self._by_rid[request.rid] = Live(request, limit, draws.random, most)
        if self.acceptance is not None:
            live.thresholds = self.acceptance.of_request(_spaced(seed + number))
        ready_s = request.arrival_s + self.speed.request_overhead_s
        heapq.heappush(self._pending, (ready_s, number, self._ordinal, live))
        self._ordinal += 1

    def abort(self, rid: str) -> bool:
        """Drop a request wherever it is. False when it is not here (finished, or never submitted).

        Tokens that a step has already given stay given.
        """
        live = self._by_rid.pop(rid, None)
        if live is None:
            return False
        if live is self._chunked:
            self._chunked = None
            self._leave(live)
        elif live in self._running:
            self._running.remove(live)
            self._leave(live)
        elif live in self._waiting:
            self._waiting.remove(live)
        else:
            self._pending = [entry for entry in self._pending if entry[-1] is not live]
            heapq.heapify(self._pending)
        return True

    def wake_s(self) -> float | None:
        """When the next request that is still on its way becomes schedulable; None without one."""
        return self._pending[0][0] if self._pending else None

    def step(self, now_s: float) -> Step | None:
        """Run one step that starts at `now_s`; None when there is nothing to run."""
        while self._pending and self._pending[0][0] <= now_s:
            self._waiting.append(heapq.heappop(self._pending)[-1])
        if not self._running:
            self._notice()
        batch = self._next_prefill()
        if batch:
            return self._prefill(batch)
        if self._running:
            return self._decode()
        self._ratio = self.rules.init_new_token_ratio  # an idle server starts afresh
        return None

    def _next_prefill(self) -> list[tuple[Live, int]]:
        """The next prefill batch: requests, and how many prompt tokens of each."""
        if self._chunked is None and (self._full or not self._waiting):
            return []
        free = self.memory.kv_tokens - self._allocated(self._running)
        budget = Budget(self.rules, free, self._running, self._ratio)
        batch: list[tuple[Live, int]] = []
        if self._chunked is not None:
            batch.append((self._chunked, budget.resume(self._chunked)))
        while self._waiting and budget.open and not self._full:
            if len(self._running) + len(batch) >= self.memory.max_running_requests:
                self._full = True
                break
            live = self._waiting[0]
            hit = self._cache.match(live) if self._cache else _MISS
            tokens = budget.admit(live, hit.tokens, hit.pinned)
            if not tokens:
                break
            self._waiting.popleft()
            if self._cache is not None:
                self._cache.begin(live, hit)
                self._own_tokens += live.own_tokens
                self._borrowed_tokens += live.cached
            batch.append((live, tokens))
        if budget.full and (batch or self._running):
            self._full = True
        return batch

    def _prefill(self, batch: list[tuple[Live, int]]) -> Step:
        cached = tuple(
            (live.rid, live.prefilled)
            for live, _ in batch
            if live is not self._chunked and live.prefilled
        )
        self._chunked = None
        context = sum(live.prefilled for live, _ in batch)
        new_tokens = sum(tokens for _, tokens in batch)
        duration_s = self.speed.prefill_s(new_tokens, len(batch), context)
        whole = []
        for live, tokens in batch:
            if not live.encoded:
                live.encoded = True
                duration_s += self.speed.vision_s(live.request.image_tokens, live.request.images)
            self._read(live, tokens)
            if live.prefilled < live.context:
                self._chunked = live
            else:
                whole.append(live)
        self._trim()
        emissions, unfinished = self._give(whole, None)
        self._running += unfinished
        return Step("prefill", duration_s, emissions, len(batch), len(self._waiting), cached)

    def _read(self, live: Live, tokens: int) -> None:
        """A chunk of its prompt becomes KV, and perhaps a state in the radix cache."""
        start, own, borrowed = live.prefilled, live.own_tokens, live.cached
        live.prefilled += tokens
        if self._cache is not None:
            self._cache.chunk(live, start, tokens)
        self._own_tokens += live.own_tokens - own
        self._borrowed_tokens += live.cached - borrowed

    def _decode(self) -> Step:
        if self._lag is not None:
            self._lag -= 1
            if self._lag <= 0:
                self._notice()
        retracted = self._make_room()
        live_now, before = self._running, self.generated_tokens
        duration_s = self.speed.step_s(len(live_now), self._own_tokens + self._borrowed_tokens)
        emissions, self._running = self._give(live_now, self.acceptance)
        kind: StepKind = "decode"
        if self.acceptance is not None:
            kind = "verify"
            self.verify_steps += len(live_now)
            self._verified_tokens += self.generated_tokens - before
        queued = len(self._waiting)
        return Step(kind, duration_s, emissions, len(live_now), queued, (), retracted)

    def _make_room(self) -> tuple[str, ...]:
        """Retract until a decode step fits; the rids. Source: schedule_batch.py, retract_decode."""
        if self._fits(self._running):
            lower = self._ratio - self.rules.new_token_ratio_decay
            self._ratio = max(lower, self.rules.min_new_token_ratio)
            return ()
        # Those with the most given are kept, of equals those with the shortest prompt.
        by_worth = sorted(self._running, key=lambda r: (r.generated, -r.request.input_tokens))
        retracted = []
        while len(by_worth) > 1 and not self._fits(by_worth):
            live = by_worth.pop(0)
            self._running.remove(live)
            self._leave(live, retracted=True)
            self._waiting.append(live)
            retracted.append(live.rid)
        self._notice()
        self.retractions += len(retracted)
        given = sum(live.generated for live in by_worth)
        ahead = self.rules.retract_decode_steps * len(by_worth)
        self._ratio = min(1.0, (given + ahead) / (sum(live.limit for live in by_worth) + 1))
        return tuple(retracted)

    def _fits(self, running: Sequence[Live]) -> bool:
        """Whether `running` can decode once more, when the radix cache gives up what it can."""
        reserve = self.rules.decode_reserve + self.rules.page_size - 1
        most = self.kv_tokens_used + len(running) * reserve
        kept = self._cache.free_tokens if self._cache else 0
        if most + kept <= self.memory.kv_tokens:
            return True
        needed = self._allocated(running)
        self._trim(needed)
        return needed <= self.memory.kv_tokens

    def _allocated(self, running: Sequence[Live]) -> int:
        """KV tokens that the next decode of `running` takes, and all that others hold."""
        rules = self.rules
        if rules.page_size == 1:
            return self.kv_tokens_used + len(running) * rules.decode_reserve
        others = self.kv_tokens_used - sum(live.own_tokens for live in running)
        return others + sum(rules.paged(live.own_tokens + rules.decode_reserve) for live in running)

    def _trim(self, needed: int | None = None) -> None:
        """The radix cache gives up what running requests take: tokens, and state slots."""
        if self._cache is not None:
            used = self.kv_tokens_used if needed is None else needed
            states = self.running * (self.memory.slots_per_request - 2)
            self._cache.trim(max(self.memory.kv_tokens - used, 0), self.memory.slots - states)

    def _give(
        self, lives: list[Live], acceptance: Acceptance | None
    ) -> tuple[tuple[Emission, ...], list[Live]]:
        """One step's tokens (one per request, or as many as are accepted), and who goes on."""
        emissions, unfinished, given = [], [], 0
        for live in lives:  # the hot loop of a simulation
            tokens = 1 + bisect_right(live.thresholds, live.draw()) if acceptance else 1
            if tokens < live.left:
                live.left -= tokens
                unfinished.append(live)
                emissions.append(live.gives[tokens])
            else:
                tokens = live.left
                live.left = 0
                emissions.append(Emission(live.rid, tokens, True))
                del self._by_rid[live.rid]
                self._leave(live)
            given += tokens
        self.generated_tokens += given
        self._own_tokens += given
        return tuple(emissions), unfinished

    def _leave(self, live: Live, retracted: bool = False) -> None:
        """Its KV and its slot are free again."""
        self._own_tokens -= live.own_tokens
        self._borrowed_tokens -= live.cached
        if self._cache is not None:
            self._cache.end(live, retracted)
        if retracted:
            live.restart()
        if self._full and self._lag is None:
            self._lag = self.rules.refill_lag
        if not self._lag:
            self._notice()

    def _notice(self) -> None:
        """The batch has room again."""
        self._full, self._lag = False, None


def _spaced(index: int) -> float:
    """Numbers in (0, 1), of which any few in a row cover it evenly: so that the requests of a
    short run differ as those of a long one do, and its median is no matter of luck."""
    return (0.5 + index * _GOLDEN) % 1
