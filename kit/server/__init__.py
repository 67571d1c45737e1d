"""A server's whole life: preflight, start, follow, ask, diagnose, adopt, stop."""

from kit.server.server import (
    Server,
    adopt,
    launch,
    running,
    start,
    stop,
)

__all__ = [
    "Server",
    "adopt",
    "launch",
    "running",
    "start",
    "stop",
]
