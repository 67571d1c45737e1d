"""What a server says of itself: health, model, info. One that does not answer says None."""

from __future__ import annotations

from typing import Any

from kit.errors import EndpointError
from kit.server import probe as _probe


def healthy(url: str) -> bool:
    """SGLang answers 503 until it can serve, 200 from then on."""
    reply = _reply(url, "/health", timeout_s=2.0)
    return reply is not None and reply.status == 200


def info(url: str, path: str, key: str | None = None) -> Any:
    """The JSON at `path`; None where nothing answers 200 with JSON."""
    reply = _reply(url, path, key)
    return reply.body if reply is not None and reply.status == 200 else None


def served_model(url: str, key: str | None = None) -> str | None:
    """The name of the first model that an OpenAI-compatible server offers."""
    try:
        return str(info(url, "/v1/models", key)["data"][0]["id"])
    except (TypeError, KeyError, IndexError):
        return None


def _reply(
    url: str, path: str, key: str | None = None, timeout_s: float = 5.0
) -> _probe.HttpReply | None:
    try:
        return _probe.get(url.rstrip("/") + path, key, timeout_s)
    except EndpointError:
        return None
