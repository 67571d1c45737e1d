"""SGLang's radix cache as far as a hybrid model can use it.

KV of a common prefix can be reused from any token on, a GDN state only where one was kept. So a
hit is as deep as the deepest state that lies within the common prefix:

    a prefill keeps a state at its end, rounded down to 64 tokens after where it began
    (every chunk of a long prompt keeps one);
    that lies in the request's own part, so the second request with the prefix hits nothing;
    it sees that its KV was there, keeps a state at the last multiple of 64 before the two part,
    and the third request hits it.

States are slots of the same pool that running requests draw on; the longest unused goes first.
Source: sglang 0.5.23, managers/schedule_batch.py (`_mamba_radix_cache_v2_req_prepare_for_extend`),
mem_cache/unified_cache/components/mamba.py (`mamba_branching_seqlen`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from kit.scheduler.config import Rules
from kit.scheduler.requests import Kept, Live


class Hit(NamedTuple):
    """What the cache has of a request.

    `tokens` can be reused, `shared` of them with others; `pinned` of them no request held before.
    `branch` is how deep its KV goes beyond: where a state would serve the next one, or 0.
    """

    tokens: int = 0
    shared: int = 0
    pinned: int = 0
    branch: int = 0


@dataclass(slots=True)
class _Family:
    """A shared prefix: its states by depth, how deep its KV is there, and on how many paths."""

    depth: int = 0
    paths: int = 0
    states: dict[int, Kept] = field(default_factory=dict)


class PrefixCache:
    """What finished, running and retracted requests left. Live requests lock what they use."""

    def __init__(self, rules: Rules) -> None:
        self.locked_tokens = 0
        self.free_tokens = 0  # could be evicted
        self._rules = rules
        self._kept: dict[Kept, None] = {}  # longest unused first
        self._families: dict[str, _Family] = {}

    def match(self, live: Live) -> Hit:
        """The hit of a request whose prefill would begin now. Changes nothing."""
        most = live.context - 1  # one token at least is computed
        states = list(self._states(live, most))
        shared = max((state.depth for state in states), default=0)
        pinned = sum(state.tokens for state in states if not state.locks)
        tokens = shared
        own = live.own
        if own is not None and own in self._kept and shared < own.depth <= most:
            tokens = own.depth
            pinned += own.tokens
        return Hit(tokens, shared, pinned, self._branch(live, most, tokens))

    def begin(self, live: Live, hit: Hit) -> None:
        """The request runs, and holds what it reuses."""
        live.cached, live.prefilled, live.branch = hit.shared, hit.tokens, hit.branch
        for state in self._states(live, hit.shared):
            self._lock(live, state)
        if live.own is not None and live.own in self._kept:
            self._drop(live.own)  # left by a retraction; from now on the request's again
        live.own = None

    def chunk(self, live: Live, start: int, tokens: int) -> None:
        """`tokens` of its prompt, from `start` on, have been read: keep a state where one lands."""
        depth = start + tokens
        if self._rules.branches:
            grid = self._rules.state_chunk_tokens
            if tokens < grid:
                return
            depth = start + tokens // grid * grid
            if start < live.branch < start + tokens and (live.branch - start) % grid == 0:
                depth = live.branch
        name, length = live.request.shared or (None, 0)
        family = None if name is None else self._families.setdefault(name, _Family())
        if family is not None and depth <= length:
            state = family.states.get(depth)
            if state is None:
                state = self._keep(Kept(depth, depth - live.cached, name))
                family.states[depth] = state
                live.cached = depth
            self._lock(live, state)
        elif live.own is None:
            live.own = self._keep(Kept(depth, 0, name, locks=1))
        else:
            live.own.depth = depth
        if family is not None:
            family.depth = max(family.depth, min(depth, length))

    def end(self, live: Live, retracted: bool) -> None:
        """The request has left the batch: what it held can be reused, and evicted."""
        for state in live.held:
            state.locks -= 1
            if not state.locks:
                self.locked_tokens -= state.tokens
                self.free_tokens += state.tokens
        live.held.clear()
        own = live.own
        if own is not None:
            own.tokens = own.depth - live.cached if retracted else live.own_tokens
            own.locks = 0
            self.free_tokens += own.tokens
            self._touch(own)
        if not retracted:
            live.own = None

    def trim(self, tokens: int, slots: int) -> None:
        """Evict, longest unused first, until `tokens` and `slots` hold what is left."""
        if self.free_tokens <= tokens and len(self._kept) <= slots:
            return
        for state in [state for state in self._kept if not state.locks]:
            self._drop(state)
            if self.free_tokens <= tokens and len(self._kept) <= slots:
                return

    def _states(self, live: Live, most: int) -> Iterator[Kept]:
        """The states on its shared prefix, not deeper than `most`."""
        name, length = live.request.shared or ("", 0)
        family = self._families.get(name)
        for state in family.states.values() if family else ():
            if state.depth <= min(length, most):
                yield state

    def _branch(self, live: Live, most: int, depth: int) -> int:
        name, length = live.request.shared or ("", 0)
        family = self._families.get(name)
        if family is None or not self._rules.branches:
            return 0
        grid = self._rules.state_chunk_tokens
        known = min(family.depth, length, most) // grid * grid
        return known if known > depth else 0

    def _keep(self, state: Kept) -> Kept:
        self._kept[state] = None
        if not state.locks:
            self.free_tokens += state.tokens
        if state.family is not None:
            self._families[state.family].paths += 1
        return state

    def _drop(self, state: Kept) -> None:
        del self._kept[state]
        self.free_tokens -= state.tokens
        if state.family is None:
            return
        family = self._families[state.family]
        if family.states.get(state.depth) is state:
            del family.states[state.depth]
        family.paths -= 1
        if not family.paths:
            del self._families[state.family]

    def _lock(self, live: Live, state: Kept) -> None:
        """Once per request; the first lock takes its tokens out of what can be evicted."""
        self._touch(state)
        if state in live.held:
            return
        live.held.append(state)
        if not state.locks:
            self.locked_tokens += state.tokens
            self.free_tokens -= state.tokens
        state.locks += 1

    def _touch(self, state: Kept) -> None:
        del self._kept[state]
        self._kept[state] = None
