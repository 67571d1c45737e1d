"""Who may ask the twin: programs of this machine, and pages that it serves or that were allowed.

A page from elsewhere can make its reader's browser send requests to 127.0.0.1, and with a host
name of its own that resolves to 127.0.0.1 (DNS rebinding) even read the answers. A browser cannot
lie in `Host`, `Origin` and `Sec-Fetch-Site`, so these are checked before anything else. A body
must be declared as JSON, as SGLang demands of /v1: a page cannot declare that without being asked
first (CORS preflight), and the twin allows none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from kit.twin.errors import Refused, bad_request, error

Headers = Iterable[tuple[bytes, bytes]]

_JSON = "application/json"
_OPTION = "To serve it under other names: kit twin --allow-host NAME."
# SGLang's own message for a body of another type.
_NOT_JSON = (
    "1 validation error:\n  {'loc': ['header', 'content-type'], "
    "'msg': \"Unsupported Media Type: Only 'application/json' is allowed\", 'type': 'value_error'}"
)


def check(method: str, headers: Headers, allowed: Collection[str]) -> None:
    """Raises Refused for a request that this twin must not serve.

    `allowed` are the host names besides those of this machine.
    """
    found: dict[str, list[str]] = {}
    for name, value in headers:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    for host in found.get("host", ()):
        if not is_local(host_name(f"//{host}"), allowed):
            raise _forbidden(f"The twin does not answer as {host[:100]!r}. {_OPTION}")
    origins = found.get("origin", ())
    for origin in origins:
        if not is_local(host_name(origin), allowed):
            raise _forbidden(f"A page of {origin[:100]!r} may not use the twin. {_OPTION}")
    elsewhere = "cross-site" in found.get("sec-fetch-site", ())
    opened = method == "GET" and "navigate" in found.get("sec-fetch-mode", ())
    if elsewhere and not origins and not opened:
        raise _forbidden("A page of another site may not use the twin.")
    if found.get("content-length", ["0"]) != ["0"] or "transfer-encoding" in found:
        _insist_on_json(found.get("content-type", [""]))


def host_name(address: str) -> str:
    """The host of an address, in lower case; empty where there is none."""
    try:
        return (urlsplit(address).hostname or "").removesuffix(".")
    except ValueError:
        return ""


def is_local(host: str, allowed: Collection[str] = ()) -> bool:
    """Whether a host is this machine by its very name, or one of those allowed."""
    if host in allowed or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _insist_on_json(types: Iterable[str]) -> None:
    if any(one.partition(";")[0].strip().lower() != _JSON for one in types):
        raise bad_request(_NOT_JSON, "Bad Request")


def _forbidden(message: str) -> Refused:
    return Refused(403, error(message, "Forbidden", 403))
