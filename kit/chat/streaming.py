"""The request, and the events as they come. Works with any OpenAI-compatible server."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from kit.chat.author import author_of
from kit.chat.ending import ending
from kit.chat.errors import cut, explain, failures
from kit.chat.events import Answer, Event, Finish, Thinking, ToolCall, Usage, WasThinking
from kit.chat.parser import Parser
from kit.chat.request import most_pieces, request_body
from kit.chat.sse import EventDecoder
from kit.chat.waiting import drain, in_time
from kit.errors import EndpointError, KitError
from kit.provenance import Author, Provenance

if TYPE_CHECKING:
    import openai

    from kit.endpoint import Endpoint

_PATH = "/chat/completions"
_CONNECT_S = 10.0
_MOST_TEXT = 64 * 2**20  # characters of an answer
_LOG = "ask again, and read the server's log if it breaks again"
_KEPT = f"what had arrived is kept; {_LOG}"


def stream(
    endpoint: Endpoint,
    messages: str | Sequence[Mapping[str, Any]],
    thinking: bool | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    stall_s: float = 120.0,
    **params: Any,
) -> Stream:
    """Ask, and iterate over what comes: `for event in …` or `async for event in …`, once.

    `thinking` True or False is sent as the chat template's `enable_thinking`; None leaves it to
    the server, whose default differs between the sizes of Qwen3.5. `params` go into the request
    as they are: `max_tokens`, `temperature`, `top_k`, `regex`, …; `extra_body` and `extra_headers`
    are those of the openai client. A server that sends nothing of an answer for `stall_s` seconds
    is given up: comments that keep a connection alive are not an answer. So is one whose answer
    has no end: four times `max_tokens` in pieces, or 102,400 without it. Nothing is sent before
    the first event is asked for, and a request is never repeated by itself.

    Raises (while iterating) `EndpointError`, or `StreamCut` where part of the answer had arrived.
    """
    headers = dict(params.pop("extra_headers", None) or {})
    body = request_body(endpoint.model, messages, thinking, tools, params)
    return Stream(endpoint, body, thinking, stall_s, headers)


class Stream:
    """Events of one answer, and what they add up to so far.

    `thinking`, `answer`, `tool_calls`, `usage`, `finish_reason` grow while it is read; `remark`
    says at its end what is wrong with the answer, if anything is. `author`
    says who wrote the answer (None before the server has answered), `provenance` what its numbers
    are worth, `asked_s` when the request went out (`time.perf_counter`). Where a twin had to write
    its reply first, `held_s` is how long that took: the simulated time begins after it, and so
    does `asked_s`. `twin_s` is when the newest event was due by a twin's own clock, in its seconds
    since the request arrived; None for another server. `message` is the assistant's turn, to put
    into the history.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        body: dict[str, Any],
        thinking: bool | None,
        stall_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.body = body
        self.provenance: Provenance = endpoint.provenance
        self.author: Author | None = None
        self.tool_calls: dict[int, ToolCall] = {}
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.asked_s: float | None = None
        self.held_s = 0.0
        self._thinking: list[str] = []
        self._answer: list[str] = []
        self._asked_to_think = thinking
        self._parser = Parser(thinking)
        self._decoder = EventDecoder()
        self._stall_s = stall_s
        self._headers = dict(headers or {})
        self._since_s = 0.0  # when something of the answer came, on the monotonic clock
        self._pieces_left = most_pieces(body)
        self._characters = 0
        self._async_client: openai.AsyncOpenAI | None = None
        self._open: openai.Stream[object] | openai.AsyncStream[object] | None = None
        self._started = False
        self._media_type = ""

    @property
    def thinking(self) -> str:
        """The thinking so far."""
        return "".join(self._thinking)

    @property
    def answer(self) -> str:
        """The answer so far."""
        return "".join(self._answer)

    @property
    def twin_s(self) -> float | None:
        """When the newest event was due by a twin's own clock, since the request arrived (s)."""
        return self._decoder.twin_s

    @property
    def remark(self) -> str:
        """Why there is no answer or why it is not whole, in a sentence; empty where all is well.
        A stream that breaks off raises instead."""
        return ending(
            self.finish_reason,
            self.thinking,
            self.answer,
            len(self.tool_calls),
            asked_to_think=self._asked_to_think,
            unread=self._parser.unread,
            repeated=self._parser.repeated,
            mangled=self._parser.mangled or self._decoder.mangled,
            late=self._parser.late,
        )

    @property
    def message(self) -> dict[str, Any]:
        """The assistant's message so far, thinking included: `chat.conversation` strips it."""
        message: dict[str, Any] = {"role": "assistant", "content": self.answer.strip()}
        if self.thinking:
            message["reasoning_content"] = self.thinking
        if self.tool_calls:
            message["tool_calls"] = [call.entry for _, call in sorted(self.tool_calls.items())]
        return message

    def _begin(self) -> None:
        if self._started:
            raise KitError("a Stream is read once", "to ask again: chat.stream(…)")
        self._started = True

    def prepare(self) -> None:
        """Do now, inside the event loop, what the first `async for` would do while it is timed:
        build the client, and load what it waits on, 0.1 s in a fresh process.
        """
        import anyio

        anyio.Event()
        self._async_client = self.endpoint.async_client()

    @property
    def _request(self) -> dict[str, Any]:
        """What the openai client is asked to post. A twin is asked for its own times; what other
        servers get is what was given."""
        own = {"x-kit-clock": "1"} if self.endpoint.kind == "twin" else {}
        options = {"headers": own | self._headers}
        return {
            "path": _PATH,
            "body": self.body,
            "options": options,
            "cast_to": object,
            "stream": True,
        }

    def _timeout(self) -> openai.Timeout:
        import openai

        return openai.Timeout(self._stall_s, connect=min(_CONNECT_S, self._stall_s))

    def _opened(self, chunks: openai.Stream[object] | openai.AsyncStream[object]) -> None:
        self._open = chunks
        headers = chunks.response.headers
        self.author = author_of(headers.get("x-kit-author"), self.endpoint.model)
        self.held_s = _seconds(headers.get("x-kit-held-s"))
        self.asked_s = (self.asked_s or 0) + self.held_s
        self._media_type = headers.get("content-type", "").partition(";")[0]
        self._since_s = time.monotonic()

    def _take(self, received: bytes) -> Iterator[Event]:
        """The events of what has come. Raises EndpointError where nothing of the answer came for
        stall_s: the connection lives, and what comes on it is no answer."""
        yield from self._parse(self._decoder.feed(received))
        if time.monotonic() - self._since_s > self._stall_s:
            raise EndpointError(
                f"nothing of the answer came from {self.endpoint.base_url} for {self._stall_s:g} s",
                f"ask again, or wait longer: stall_s={2 * self._stall_s:g}",
            )

    def _parse(self, chunks: Iterator[object]) -> Iterator[Event]:
        for chunk in chunks:
            if chunk is None:  # sent to keep the connection alive
                continue
            if not isinstance(chunk, dict):
                raise ValueError(f"a chunk that is no object: {str(chunk)[:60]}")
            yield from self._add(self._parser.feed(chunk))

    def _end(self) -> Iterator[Event]:
        """The last events, once the server has closed. Raises where it closed too early: without
        a finish reason, unless its `[DONE]` came after an answer."""
        within, unread = self._decoder.within and bool(self.arrived), ""
        try:
            yield from self._parse(self._decoder.flush())
        except ValueError as problem:
            if not within:
                raise
            unread = str(problem)  # half an event: the stream was cut there
        yield from self._add(self._parser.flush())
        if unread or (self.finish_reason is None and not (self._decoder.done and self.arrived)):
            url, kind = self.endpoint.base_url, self._media_type or "no content type"
            closed = f"{url} closed the stream before the answer had ended"
            if kind != "text/event-stream" and not self.arrived:
                raise ValueError(kind)
            if kind != "text/event-stream":
                closed = f"{url} sent {kind[:80]} where a stream was asked for, without its end"
            raise cut(closed, _KEPT if self.arrived else _LOG, self.arrived)

    @property
    def arrived(self) -> str:
        """All text so far, thinking first."""
        return self.thinking + self.answer

    def _add(self, events: list[Event]) -> Iterator[Event]:
        """Each event, added up: what the stream holds is what its reader has been given. Raises
        EndpointError where it will have no end."""
        for event in events:
            self._progress(event)
            match event:
                case Thinking(text):
                    self._thinking.append(text)
                case Answer(text):
                    self._answer.append(text)
                case WasThinking():
                    self._thinking += self._answer
                    self._answer.clear()
                case ToolCall():
                    self.tool_calls[event.index] = event
                case Usage():
                    self.usage = event
                case Finish(reason):
                    self.finish_reason = reason
            given_s = time.monotonic()
            yield event
            self._since_s += time.monotonic() - given_s  # the reader's own time

    def _progress(self, event: Event) -> None:
        """Note what brings the answer on: not the same again, and not a count of tokens."""
        match event:
            case Thinking(text) | Answer(text) if text:
                self._characters += len(text)
            case ToolCall() if event != self.tool_calls.get(event.index):
                pass
            case WasThinking() | Finish():
                pass
            case _:
                return
        self._since_s = time.monotonic()
        self._pieces_left -= 1
        if self._pieces_left < 0 or self._characters > _MOST_TEXT:
            raise EndpointError(
                f"{self.endpoint.base_url} sends an answer without an end: "
                f"{self._characters:,} characters so far",
                "ask with max_tokens, and read the server's log if it does not keep to it",
            )

    def _explain(self, error: Exception) -> EndpointError:
        return explain(error, self.endpoint, self.arrived, self._stall_s)

    def __iter__(self) -> Iterator[Event]:
        import openai

        self._begin()
        client = self.endpoint.client().with_options(max_retries=0, timeout=self._timeout())
        self.asked_s = time.perf_counter()
        post = partial(client.post, **self._request, stream_cls=openai.Stream[object])
        try:
            chunks = in_time(post, _CONNECT_S + self._stall_s)
            self._opened(chunks)
            for received in chunks.response.iter_bytes():
                yield from self._take(received)
                if self._decoder.done:
                    break
            yield from self._end()
        except failures() as error:
            raise self._explain(error) from error
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        import asyncio

        import openai

        self._begin()
        client = self._async_client or self.endpoint.async_client()
        client = client.with_options(max_retries=0, timeout=self._timeout())
        self.asked_s = time.perf_counter()
        try:
            async with asyncio.timeout(_CONNECT_S + self._stall_s):
                chunks = await client.post(**self._request, stream_cls=openai.AsyncStream[object])
            self._opened(chunks)
            body = chunks.response.aiter_bytes()
            async for received in body:
                for event in self._take(received):
                    yield event
                if self._decoder.done:
                    break
            for event in self._end():
                yield event
            await drain(body)
        except failures() as error:
            raise self._explain(error) from error
        finally:
            await self.aclose()

    def close(self) -> None:
        """Hang up: the server sees it, and stops generating."""
        import openai

        if isinstance(self._open, openai.Stream):
            self._open.close()

    async def aclose(self) -> None:
        """`close`, for a stream read with `async for`."""
        import openai

        if isinstance(self._open, openai.AsyncStream):
            await self._open.close()
        else:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _seconds(header: str | None) -> float:
    """A time out of a header; 0 where it holds none."""
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0
