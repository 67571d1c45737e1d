"""A capture: a request, and what the real server answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "captures"


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `media` is the content type, empty where there is none."""

    method: str
    path: str
    request: str
    status: int
    media: str
    body: bytes


def names() -> list[str]:
    """Every capture, without its suffix."""
    return sorted(path.stem for path in FOLDER.iterdir())


@cache
def read(name: str) -> Exchange:
    """One capture. Its body is empty where the server sent none."""
    raw = next(FOLDER.glob(f"{name}.*")).read_bytes()
    if name == "80_moe_chat":  # only the body was kept: an answer to the question of 05
        asked = read("05_chat_nonstream")
        return Exchange("POST", asked.path, asked.request, 200, asked.media, raw.strip())
    first, _, rest = raw.partition(b"\n")
    _, method, path = first.decode().split()
    request, mark, answer = rest.partition(b"### response\n")
    answer = answer if mark else rest
    head, _, body = answer.replace(b"\r\n", b"\n").partition(b"\n\n")
    status, *fields = head.decode().splitlines()
    headers = {k.lower(): v.strip() for k, v in (field.split(":", 1) for field in fields)}
    return Exchange(
        method,
        path,
        request.decode().strip() if mark else "",
        int(status.split()[1]),
        headers.get("content-type", ""),
        body[: int(headers.get("content-length", len(body)))],  # what curl wrote, no line break
    )


def request_json(exchange: Exchange) -> dict[str, Any]:
    """The request's object. Of one with a very long prompt, the file keeps the beginning only:
    then what stands before the messages."""
    text = exchange.request
    if not text.endswith("}"):
        text = text[: text.index(',"messages"')] + "}"
    asked: dict[str, Any] = json.loads(text)
    return asked
