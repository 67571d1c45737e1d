"""What comes into the scheduler, what a step gives, and a request on its way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

StepKind = Literal["prefill", "decode", "verify"]


class Request(NamedTuple):
    """What a client asks for. `arrival_s` is when its bytes reach the server.

    `image_tokens` of the input are vision tokens, of `images` images of one size. `shared` names
    a prefix that other requests have too, and its length in tokens. `max_tokens` is the limit
    that the client gave, where the answer ends before it: SGLang cannot know the end and reserves
    by guess. None is a benchmark's request (`ignore_eos`), which ends exactly at its limit.
    """

    rid: str
    input_tokens: int
    output_tokens: int
    arrival_s: float = 0.0
    image_tokens: int = 0
    shared: tuple[str, int] | None = None
    max_tokens: int | None = None
    images: int = 1

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


class Kept:
    """A GDN state that the radix cache keeps at `depth` tokens of a prompt, and the KV `tokens`
    that stay as long as it does. `family` is the shared prefix on its path."""

    __slots__ = ("depth", "family", "locks", "tokens")

    def __init__(self, depth: int, tokens: int, family: str | None, locks: int = 0) -> None:
        self.depth = depth
        self.tokens = tokens
        self.family = family
        self.locks = locks


class Live:
    """A request inside the scheduler.

    `left` output tokens are still to come; `left_before` were when its prefill began. Of its
    `prefilled` tokens `cached` are shared with others in the radix cache, as states that it
    `held`; `own` is the state that it left there itself, `branch` where it should leave one.
    `limit` is its `max_tokens` as far as memory goes; `gives` its emissions by tokens, made once;
    `thresholds` say how many of its drafts a draw accepts.
    """

    __slots__ = (
        "branch",
        "cached",
        "draw",
        "encoded",
        "gives",
        "held",
        "left",
        "left_before",
        "limit",
        "own",
        "prefilled",
        "request",
        "rid",
        "thresholds",
    )

    def __init__(
        self, request: Request, limit: int, draw: Callable[[], float], most: int = 1
    ) -> None:
        """`most`: tokens that one step gives at most."""
        self.rid = request.rid
        self.gives = tuple(Emission(request.rid, tokens, False) for tokens in range(most + 1))
        self.request = request
        self.limit = limit
        self.draw = draw
        self.prefilled = self.cached = self.branch = 0
        self.left = self.left_before = request.output_tokens
        self.encoded = not request.image_tokens
        self.own: Kept | None = None
        self.held: list[Kept] = []
        self.thresholds: tuple[float, ...] = ()

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
