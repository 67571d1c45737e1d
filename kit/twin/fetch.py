"""The pictures that a request names by address: fetched from the public internet, and nowhere else.

A twin that fetched whatever it is asked for would show a stranger's request this machine's own
services, the network around it, and a cloud's metadata. So a name is resolved once, all of its
addresses must be public, and the connection goes to one that was checked: a name that resolves
otherwise the next time (DNS rebinding) changes nothing. Redirects are checked alike. Proxies of
the environment are not used, for they would resolve the name again.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from contextlib import suppress
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from time import monotonic
from urllib.parse import urljoin, urlsplit

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 addresses, as IPv6-only networks write them
_AZURE = IPv4Address("168.63.129.16")  # a public address that is each Azure machine's own host


class NotPublic(ValueError):
    """An address that is not on the public internet."""


def fetch_public(url: str, timeout_s: float, max_bytes: int) -> bytes:
    """The bytes at a public http(s) address, within `timeout_s` in all.

    Raises NotPublic, and ValueError or OSError for an address that gives no such bytes.
    """
    until_s = monotonic() + timeout_s
    for _ in range(_MOST_REDIRECTS + 1):
        try:
            status, detail, content = _get(url, until_s, max_bytes)
        except (OSError, http.client.HTTPException) as problem:
            if monotonic() >= until_s:
                raise ValueError(f"no answer within {timeout_s:g} s") from problem
            raise ValueError(str(problem) or type(problem).__name__) from problem
        if status in _REDIRECTS:
            url = urljoin(url, detail)
        elif 200 <= status < 300:
            return content
        else:
            raise ValueError(f"the answer is {status} {detail}")
    raise ValueError(f"more than {_MOST_REDIRECTS} redirects")


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a name. Raises NotPublic where one of them is not public, OSError where
    it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not all(map(is_public, addresses)):
        raise NotPublic(host)
    return addresses


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet."""
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        within = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            within = IPv4Address(int(ip) & 0xFFFFFFFF)
        if within is not None:
            return is_public(str(within))
        return ip in _GLOBAL_UNICAST and ip.is_global
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and ip != _AZURE


def _get(url: str, until_s: float, max_bytes: int) -> tuple[int, str, bytes]:
    """One answer: its status, its phrase or where it redirects to, and its content."""
    parts = urlsplit(url)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise NotPublic(parts.scheme)
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    sock = _connect(public_addresses(host, port), port, until_s)
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port)
    if secure:
        sock = _context().wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    guard = threading.Timer(max(until_s - monotonic(), 0), _cut, [sock])
    guard.start()
    try:
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection.sock = sock
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", target, headers={"accept": "image/*, */*"})
        reply = connection.getresponse()
        if reply.status in _REDIRECTS:
            return reply.status, reply.headers.get("location", ""), b""
        content = reply.read(max_bytes + 1)
        if monotonic() >= until_s:
            raise TimeoutError  # a body without a length ends where it was cut
        if len(content) > max_bytes:
            raise ValueError(f"more than {max_bytes / 2**20:.0f} MiB")
        if reply.length:
            raise http.client.IncompleteRead(b"", reply.length)
        return reply.status, reply.reason, content
    finally:
        guard.cancel()
        sock.close()


def _connect(addresses: list[str], port: int, until_s: float) -> socket.socket:
    """A connection to the first address that takes one."""
    problem: OSError = OSError("no address")
    for address in addresses:
        left_s = until_s - monotonic()
        if left_s <= 0:
            break
        try:
            return socket.create_connection((address, port), left_s)
        except OSError as failed:
            problem = failed
    raise problem


def _cut(sock: socket.socket) -> None:
    """End a connection that another thread reads from."""
    with suppress(OSError):  # it may have ended
        sock.shutdown(socket.SHUT_RDWR)


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()
