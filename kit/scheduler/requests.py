"""What comes into the scheduler, what a step gives, and a request on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from typing import Literal, NamedTuple

StepKind = Literal["prefill", "decode", "verify"]


class Request(NamedTuple):
    """What a client asks for. `arrival_s` is when its bytes reach the server.

    `image_tokens` of the input are vision tokens, of `images` images of one size. `shared` names
    a prefix that other requests have too, and its length in tokens. `max_tokens` is the limit
    that the client gave, where the answer ends before it: SGLang cannot know the end and reserves
    by guess. None is a benchmark's request (`ignore_eos`), which ends exactly at its limit.
    `draws` are the seed and the number of its random draws; where None, the scheduler's seed and
    the order of submission.
    """

    rid: str
    input_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    image_tokens: int = 0
    shared: tuple[str, int] | None = None
    max_tokens: int | None = None
    images: int = 1
    draws: tuple[int, int] | None = None

    @property
    def ignore_eos(self) -> bool:
        return self.max_tokens is None

    def problem(self) -> str | None:
        """Why no server could serve it; None where nothing is wrong."""
        if self.input_tokens < 1 or self.output_tokens < 1:
            return f"{self.input_tokens} tokens in, {self.output_tokens} out: each is 1 or more"
        if self.max_tokens is not None and self.max_tokens < self.output_tokens:
            return f"{self.output_tokens} tokens out, of {self.max_tokens} at most"
        inside = (self.image_tokens, self.shared[1] if self.shared else 0)
        if min(inside) < 0 or sum(inside) > self.input_tokens:
            return f"{self.input_tokens} tokens in cannot hold {inside[0]} of images and a prefix"
        return None


class Emission(NamedTuple):
    """Tokens that one step gives to one request."""

    rid: str
    tokens: int
    finished: bool


class Step(NamedTuple):
    """One pass of the server. Its emissions take effect at its end, `duration_s` later.

    `cached` says of each request that begins its prefill here how many tokens of it the radix
    cache held (only where it held some). `retracted` lost their place and their KV to others
    before this step: what they were given stays given, the rest comes after another prefill.
    """

    kind: StepKind
    duration_s: float
    emissions: tuple[Emission, ...]
    running: int  # requests in this step
    queued: int  # requests that wait for a slot
    cached: tuple[tuple[str, int], ...] = ()
    retracted: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Kept:
    """A GDN state that the radix cache keeps at `depth` tokens of a prompt, and the KV `tokens`
    that stay as long as it does. `family` is the shared prefix on its path."""

    depth: int
    tokens: int
    family: str | None
    locks: int = 0


@dataclass(slots=True, eq=False)
class Live:
    """A request inside the scheduler. `most`: tokens that one step gives at most.

    `left` output tokens are still to come; `left_before` were when its prefill began. Of its
    `prefilled` tokens `cached` are shared with others in the radix cache, as states that it
    `held`; `own` is the state that it left there itself, `branch` where it should leave one.
    `limit` is its `max_tokens` as far as memory goes; `gives` its emissions by tokens, made once;
    `thresholds` say how many of its drafts a draw accepts.
    """

    request: Request
    limit: int
    draw: Callable[[], float]
    most: InitVar[int] = 1
    gives: tuple[Emission, ...] = ()
    thresholds: tuple[float, ...] = ()
    left: int = 0
    left_before: int = 0
    encoded: bool = False
    prefilled: int = 0
    cached: int = 0
    branch: int = 0
    own: Kept | None = None
    held: list[Kept] = field(default_factory=list)

    def __post_init__(self, most: int) -> None:
        self.gives = tuple(Emission(self.rid, tokens, False) for tokens in range(most + 1))
        self.left = self.left_before = self.request.output_tokens
        self.encoded = not self.request.image_tokens

    @property
    def rid(self) -> str:
        return self.request.rid

    @property
    def generated(self) -> int:
        return self.request.output_tokens - self.left

    @property
    def context(self) -> int:
        """Tokens that its prefill has to cover: the prompt, and what it had before a retraction."""
        return self.request.input_tokens + self.request.output_tokens - self.left_before

    @property
    def own_tokens(self) -> int:
        """KV tokens that it alone holds."""
        return self.prefilled - self.cached + self.left_before - self.left

    def restart(self) -> None:
        """Lose all KV; a prefill of everything so far comes next."""
        self.prefilled = self.cached = self.branch = 0
        self.left_before = self.left
