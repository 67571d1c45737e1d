"""What the server says no with, in SGLang's shapes."""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A request that gets an error instead of an answer."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body


def error(message: str, kind: str = "BadRequestError", code: int = 400) -> dict[str, Any]:
    """SGLang's error object: the whole body before the first chunk, `{"error": …}` within."""
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def bad_request(message: str) -> Refused:
    """A value that the server understands and does not take."""
    return Refused(400, error(message))


def invalid(kind: str, where: tuple[str | int, ...], message: str, given: Any) -> Refused:
    """A body of the wrong form, as the server's validator reports it."""
    entry = {"type": kind, "loc": ("body", *where), "msg": message, "input": given}
    return Refused(400, error(f"1 validation error:\n  {entry}", kind="Bad Request"))


def not_served(what: str) -> Refused:
    """Something the real server does and the twin does not."""
    return bad_request(
        f"The twin does not serve {what}: no model runs in it. Connect a real server."
    )
