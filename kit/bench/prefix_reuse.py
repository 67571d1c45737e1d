"""What the prefix cache saves: prompts that begin alike, simulated with it and without.

chats = Chats(users=20, turns=6)
on, off = (simulate_chats(replace(machine, radix_cache=r), chats) for r in (True, False))
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from statistics import mean
from typing import NamedTuple

from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.provenance import Provenance, simulated
from kit.scheduler import Request, Scheduler, Step


@dataclass(frozen=True)
class Chats:
    """`users` who each send `turns` requests, `pause_s` after the answer to the one before.

    A prompt is a system prompt, all earlier turns, and a new question; lengths are in tokens.
    With `one_question` each request is a question of its own behind a system prompt that all
    users share. Raises InvalidValue for a number that cannot be.
    """

    users: int = 20
    turns: int = 6
    system_tokens: int = 3000
    question_tokens: int = 150
    answer_tokens: int = 400
    pause_s: float = 10.0
    one_question: bool = False

    def __post_init__(self) -> None:
        numbers = (self.users, self.turns, self.question_tokens, self.answer_tokens)
        if min(numbers) < 1 or min(self.system_tokens, self.pause_s) < 0:
            raise InvalidValue(f"{self}: a length or a number below what can be", "give more")

    def request(self, user: int, turn: int, at_s: float) -> Request:
        """Request number `turn` of a user, both counted from 0."""
        past = 0 if self.one_question else turn * (self.question_tokens + self.answer_tokens)
        prompt = self.system_tokens + past + self.question_tokens
        shared = ("system", self.system_tokens) if self.one_question else (f"chat {user}", prompt)
        return Request(f"{user}-{turn}", prompt, self.answer_tokens, at_s, shared=shared)


class Turn(NamedTuple):
    """One request that was answered; `turn` is counted from 1."""

    turn: int
    prompt_tokens: float
    cached_tokens: float
    ttft_ms: float


@dataclass(frozen=True)
class ChatRun:
    """The requests of `chats`; `most_running` is how many the server runs at once."""

    chats: Chats
    requests: tuple[Turn, ...]
    most_running: int
    provenance: Provenance

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The mean over all users, turn by turn."""
        return tuple(
            Turn(*map(mean, zip(*(r for r in self.requests if r.turn == turn), strict=True)))
            for turn in range(1, self.chats.turns + 1)
        )

    @property
    def cached_share(self) -> float:
        """Share of all prompt tokens that the cache had."""
        prompts = sum(request.prompt_tokens for request in self.requests)
        return sum(request.cached_tokens for request in self.requests) / prompts

    @property
    def mean_ttft_ms(self) -> float:
        return mean(request.ttft_ms for request in self.requests)


def simulate_chats(profile: Profile, chats: Chats, sglang: str = SGLANG) -> ChatRun:
    """Run `chats` on `profile` in virtual time. Users begin evenly spread over one pause.

    Raises InvalidValue when the profile does not fit, or a prompt never could.
    """
    scheduler = Scheduler.of(profile, sglang)
    users = _Users(chats, scheduler)
    now = 0.0
    while users.left:
        users.send(now)
        step = scheduler.step(now)
        if step is None:
            now = users.next_s()
            continue
        now += step.duration_s
        users.receive(step, now)
    source = f"{scheduler.speed.provenance.source}; scheduler of SGLang {sglang}"
    most = scheduler.memory.max_running_requests
    return ChatRun(chats, tuple(users.answered), most, simulated(source))


class _Users:
    """The sending side: whose next request is due when, and what has come back."""

    def __init__(self, chats: Chats, scheduler: Scheduler) -> None:
        self.left = chats.users * chats.turns
        self.answered: list[Turn] = []
        self._chats = chats
        self._scheduler = scheduler
        spread_s = chats.pause_s / chats.users
        self._due = [(user * spread_s, user, 0) for user in range(chats.users)]
        self._waiting: dict[str, Request] = {}  # for their first token
        self._cached: dict[str, int] = {}

    def next_s(self) -> float:
        """When something happens to an idle server."""
        known = (self._scheduler.wake_s(), self._due[0][0] if self._due else None)
        return min(at_s for at_s in known if at_s is not None)

    def send(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            at_s, user, turn = heapq.heappop(self._due)
            request = self._chats.request(user, turn, at_s)
            self._waiting[request.rid] = request
            self._scheduler.submit(request)

    def receive(self, step: Step, now: float) -> None:
        self._cached.update(step.cached)
        for rid, _, finished in step.emissions:
            user, turn = map(int, rid.split("-"))
            request = self._waiting.pop(rid, None)
            if request is not None:
                ttft_ms = (now - request.arrival_s) * 1e3
                cached = self._cached.pop(rid, 0)
                self.answered.append(Turn(turn + 1, request.input_tokens, cached, ttft_ms))
            if finished:
                self._end(user, turn, now)

    def _end(self, user: int, turn: int, now: float) -> None:
        self.left -= 1
        if turn + 1 < self._chats.turns:
            heapq.heappush(self._due, (now + self._chats.pause_s, user, turn + 1))
