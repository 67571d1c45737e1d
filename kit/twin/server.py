"""One simulated server: its profile, and how a request gets into its engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from kit.errors import InvalidValue
from kit.hardware import SGLANG, profile
from kit.scheduler import Scheduler
from kit.sizing import explain
from kit.twin.authored import AssistantTurn
from kit.twin.chat_format import Message, render, unsaid_tokens
from kit.twin.engine import Clock, Engine, Generation
from kit.twin.errors import bad_request
from kit.twin.faults import Fault
from kit.twin.keys import STARTED, Counted, Keys
from kit.twin.llama_cpp import PocketWriter
from kit.twin.runs import RunRequest
from kit.twin.sse import DONE, AnswerTimes, EngineResponse, Header, ResponseWriter, dumps
from kit.twin.token_script import TokenScript
from kit.twin.tokenizer import vocabulary
from kit.twin.workers import beside

if TYPE_CHECKING:
    from kit.launch import LaunchPlan
    from kit.twin.holders import Holders

FASTEST = 1000.0
NO_ACCURACY = b"none: authored replies, so no score of an evaluation says anything"


class AnswerGeneration(Generation, Counted, Protocol):
    """What `Twin.run` takes."""


class Twin:
    """A profile, a scheduler, a clock, and perhaps a fault.

    Raises UnknownName for a profile or a fault, InvalidValue for an impossible clock and for a
    profile that does not fit its GPUs.
    """

    def __init__(
        self,
        profile_name: str,
        speed: float = 1.0,
        sglang: str = SGLANG,
        port: int = 0,
        fault: str | None = None,
        served_model_name: str | None = None,
        allowed_hosts: Collection[str] = (),
        holders: Holders | None = None,
        keys: Keys | None = None,
    ) -> None:
        if not 0 < speed <= FASTEST:
            raise InvalidValue(
                f"a clock {speed:g} times as fast", f"give 1 for real time, {FASTEST:g} at most"
            )
        self.profile = profile(profile_name)
        scheduler = Scheduler.of(self.profile, sglang)
        if not scheduler.memory.starts:
            raise InvalidValue(
                f"{profile_name} does not fit: {explain(scheduler.memory).reasons[0]}",
                f"kit size {profile_name} shows the ledger and what would fit",
            )
        self.engine = Engine(scheduler, Clock(speed))
        self.sglang = sglang
        self.port = port
        self.fault = Fault.parse(fault) if fault else None
        self.pocket = PocketWriter()
        self.holders = holders
        self.keys = keys
        self.allowed_hosts = frozenset(map(str.lower, allowed_hosts))
        self.model = served_model_name or self.profile.checkpoint
        self.context_length = (
            self.profile.context_length or self.profile.model.max_position_embeddings
        )
        self.label = f"profile={self.profile.name}; sglang={sglang}; speed={speed:g}"

    @cached_property
    def launch(self) -> LaunchPlan:
        """The command of the simulated server."""
        from kit.launch import launch_plan  # only /server_info needs it

        return launch_plan(self.profile, self.sglang, port=self.port)

    @property
    def thinks(self) -> bool:
        """Whether the model thinks by default: all but the two smallest do."""
        return self.profile.model.name not in ("0.8b", "2b")

    @property
    def draft_tokens(self) -> int:
        """Drafts per verify step; 0 without MTP."""
        return self.profile.mtp.num_draft_tokens - 1 if self.profile.mtp else 0

    async def count(self, prompt: str | Sequence[int]) -> int:
        """Tokens of a bare prompt."""
        if not isinstance(prompt, str):
            return len(prompt)
        return await beside(len(prompt), lambda: vocabulary().count(prompt))

    async def chat_prompt(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]],
        thinking: bool,
        media: Sequence[str],
        size: int,
    ) -> tuple[str, int]:
        """A conversation in Qwen3.5's chat format, and its tokens. `size` is that of its JSON."""

        def made() -> tuple[str, int]:
            text = render(messages, tools, thinking, media)
            return text, vocabulary().count(text) + unsaid_tokens(tools)

        return await beside(size + 100 * len(messages), made)

    def run(
        self,
        generations: Sequence[AnswerGeneration],
        writer: ResponseWriter,
        script: TokenScript,
        tokens: int,
        stream: bool,
        arrived_s: float,
        *vision: int,
        request: Request | None = None,
    ) -> EngineResponse:
        """Give generations to the scheduler. Returns the response that they will write.

        `vision` are how many of the prompt's `tokens` belong to images, and to how many images or
        rows of a video. `arrived_s` is when the request came, on the monotonic clock: the time
        spent on it since is part of the overhead that the scheduler allows for. A stream has the
        twin's own times where the head of its `request` asks for them. Raises Refused where they
        could never run.
        """
        of_run: RunRequest | None = getattr(request.state, "of_run", None) if request else None
        image_tokens, images, *_ = (*vision, 0, 0)
        try:
            for one in generations:
                arrival_s = self.engine.submit(
                    one, tokens, script.total, stream, arrived_s, image_tokens, images, of_run
                )
        except InvalidValue as problem:
            raise bad_request(problem.what) from problem
        origin_s = of_run.run.origin_s if of_run and of_run.run else arrival_s
        if not stream or of_run or (request and "x-kit-clock" in request.headers):
            of_s = arrival_s - origin_s
            writer.times = AnswerTimes(self.engine.clock.at_s, origin_s, of_s, stream)

        if (started := STARTED.get()) is not None:
            started.append((tokens, generations))

        def hang_up() -> None:
            for generation in generations:
                self.engine.abort(generation.rid)

        return EngineResponse(writer, self._headers(script.turn), hang_up, stream)

    def response(
        self, content: bytes | str = b"", status: int = 200, media: str | None = None
    ) -> Response:
        headers = {"x-kit-twin": self.label}
        if status == 429:
            headers["retry-after"] = "1"
        return Response(content, status, headers, media)

    def json_response(self, body: Any, status: int = 200) -> Response:
        return self.response(dumps(body), status, "application/json")

    def event_response(self, body: bytes) -> Response:
        """A stream of this one event."""
        media = "text/event-stream; charset=utf-8"
        return self.response(b"data: " + body + b"\n\n" + DONE, media=media)

    def _headers(self, turn: AssistantTurn) -> list[Header]:
        author = "; ".join(filter(None, (turn.author.kind, turn.author.name)))
        headers = [(b"x-kit-twin", self.label.encode()), (b"x-kit-author", author.encode())]
        headers.append((b"x-kit-accuracy", NO_ACCURACY))
        return headers + ([(b"x-kit-held-s", b"%.6f" % turn.held_s)] if turn.held_s else [])
