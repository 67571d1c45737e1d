"""What broke → two lines: what happened, and what to type next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit.errors import EndpointError, StreamCut

if TYPE_CHECKING:
    import openai

    from kit.endpoint import Endpoint

_TOO_LONG = ("context length", "too long", "longer than", "maximum length", "max_tokens")


def explain(error: Exception, endpoint: Endpoint, arrived: str, stall_s: float) -> EndpointError:
    """The two lines for an error of the openai client, or of a stream that is no stream.

    `arrived` is the text that had come: with any, the error is a `StreamCut` that keeps it.
    """
    import openai

    if isinstance(error, EndpointError):  # an error object inside the stream
        what, hint = error.what, error.hint
    elif isinstance(error, openai.APIStatusError):
        what, hint = _refused(error, endpoint)
    elif isinstance(error, openai.APITimeoutError):
        what = f"nothing came from {endpoint.base_url} for {stall_s:g} s"
        hint = f"ask again, or wait longer: stall_s={2 * stall_s:g}"
    elif isinstance(error, openai.APIConnectionError):
        what, hint = _unreachable(error, endpoint, arrived)
    elif isinstance(error, openai.APIError):
        what = f"the server broke off: {error.message}"
        hint = "read the server's log, then ask again"
    else:
        what = f"{endpoint.base_url} answered something that is not a stream of JSON ({error})"
        hint = "check the URL: kit.connect(url) wants the address that /v1/models answers under"
    return cut(what, hint, arrived)


def cut(what: str, hint: str, arrived: str) -> EndpointError:
    """A `StreamCut` where something had arrived, else an `EndpointError`."""
    return StreamCut(what, hint, arrived) if arrived else EndpointError(what, hint)


def _unreachable(
    error: openai.APIConnectionError, endpoint: Endpoint, arrived: str
) -> tuple[str, str]:
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
    message = _message(error)
    match error.status_code:
        case 401 | 403:
            return (
                f"{endpoint.base_url} refused the key ({error.status_code}): {message}",
                'give the right one: kit.connect(url, key="…"), or set KIT_API_KEY',
            )
        case 404:
            return (
                f"{endpoint.base_url} knows no such path or model ({endpoint.model}): {message}",
                "see what it serves: [m.id for m in endpoint.client().models.list()]",
            )
        case 429:
            wait = error.response.headers.get("retry-after", "")
            pause = f"wait {wait} s" if wait.isdigit() else "wait a moment"
            return (
                f"{endpoint.base_url} is over its limit (429): {message}",
                f"{pause}, then ask again",
            )
        case status if status >= 500:
            return (
                f"{endpoint.base_url} failed ({status}): {message}",
                "read the server's log, then ask again",
            )
        case status:
            too_long = any(sign in message.lower() for sign in _TOO_LONG)
            fix = "shorten the prompt or lower max_tokens" if too_long else "change what it names"
            return f"the server refused the request ({status}): {message}", f"{fix}, then ask again"


def _message(error: openai.APIStatusError) -> str:
    """The server's own words: SGLang's error body is flat, OpenAI's is nested."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(message or error.message).split())[:300]
