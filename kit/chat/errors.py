"""What broke → two lines: what happened, and what to type next."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kit.chat.content import characters
from kit.errors import EndpointError, StreamCut
from kit.http import hidden

if TYPE_CHECKING:
    import openai

    from kit.endpoint import Endpoint

_TOO_LONG = re.compile(
    r"context (length|size|window)|too long|longer than|maximum (input |prompt )?length|max_tokens",
    re.IGNORECASE,
)


def failures() -> tuple[type[Exception], ...]:
    """What may end a stream on its way; JSON may be nested deeper than Python goes."""
    import httpx2
    import openai

    return (
        *(openai.OpenAIError, httpx2.HTTPError, TimeoutError),
        *(EndpointError, ValueError, RecursionError),
    )


def explain(error: Exception, endpoint: Endpoint, arrived: str, stall_s: float) -> EndpointError:
    """The two lines for an error of the openai client, or of a stream that is no stream.

    `arrived` is the text that had come: with any, the error is a `StreamCut` that keeps it.
    """
    import httpx2
    import openai

    if isinstance(error, EndpointError):  # an error object inside the stream
        what, hint = error.what, error.hint
    elif isinstance(error, openai.APIStatusError):
        what, hint = _refused(error, endpoint)
    elif isinstance(error, openai.APITimeoutError | httpx2.TimeoutException | TimeoutError):
        what = f"nothing came from {endpoint.base_url} for {stall_s:g} s"
        hint = f"ask again, or wait longer: stall_s={2 * stall_s:g}"
    elif isinstance(error, httpx2.DecodingError):
        what = f"{endpoint.base_url} sent an answer that does not decompress ({error})"
        hint = "look at the proxy in front of it, or ask the server itself"
    elif isinstance(error, openai.APIConnectionError | httpx2.HTTPError):
        what, hint = _unreachable(error, endpoint, arrived)
    elif isinstance(error, openai.APIError):
        what = f"the server broke off: {error.message}"
        hint = "read the server's log, then ask again"
    elif isinstance(error, UnicodeEncodeError):  # of the question
        what = "the question holds half of a character (a lone surrogate), which UTF-8 cannot hold"
        hint = 'leave it out: text.encode("utf-8", "replace").decode()'
    elif arrived:
        what = (
            f"{endpoint.base_url} sent something unreadable in the middle of the answer ({error})"
        )
        hint = "what had arrived is kept; ask again, and read the server's log if it breaks again"
    else:
        what = f"{endpoint.base_url} answered something that is not a stream of JSON ({error})"
        hint = "check the URL: kit.connect(url) wants the address that /v1/models answers under"
    return cut(hidden(what, endpoint.key), hint, arrived)


def cut(what: str, hint: str, arrived: str) -> EndpointError:
    """A `StreamCut` where something had arrived, else an `EndpointError`."""
    return StreamCut(what, hint, arrived) if arrived else EndpointError(what, hint)


def broken_off(message: str, code: Any = None) -> EndpointError:
    """The two lines for an error object inside the stream; `code` is its own, if it has one."""
    status = int(code) if re.fullmatch("[0-9]{3}", str(code)) else None
    return EndpointError(f"the server broke off: {_one_line(message)}", _advice(status, message))


def _advice(status: int | None, message: str) -> str:
    """What to type next, by the HTTP status of an error and what it says."""
    if _TOO_LONG.search(message) and status not in (401, 403, 404, 429):
        return (
            "shorten the prompt, lower max_tokens, or start the server with a larger "
            "--context-length; then ask again"
        )
    match status:
        case 401 | 403:
            return 'give the right one: kit.connect(url, key="…"), or set KIT_API_KEY'
        case 404:
            return "see what it serves: [m.id for m in endpoint.client().models.list()]"
        case 429:
            return "wait a moment, then ask again"
        case None:
            return "ask again"
        case status if status >= 500:
            return "read the server's log, then ask again"
        case _:
            return "change what it names, then ask again"


def _unreachable(error: Exception, endpoint: Endpoint, arrived: str) -> tuple[str, str]:
    if arrived:
        return (
            f"the connection to {endpoint.base_url} broke in the middle of the answer",
            "what had arrived is kept; ask again, and read the server's log if it breaks again",
        )
    reason = str(error.__cause__ or error) or type(error.__cause__).__name__
    return (
        f"cannot reach {endpoint.base_url}: {reason}",
        "start the server there, or connect anew: endpoint = kit.connect()",
    )


def _refused(error: openai.APIStatusError, endpoint: Endpoint) -> tuple[str, str]:
    message, status, url = _message(error), error.status_code, endpoint.base_url
    advice = _advice(status, message)
    wait = error.response.headers.get("retry-after", "")
    match status:
        case 401 | 403:
            what = f"{url} refused the key ({status})"
        case 404:
            what = f"{url} knows no such path or model ({endpoint.model})"
        case 429:
            what = f"{url} is over its limit (429)"
            advice = f"wait {wait} s, then ask again" if wait.isdigit() else advice
        case _ if status >= 500:
            what = f"{url} failed ({status})"
        case _:
            what = f"the server refused the request ({status})"
    return (f"{what}: {message}" if message else what), advice


def _message(error: openai.APIStatusError) -> str:
    """The server's own words, if it has any: SGLang's error body is flat, OpenAI's is nested, a
    proxy's is a page."""
    body = error.body
    if isinstance(body, dict):
        body = next((body[key] for key in ("message", "detail", "msg") if body.get(key)), None)
    page = isinstance(body, str) and body.lstrip().startswith("<")
    return "" if page or not body else _one_line(str(body))


def _one_line(text: str) -> str:
    return " ".join(characters(text[:2000]).split())[:300]
