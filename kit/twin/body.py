"""The body of a request: read with a limit, and turned into JSON that nothing later trips over.

bytes → at most 16 MiB → JSON, at most 100 deep → text without half surrogate pairs
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import Any

from starlette.requests import Request

from kit.twin.errors import Refused, bad_request, error, invalid

MOST_BYTES = 16 * 2**20  # of one body, its images included
MOST_BYTES_AT_ONCE = 16 * MOST_BYTES  # of all bodies that are being read
MOST_VALUES = 500_000  # twice the token ids of the longest prompt
MOST_DEPTH = 100

_HALF = re.compile("[\ud800-\udfff]")
_held = [0]  # bytes of the bodies that are being read


async def read_json(request: Request) -> Any:
    """The JSON of a request. Raises Refused: 413 for a body that is too large, 400 for no JSON."""
    return parse(await read(request))


async def read(request: Request) -> bytes:
    """The bytes of a request's body, at most MOST_BYTES. Raises Refused."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and (len(announced) > 12 or int(announced) > MOST_BYTES):
        raise _too_large()
    content, held = bytearray(), 0
    try:
        async for part in request.stream():
            content += part
            _held[0] += len(part)
            held += len(part)
            if held > MOST_BYTES:
                raise _too_large()
            if _held[0] > MOST_BYTES_AT_ONCE:
                busy = f"The twin reads more than {MOST_BYTES_AT_ONCE >> 20} MiB already."
                raise Refused(503, error(busy, "ServiceUnavailable", 503))
    finally:
        _held[0] -= held
    request.state.body_bytes = held
    return bytes(content)


def parse(raw: bytes) -> Any:
    """The JSON of a body. Raises Refused."""
    if raw.count(b",") > MOST_VALUES:  # before objects are made of them
        raise _too_many()
    try:
        text = raw.decode(json.detect_encoding(raw), "surrogatepass")
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise not_json(getattr(problem, "msg", str(problem)), getattr(problem, "pos", 0)) from None
    _check_shape(value)
    if "\\ud" in text or "\\uD" in text or not _encodable(text):
        return _mended(value)
    return value


def not_json(what: str, at: int = 0) -> Refused:
    """The error for a body that is no JSON, in FastAPI's words."""
    found: dict[str, Any] = {"type": "json_invalid", "loc": (at,), "msg": "JSON decode error"}
    return invalid([found | {"input": {}, "ctx": {"error": what}}])


def nesting(value: Any) -> tuple[int, int]:
    """How deep lists and objects are nested, and how many values they hold. Stops counting at the
    limits."""
    depth, values, level = 0, 0, [value] if isinstance(value, dict | list) else []
    while level and depth <= MOST_DEPTH and values <= MOST_VALUES:
        depth += 1
        values += sum(map(len, level))
        inner = chain.from_iterable(v.values() if isinstance(v, dict) else v for v in level)
        level = [v for v in inner if type(v) is dict or type(v) is list]
    return depth, values


def _check_shape(value: Any) -> None:
    depth, values = nesting(value)
    if depth > MOST_DEPTH:
        raise not_json(f"nested more than {MOST_DEPTH} levels deep")
    if values > MOST_VALUES:
        raise _too_many()


def _too_many() -> Refused:
    return bad_request(f"The twin does not serve more than {MOST_VALUES:,} values in a request.")


def _too_large() -> Refused:
    most = f"The request is larger than the {MOST_BYTES >> 20} MiB that the twin reads."
    return Refused(413, error(most, "RequestEntityTooLarge", 413))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _mended(value: Any) -> Any:
    """The value with U+FFFD for each half of a surrogate pair: text that cannot be encoded would
    fail where it is written, long after its request has been checked."""
    if isinstance(value, str):
        return value if _encodable(value) else _HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(key): _mended(one) for key, one in value.items()}
    return value
