"""The error responses of SGLang, in its words and JSON shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_LONGEST = 64 * 2**10  # characters of an error message


class Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def error(message: str, kind: str = "BadRequestError", code: int = 400) -> dict[str, Any]:
    """SGLang's error object: the whole body before the first chunk, `{"error": …}` within."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def bad_request(message: str, kind: str = "BadRequestError") -> Refused:
    """A value that the server understands and does not accept."""
    return Refused(400, error(message, kind))


def invalid(problems: Sequence[Mapping[str, Any]]) -> Refused:
    """A body that does not fit its model. `problems` are pydantic's, written as FastAPI writes
    them. A real server adds the place in SGLang's source."""
    message = f"{len(problems)} validation error{'' if len(problems) == 1 else 's'}:"
    for one in problems:
        message += f"\n  { {**one, 'loc': ('body', *one['loc'])} }"
        if len(message) > _LONGEST:  # each repeats the value that is wrong
            message = message[:_LONGEST] + " …"
            break
    return bad_request(message, "Bad Request")


def not_served(what: str) -> Refused:
    """Something the real server does and the twin does not."""
    return bad_request(
        f"The twin does not serve {what}: no model runs in it. Connect a real server."
    )


def native(refused: Refused, stream: bool) -> Refused:
    """The same error as /generate answers it; status 200 where a stream has begun with it."""
    if refused.body.get("type") != "BadRequestError":
        return refused
    problem = {"message": refused.body["message"]}
    if stream:
        more = {"type": "invalid_request_error", "code": 400, "retryable": False}
        return Refused(200, {"error": problem | more})
    return Refused(400, {"error": problem})
