"""One simulated server: what it plays, and how a request gets into its engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from kit.errors import InvalidValue
from kit.hardware import SGLANG, profile
from kit.scheduler import Scheduler
from kit.sizing import explain
from kit.twin.authored import Said
from kit.twin.chat_format import Message, render, text_of, unsaid_tokens
from kit.twin.engine import Clock, Engine, Generation
from kit.twin.errors import bad_request
from kit.twin.fallback import Writer
from kit.twin.faults import Fault
from kit.twin.metrics import registry
from kit.twin.request import SamplingParams
from kit.twin.sse import Fed, Header, Outlet
from kit.twin.token_script import Script, write
from kit.twin.tokenizer import vocabulary

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from kit.launch import LaunchPlan

FASTEST = 1000.0
_LONG_TEXT = 20_000  # characters; a longer prompt is rendered and tokenized beside the event loop

P = ParamSpec("P")
T = TypeVar("T")


class Twin:
    """A profile, a scheduler, a clock, and what may go wrong.

    Raises UnknownName for a profile or a fault, InvalidValue for a clock that cannot be and for
    a profile that does not fit its GPUs.
    """

    def __init__(
        self,
        profile_name: str,
        speed: float = 1.0,
        sglang: str = SGLANG,
        port: int = 0,
        fault: str | None = None,
    ) -> None:
        if not 0 < speed <= FASTEST:
            raise InvalidValue(
                f"a clock {speed:g} times as fast", f"give 1 for real time, {FASTEST:g} at most"
            )
        self.profile = profile(profile_name)
        scheduler = Scheduler.of(self.profile, sglang)
        if not scheduler.memory.fits:
            raise InvalidValue(
                f"{profile_name} does not fit: {explain(scheduler.memory).reasons[0]}",
                f"kit size {profile_name} shows the ledger and what would fit",
            )
        self.engine = Engine(scheduler, Clock(speed))
        self.sglang = sglang
        self.port = port
        self.fault = Fault.parse(fault) if fault else None
        self.writer = Writer()
        self.model = self.profile.checkpoint
        self.context_length = (
            self.profile.context_length or self.profile.model.max_position_embeddings
        )
        self.label = f"profile={self.profile.name}; sglang={sglang}; speed={speed:g}"

    @cached_property
    def metrics(self) -> CollectorRegistry:
        """What /metrics shows."""
        return registry(self.engine, self.model, self.context_length)

    @cached_property
    def launch(self) -> LaunchPlan:
        """The command whose server is played."""
        from kit.launch import launch_plan

        return launch_plan(self.profile, self.sglang, port=self.port)

    @property
    def thinks(self) -> bool:
        """Whether the model thinks where nobody says: all but the two smallest do."""
        return self.profile.model.name not in ("0.8b", "2b")

    @property
    def draft_tokens(self) -> int:
        """Drafts of a verify step; 0 without MTP."""
        return self.profile.mtp.num_draft_tokens - 1 if self.profile.mtp else 0

    async def count(self, prompt: str | Sequence[int]) -> int:
        """Tokens of a bare prompt."""
        if not isinstance(prompt, str):
            return len(prompt)
        return len(await _beside(len(prompt), vocabulary().encode, prompt))

    async def prompt(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        thinking: bool,
        media: Sequence[str],
    ) -> tuple[str, int]:
        """A conversation in Qwen3.5's chat format, and its tokens."""

        def made() -> tuple[str, int]:
            text = render(messages, tools, thinking, media)
            return text, len(vocabulary().encode(text)) + unsaid_tokens(tools)

        return await _beside(sum(map(_size, messages)), made)

    def script(self, said: Said, sampling: SamplingParams) -> Script:
        return write(
            said,
            sampling.max_tokens,
            ignore_eos=sampling.ignore_eos,
            stops=sampling.stops,
            stop_ids=sampling.stop_ids,
        )

    def run(
        self,
        generations: Sequence[Generation],
        outlet: Outlet,
        script: Script,
        prompt_tokens: int,
        stream: bool,
        arrived_s: float,
        image_tokens: int = 0,
        images: int = 0,
    ) -> Fed:
        """Give generations to the scheduler; the response that their tokens will fill.

        `arrived_s` is when the request came, on the monotonic clock: what was done for it since
        is part of the overhead that the scheduler reckons with. `image_tokens` of the prompt are
        of `images` pictures. Raises Refused where they could never run.
        """
        try:
            for generation in generations:
                self.engine.submit(
                    generation, prompt_tokens, script.total, stream, arrived_s, image_tokens, images
                )
        except InvalidValue as problem:
            raise bad_request(problem.what) from problem

        def hang_up() -> None:
            for generation in generations:
                self.engine.abort(generation.rid)

        return Fed(outlet, self._headers(script.said), hang_up, stream)

    def _headers(self, said: Said) -> list[Header]:
        author = "; ".join(filter(None, (said.author.hand, said.author.name)))
        headers = [(b"x-kit-twin", self.label.encode()), (b"x-kit-author", author.encode())]
        return headers + ([(b"x-kit-held-s", b"%.6f" % said.held_s)] if said.held_s else [])


def _size(message: Message) -> int:
    """Roughly how many characters of a prompt; a message of no text counts too."""
    return len(text_of(message)) + 100


async def _beside(size: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Do it here, or where there is much to read in a thread, so that no stream waits for it."""
    if size > _LONG_TEXT:
        return await asyncio.to_thread(work, *arguments, **named)
    return work(*arguments, **named)
