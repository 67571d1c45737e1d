"""An http(s) address → bytes. The one place of `kit.vision` that opens a connection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kit.errors import EndpointError, InvalidValue

if TYPE_CHECKING:
    import urllib.request

MAX_BYTES = 64 * 2**20  # SGLang's own limit for what it fetches
TIMEOUT_S = 10.0
_PIECE = 64 * 1024
_SAVE_IT = "open it in a browser, save it, and give the file's path"


def fetch(url: str, timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_BYTES) -> bytes:
    """The body at `url`, all of it within `timeout_s`.

    Raises InvalidValue for an address that is not http(s), EndpointError for one that answers
    with an error, too much, too late or not at all.
    """
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InvalidValue(f"{url[:80]!r} is no web address", "give http:// or https://, or a path")
    place = f"{parts.scheme}://{parts.netloc}{parts.path}"  # no query: it may hold a key
    until_s = time.monotonic() + timeout_s
    request = urllib.request.Request(url, headers={"User-Agent": "qwen35-serving-kit"})
    try:
        with _opener().open(request, timeout=timeout_s) as answer:
            pieces, size = [], 0
            while piece := answer.read1(_PIECE):
                pieces.append(piece)
                size += len(piece)
                if size > max_bytes:
                    raise EndpointError(
                        f"{place} is larger than {max_bytes / 2**20:.0f} MiB", _SAVE_IT
                    )
                if time.monotonic() > until_s:
                    raise TimeoutError
            if answer.length:
                raise HTTPException(f"{answer.length:,} bytes did not come")
    except urllib.error.HTTPError as refused:
        raise EndpointError(f"{place} answers {refused.code} {refused.reason}", _SAVE_IT) from None
    except TimeoutError as problem:
        raise _late(place, timeout_s) from problem
    except urllib.error.URLError as problem:
        if isinstance(problem.reason, TimeoutError):
            raise _late(place, timeout_s) from problem
        why = getattr(problem.reason, "strerror", None) or problem.reason
        raise EndpointError(f"{place} cannot be reached: {why}", _SAVE_IT) from problem
    except (OSError, HTTPException, ValueError) as problem:
        said = str(problem) or type(problem).__name__
        raise EndpointError(f"{place} broke off: {said}", _SAVE_IT) from problem
    return b"".join(pieces)


def _late(place: str, timeout_s: float) -> EndpointError:
    return EndpointError(f"{place} did not answer within {timeout_s:g} s", _SAVE_IT)


def _opener() -> urllib.request.OpenerDirector:
    """Web addresses alone: a redirect to ftp:// or file:// finds nobody who would follow it."""
    import urllib.request

    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
